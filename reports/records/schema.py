"""The parts of a run record that say under which circumstances it was made: plain, frozen, versioned data."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from .rows import Count, Part, Positive, Scalar, Seconds, Sha256, Train

SCHEMA = "spikecert.record/3"
MOST_MEMBER = 2**22
"""Letters that a member may take in a record; a greater one is not kept."""

ROUNDING = 1e-3
"""What rounding may add to a measured ratio before it counts as above a bound: runs in float32 are subtracted."""


class Environment(Part):
    """Where the run took place; no host name, no user name."""

    python: str
    platform: str
    device: str
    torch_threads: Positive
    packages: dict[str, str]


class Data(Part):
    """The samples that the accuracies are about; `sha256` is over inputs and labels, `names` are the classes'."""

    name: str
    split: str
    samples: Positive
    classes: Positive
    shape: tuple[Positive, ...]
    sha256: Sha256 | None = None
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> "Data":
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"names: got {len(self.names)}, expected one for each of {self.classes} classes")
        return self

    def label(self, index: int) -> str:
        """Return a class as a report calls it: "7", or "boot (7)" where the data name their classes."""
        return f"{self.names[index]} ({index})" if index < len(self.names) else str(index)

    def agrees(self, other: "Data") -> bool:
        """Return whether both are the same samples, as far as both say: older records have no hash."""
        silent = {name: getattr(other, name) for name in ("sha256", "names") if not getattr(self, name)}
        spoken = {name: getattr(self, name) for name in ("sha256", "names") if not getattr(other, name)}
        return self.model_copy(update=silent) == other.model_copy(update=spoken)


class Training(Part):
    """How a model was trained: every setting that its weights depend on."""

    settings: Mapping[str, Scalar]
    seconds: Seconds


class GainRow(Part):
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
    layers: tuple[GainRow, ...]


class GrowthRow(Part):
    """Theory against measurement, for one layer and one kind of perturbation: ratios ‖·‖₂/‖Δs‖₂ over samples.

    Attributes:
        layer, source: which layer; what the perturbation was.
        samples: how many samples were perturbed.
        bound: the proven gain, which `simplified` can't exceed; None is infinite.
        simplified: the greatest ratio of the simplified dynamics.
        same_trains: in how many samples no spike of the layer changed: the gain covers the true dynamics there.
        exact_same: the greatest ratio of the true dynamics among those; None where there are none.
        exact: the greatest ratio of the true dynamics: no bound covers it. None is infinite.
    """

    layer: str
    source: str
    samples: Positive
    bound: FiniteFloat | None
    simplified: Seconds
    same_trains: Count
    exact_same: Seconds | None = None
    exact: Seconds | None = None

    @model_validator(mode="after")
    def _check_bound(self) -> "GrowthRow":
        for name, measured in (("simplified", self.simplified), ("exact_same", self.exact_same)):
            if self.bound is not None and measured is not None and measured > self.bound * (1 + ROUNDING):
                raise ValueError(f"{name}: got {measured!r} in {self.layer}, above the proven {self.bound!r}")
        return self


class NeuronActivity(Part):
    """One neuron's trains for sample and counterexample; potentials (before reset) of a few neurons only."""

    index: Count
    clean: Train
    perturbed: Train
    clean_potentials: tuple[FiniteFloat, ...] = ()
    perturbed_potentials: tuple[FiniteFloat, ...] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> "NeuronActivity":
        lengths = {len(self.clean), len(self.perturbed)}
        lengths |= {len(found) for found in (self.clean_potentials, self.perturbed_potentials) if found}
        if bool(self.clean_potentials) != bool(self.perturbed_potentials):
            raise ValueError(f"neuron {self.index}: got the potentials of one run, expected both or none")
        if len(lengths) != 1:
            raise ValueError(f"neuron {self.index}: got {sorted(lengths)} steps, expected one number of steps")
        return self


class LayerActivity(Part):
    """One spiking layer's activity: how many of its neurons changed their train, and some of the neurons."""

    name: str
    neurons: Positive
    changed: Count
    threshold: FiniteFloat
    shown: tuple[NeuronActivity, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_counts(self) -> "LayerActivity":
        differing = sum(neuron.clean != neuron.perturbed for neuron in self.shown)
        if not differing <= self.changed <= self.neurons:
            raise ValueError(
                f"{self.name}: got {self.changed} changed neurons of {self.neurons}, {differing} shown"
            )
        if any(neuron.index >= self.neurons for neuron in self.shown):
            raise ValueError(f"{self.name}: got a neuron beyond the {self.neurons} of the layer")
        if len({len(neuron.clean) for neuron in self.shown}) != 1:
            raise ValueError(f"{self.name}: got trains of different lengths, expected one number of steps")
        return self


class KeptMember(Part):
    """What tells a member of a set of networks from the network: the bytes of a safetensors file, packed."""

    content: Annotated[str, Field(max_length=MOST_MEMBER, pattern=r"^[A-Za-z0-9+/=]*$")]


class Counterexample(Part):
    """An input that the network misclassifies: the flattened values of the sample and of what was found.

    `predicted` is the class that beats the label, or, where it is `tied`, shares the greatest logit with it.
    `activity` is what the spiking layers did for both; empty where it was not recorded. `member` is of a set of
    networks the one that misclassifies it; `perturbed` is then the sample itself, or an input around it.
    `outputs` are, where a property was asked about, those of the sample and those that violate it; `label` and
    `predicted` are then their greatest ones.
    """

    index: Count
    label: Count
    predicted: Count
    tied: bool = False
    epsilon: FiniteFloat
    found_by: str
    shape: tuple[Positive, ...]
    clean: tuple[FiniteFloat, ...]
    perturbed: tuple[FiniteFloat, ...]
    activity: tuple[LayerActivity, ...] = ()
    member: KeptMember | None = None
    outputs: tuple[tuple[FiniteFloat, ...], tuple[FiniteFloat, ...]] | None = None

    @model_validator(mode="after")
    def _check_size(self) -> "Counterexample":
        size = _size(self.shape)
        if not len(self.clean) == len(self.perturbed) == size:
            got = f"{len(self.clean)} and {len(self.perturbed)} values"
            raise ValueError(f"clean, perturbed: got {got}, expected {size} as shape {self.shape} says")
        if self.outputs is not None and len({len(one) for one in self.outputs} | {0}) != 2:
            raise ValueError("outputs: got two of different lengths, or none, expected one number of outputs")
        return self


def _size(shape: tuple[int, ...]) -> int:
    """Return how many values a shape has, at most 2⁶³: a product of a stranger's sizes may have any length."""
    size = 1
    for axis in shape:
        size = min(size * axis, 2**63)
    return size


class Architecture(Part):
    """The network without its weights, and the hash over both."""

    description: dict[str, Any]
    parameters: Count
    num_steps: Positive
    sha256: Sha256

    @property
    def whole(self) -> bool:
        """Return whether the network is one of whole numbers, as chips run it."""
        layers = self.description.get("layers", [])
        return bool(layers) and layers[0].get("type") == "WholeInput"

    @property
    def unconfirmed(self) -> bool:
        """Return whether the network's source was never run: its name says so."""
        return bool(self.description.get("unconfirmed"))

    @field_validator("description")
    @classmethod
    def _check_layers(cls, description: dict[str, Any]) -> dict[str, Any]:
        layers = description.get("layers", [])
        if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
            raise ValueError("layers: expected a list of objects")
        return description
