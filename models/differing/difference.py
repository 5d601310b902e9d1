"""What `differ` found, in words."""

from dataclasses import dataclass, field

from torch import Tensor

from ..networks import SpikingNetwork
from .explaining import Exchanged
from .parting import Parting

SHOWN = 12
"""Of what was tried, how much is told."""


@dataclass(frozen=True)
class LayerDifference:
    """Two layers that stand for each other.

    Attributes:
        a, b: their names.
        spikes: how many were compared, inputs × steps × neurons.
        wrong: how many of them differ.
        inputs: of how many inputs some differ.
    """

    a: str
    b: str
    spikes: int
    wrong: int
    inputs: int


@dataclass(frozen=True)
class DeclaredDifference:
    """A setting that differs between the two descriptions.

    Attributes:
        kind: one of `KINDS`.
        layer: its name in B.
        words: A's against B's.
        needed: whether it is one of the causes.
    """

    kind: str
    layer: str
    words: str
    needed: bool


@dataclass(frozen=True, eq=False)
class Moment:
    """The first parting: one neuron's run up to T in both builds, and its layer's trains.

    Attributes:
        sample: the input's index.
        threshold: θ in A and B; None where it is not one known number.
        potentials, currents: (T,) in A and B; None for a build that does not show them.
        rasters: the layer's spikes, (T, neurons), in A and B.
    """

    sample: int
    threshold: tuple[float | None, float | None]
    potentials: tuple[Tensor | None, Tensor | None]
    currents: tuple[Tensor | None, Tensor | None]
    rasters: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Difference:
    """Whether two builds of one network give the same trains, where these part first, and why.

    Attributes:
        same: whether all trains of layers that stand for each other, and all outputs, are the same.
        first: (layer, neuron, step) of the first parting; None where there is none.
        cause: why, beginning with "weight", "bias", "decay", "threshold", "reset", "order", "delay", "loop",
            "ties" or "saturation"; "" where the builds are the same.
        mended: whether the exchange that `cause` names was made, and made all trains equal, but for those that
            part within rounding of a threshold: a note tells of how many inputs.
        repaired: the network with the exchange, B with A's settings, which behaves as A; where B only runs as it
            is, A with B's, which behaves as B. None where nothing mends.
        changed: which build that is, "a" or "b".
        samples, num_steps: how much was compared.
        parted, answers: of how many inputs trains or outputs differ, and classes.
        layers: pairs of layers that stand for each other.
        alone: layers that stand for none, as "a: layers.3".
        steps: how many spikes differ at each step.
        declared: all settings that differ, whether they show or not.
        tried: what was exchanged, and how much still differed.
        moment: the first parting in both; None where no trains part.
        notes: how builds were read, and what else is to be known.
    """

    same: bool
    first: Parting | None
    cause: str
    mended: bool
    repaired: SpikingNetwork | None
    changed: str
    samples: int
    num_steps: int
    parted: int
    answers: int
    layers: tuple[LayerDifference, ...]
    alone: tuple[str, ...]
    steps: tuple[int, ...]
    declared: tuple[DeclaredDifference, ...]
    tried: tuple[Exchanged, ...]
    moment: Moment | None
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> str:
        """Return what was found in one sentence."""
        if self.same:
            told = f"same: all trains and outputs on {self.samples} inputs"
            count = len(self.declared)
            return f"{told}, though {count} settings differ" if count else told
        shown = f"{self.parted} of {self.samples} inputs differ, {self.answers} in their class"
        if self.first is None:
            return f"different: {shown}"
        layer, neuron, step = self.first
        place = f"{layer}, neuron {neuron}, step {step}" if self.moment else f"{layer}, entry {neuron}"
        return f"different: {shown}; first at {place}"

    @property
    def nearest(self) -> tuple[Exchanged, ...]:
        """Return what was tried and went farthest, each once; where something mends, no more than that."""
        found = {one.words: one for one in sorted(self.tried, key=lambda one: -one.wrong)}
        kept = sorted(found.values(), key=lambda one: one.wrong)
        return tuple(one for one in kept if not self.mended or not one.wrong)[:SHOWN]

    @property
    def report(self) -> str:
        """Return all that was found, as lines of text."""
        lines = [self.verdict, *([f"cause: {self.cause}"] if self.cause else [])]
        if self.moment is not None:
            lines += _moment_lines(self.moment, self.first)
        for layer in self.layers:
            share = 100 * layer.wrong / max(layer.spikes, 1)
            lines.append(
                f"{_both(layer)}: {share:.3g} % of {layer.spikes} spikes differ, in {layer.inputs} inputs"
            )
        if any(self.steps):
            parts = (f"{step + 1}: {count}" for step, count in enumerate(self.steps) if count)
            lines.append(f"spikes that differ, by step: {', '.join(parts)}")
        lines += [f"no layer stands for {name}" for name in self.alone]
        lines += [f"{'needed' if one.needed else 'differs'}: {told(one)}" for one in self.declared]
        lines += [f"tried: {one.words}: {one.wrong} still differ" for one in self.nearest]
        return "\n".join([*lines, *(f"* {note}" for note in self.notes)])


def told(one: DeclaredDifference) -> str:
    """Return a setting that differs in one line."""
    return f"{one.kind}: {one.layer}: {one.words}"


def _both(layer: LayerDifference) -> str:
    return layer.a if layer.a == layer.b else f"{layer.a} and {layer.b}"


def _moment_lines(moment: Moment, first: Parting | None) -> list[str]:
    """Return the membranes of both builds around the first parting."""
    assert first is not None
    lines = [f"input {moment.sample}, step by step up to the parting:"]
    for name, side in (("a", 0), ("b", 1)):
        potentials, currents = moment.potentials[side], moment.currents[side]
        spikes = moment.rasters[side][: first.step, first.neuron].int().tolist()
        if potentials is None or currents is None:
            lines.append(f"  {name}: spikes {spikes}; its potentials are not shown")
            continue
        limit = moment.threshold[side]
        shown = slice(max(0, first.step - 4), first.step)
        pairs = zip(currents[shown].tolist(), potentials[shown].tolist(), spikes[shown], strict=True)
        steps = ", ".join(f"I {i:.6g} v {v:.6g} s {s}" for i, v, s in pairs)
        lines.append(f"  {name}: {steps}{'' if limit is None else f' at θ = {limit:.6g}'}")
    return lines
