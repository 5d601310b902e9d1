"""The parts of a run record that say under which circumstances it was made: plain, frozen, versioned data."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from ...certify.network_sets.base import NetworkSet
from ...certify.perturbations import Perturbation
from ...certify.problem import Scale, scale
from ...certify.questions import Property
from ...certify.questions.described import LONGEST, property_of
from ...files.texts import fraction
from .network_rules import OF_NETWORKS, OF_NORM, EventRules, Features, NetworkRules, box_scale
from .rows import Count, Part, Positive, Scalar, Seconds, Sha256, Train, Written, epsilon_short, epsilon_text

SCHEMA = "spikecert.record/2"
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


class Threat(Part):
    """The threat model: every input within `epsilon` of a sample in `norm`, and within [lower, upper].

    In "l0" ε is a number of flipped events, in "shift" of steps by which events move in all, in "l0+shift" of
    events that flip beside moves, which `events` tells: inputs are events. In "tolerance" and "stuck" it is a set
    of networks: ε is a share of their weights, or how many neurons are stuck; `networks` tells what else differs.
    `written` is each ε as people wrote it, such as ".5/255"; empty where that is not known.
    `events` says which events change, and how; None where all may, by ε in all.
    In "box" each feature moves by ε times its own size, which `features` says, within its own ends.
    `asked` is the property that must hold at each of these inputs, as its text; None: they get the sample's label.
    """

    norm: Literal["linf", "l2", "box", "l0", "shift", "l0+shift", "tolerance", "stuck"]
    lower: FiniteFloat
    upper: FiniteFloat
    epsilons: tuple[Annotated[FiniteFloat, Field(gt=0)], ...] = Field(min_length=1)
    written: tuple[Written, ...] = ()
    events: EventRules | None = None
    networks: NetworkRules | None = None
    features: Features | None = None
    asked: Annotated[str, Field(min_length=1, max_length=LONGEST)] | None = None

    @field_validator("asked")
    @classmethod
    def _check_asked(cls, asked: str | None) -> str | None:
        if asked is not None:
            property_of(asked)
        return asked

    @field_validator("events")
    @classmethod
    def _check_told(cls, events: EventRules | None) -> EventRules | None:
        return events if events is not None and events.told else None

    @field_validator("networks")
    @classmethod
    def _check_networks(cls, networks: NetworkRules | None) -> NetworkRules | None:
        return networks if networks is not None and networks.told else None

    @model_validator(mode="after")
    def _check_order(self) -> "Threat":
        if list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError(f"epsilons: got {self.epsilons}, expected them rising, each once")
        if not self.lower < self.upper:
            raise ValueError(f"lower, upper: got [{self.lower}, {self.upper}], expected lower < upper")
        counted = {"l0": "flips", "shift": "shifts", "l0+shift": "flips", "stuck": "neurons"}.get(self.norm)
        if counted and not all(epsilon.is_integer() for epsilon in self.epsilons):
            raise ValueError(f"epsilons: got {self.epsilons}, expected whole numbers of {counted}")
        if self.norm == "tolerance" and self.epsilons[-1] >= 1:
            raise ValueError(f"epsilons: got {self.epsilons}, expected shares below 1, such as 5%")
        if counted and self.norm in OF_NORM and (self.lower, self.upper) != (0.0, 1.0):
            raise ValueError(f"lower, upper: got [{self.lower}, {self.upper}], expected [0, 1] for {counted}")
        if self.written and tuple(map(fraction, self.written)) != self.epsilons:
            raise ValueError(
                f"written: got {self.written}, expected the epsilons {self.epsilons} in the same order"
            )
        if bool(self.features) != (self.norm == "box"):
            raise ValueError(
                f'features: got {len(self.features or ())} with norm {self.norm!r}, expected some with "box"'
            )
        if self.features and not any(feature.size > 0 for feature in self.features):
            raise ValueError("features: got 0 as the size of each, expected one that moves")
        self.rules.check(self.norm)
        self.others.check(self.norm)
        if self.asked is not None and self.of_networks:
            raise ValueError(f"asked: got a property with norm {self.norm}, expected none: labels alone")
        return self

    @property
    def rules(self) -> EventRules:
        """Return which events change, and how."""
        return self.events or EventRules()

    @property
    def others(self) -> NetworkRules:
        """Return how other networks than the one at hand may differ from it."""
        return self.networks or NetworkRules()

    @property
    def of_networks(self) -> bool:
        """Return whether the sets are of networks."""
        return self.norm in OF_NETWORKS

    @property
    def prop(self) -> Property | None:
        """Return what must hold; None: inputs get their sample's label."""
        return None if self.asked is None else property_of(self.asked)

    @property
    def bracketed(self) -> bool:
        """Return whether samples have radii."""
        return self.rules.bracketed(self.norm)

    @property
    def scale(self) -> Scale:
        """Return the sets of inputs of all sizes.

        Raises:
            ValueError: for sets of networks.
        """
        if self.of_networks:
            raise ValueError(f"norm: got {self.norm}, a set of networks, expected a set of inputs, such as linf")
        if self.norm in OF_NORM:
            return self.rules.scale(self.norm)
        if self.features:
            return box_scale(self.features)
        return scale(self.norm, self.lower, self.upper)

    @property
    def sets(self) -> Scale | NetworkSet:
        """Return the sets of all sizes; of networks one, whose sizes are."""
        if self.of_networks:
            return self.others.networks(self.norm, self.epsilons[0], self.lower, self.upper)
        return self.scale

    def around(self, epsilon: float) -> Perturbation | NetworkSet:
        """Return the set of one size."""
        sets = self.sets
        return sets.sized(epsilon) if isinstance(sets, NetworkSet) else sets.around(epsilon)

    def agrees(self, other: "Threat") -> bool:
        """Return whether both are the same sets, however their ε were written."""
        return self.model_copy(update={"written": other.written}) == other

    def short(self, epsilon: float) -> str:
        """Return ε for an axis or a column, as it was written where that is known: "8/255", ".5/255" or "0.03"."""
        return epsilon_short(epsilon, self._written(epsilon))

    def text(self, epsilon: float) -> str:
        """Return ε with its value: ".5/255 = 0.001961", or "0.03"."""
        return epsilon_text(epsilon, self._written(epsilon))

    def _written(self, epsilon: float) -> str:
        return dict(zip(self.epsilons, self.written, strict=False)).get(epsilon, "")


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
