"""The parts of a run record that say under which circumstances it was made: plain, frozen, versioned data."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

SCHEMA = "spikecert.record/1"

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
Scalar = bool | int | FiniteFloat | str | None


class Part(BaseModel):
    """Base of all parts of a record: frozen, and a field that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Environment(Part):
    """Where the run took place; no host name, no user name."""

    python: str
    platform: str
    device: str
    torch_threads: Positive
    packages: dict[str, str]


class Data(Part):
    """The samples that the accuracies are about."""

    name: str
    split: str
    samples: Positive
    classes: Positive
    shape: tuple[Positive, ...]


class Threat(Part):
    """The threat model: every input within `epsilon` of a sample in `norm`, and within [lower, upper].

    In "l0" ε is a number of flipped events, and inputs are events of 0 and 1.
    """

    norm: Literal["linf", "l2", "l0"]
    lower: FiniteFloat
    upper: FiniteFloat
    epsilons: tuple[Annotated[FiniteFloat, Field(gt=0)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_order(self) -> "Threat":
        if list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError(f"epsilons: got {self.epsilons}, expected them rising, each once")
        if not self.lower < self.upper:
            raise ValueError(f"lower, upper: got [{self.lower}, {self.upper}], expected lower < upper")
        if self.norm == "l0" and not all(epsilon.is_integer() for epsilon in self.epsilons):
            raise ValueError(f"epsilons: got {self.epsilons}, expected whole numbers of flips")
        if self.norm == "l0" and (self.lower, self.upper) != (0.0, 1.0):
            raise ValueError(f"lower, upper: got [{self.lower}, {self.upper}], expected [0, 1] for flips")
        return self


class Training(Part):
    """How a model was trained: every setting that its weights depend on."""

    settings: Mapping[str, Scalar]
    seconds: Seconds


class LayerGain(Part):
    """One row of the table of gains: ‖ε‖ ≤ gain·‖Δs‖ + bias for the simplified dynamics; None is infinite."""

    name: str
    operator_norm: tuple[FiniteFloat, FiniteFloat]
    neuron_gain: FiniteFloat | None
    gain: FiniteFloat | None
    bias: FiniteFloat | None


class GainTable(Part):
    """Gains of the simplified dynamics; `simplified` is always true: they certify no network."""

    input_norm: str
    output_norm: str
    horizon: str
    simplified: Literal[True] = True
    readout: tuple[FiniteFloat, FiniteFloat] | None = None
    layers: tuple[LayerGain, ...]


class Counterexample(Part):
    """An input that the network misclassifies: the flattened values of the sample and of what was found."""

    index: Count
    label: Count
    predicted: Count
    epsilon: FiniteFloat
    found_by: str
    shape: tuple[Positive, ...]
    clean: tuple[FiniteFloat, ...]
    perturbed: tuple[FiniteFloat, ...]


class Architecture(Part):
    """The network without its weights, and the hash over both."""

    description: dict[str, Any]
    parameters: Count
    num_steps: Positive
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("description")
    @classmethod
    def _check_layers(cls, description: dict[str, Any]) -> dict[str, Any]:
        layers = description.get("layers", [])
        if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
            raise ValueError("layers: expected a list of objects")
        return description
