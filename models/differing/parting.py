"""Where the trains of two builds part: which layers stand for each other, and the first layer, neuron and step.

A spike that differs at step t is the cause of all that differs later, and at step t of all that differs in layers
behind: what comes first is the smallest step, and there the first layer. What a layer hears up to then is the same
in both builds, so it is that layer, or the maps between it and the layers before, that do something else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from ..conversion.checking import ROUNDING, readings_of
from ..elements.neuron import AdaptiveLIF
from ..elements.neurons import LIF
from ..elements.varied import VariedLIF
from ..networks import SpikingNetwork
from .builds import Build
from .recorded import Recorded
from .settings.exchanges import matches
from .settings.platform import PlatformLIF

OUTPUTS = "outputs"
"""What stands for a layer where trains are the same and the readout is not."""
TIE = 128.0
"""Roundings, of the larger of θ and the current, within which a potential is on its threshold."""
Pairs = tuple[tuple[int, int], ...]
"""The layers that stand for each other, by their places in A and in B."""


class Parting(NamedTuple):
    """Where trains part first.

    Attributes:
        layer: its name in A, or "outputs".
        neuron: its place among the flattened neurons of the layer, from 0.
        step: t, from 1.
    """

    layer: str
    neuron: int
    step: int


def corresponding(a: Recorded, b: Recorded) -> Pairs:
    """Return which layers stand for each other: all in their order where they are alike, else as many as are."""
    sizes = [[spikes.shape[2] for spikes in each.spikes] for each in (a, b)]
    return matches(*sizes)


@dataclass(frozen=True)
class Compared:
    """Two runs of one batch.

    Attributes:
        spikes: which spikes differ, per pair of layers, (T, batch, neurons).
        outputs: of which inputs the outputs differ, (batch,); None where nothing is comparable.
        batch: how many inputs.
    """

    spikes: tuple[Tensor, ...]
    outputs: Tensor | None
    batch: int

    @property
    def wrong(self) -> int:
        """Return how many spikes and outputs differ."""
        return sum(int(each.sum()) for each in self.spikes) + (
            0 if self.outputs is None else int(self.outputs.sum())
        )

    def firsts(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (step, pair, neuron, input) of each input's first parting in its trains, from 0."""
        if not self.spikes:
            return
        over = torch.stack([each.any(2) for each in self.spikes], 1)  # (T, pairs, batch)
        for sample in over.any(0).any(0).nonzero().flatten().tolist():
            step, pair = over[:, :, sample].nonzero()[0].tolist()
            neuron = int(self.spikes[pair][step, sample].nonzero()[0])
            yield step, pair, neuron, sample

    def without(self, samples: Tensor) -> "Compared":
        """Return the same with nothing that differs in some inputs, (batch,)."""
        kept = ~samples
        outputs = None if self.outputs is None else self.outputs & kept
        return Compared(tuple(each & kept[:, None] for each in self.spikes), outputs, self.batch)

    @property
    def parted(self) -> Tensor:
        """Return of which inputs trains or outputs differ, (batch,)."""
        found = [each.any(2).any(0) for each in self.spikes] + ([] if self.outputs is None else [self.outputs])
        return torch.stack([torch.zeros(self.batch, dtype=torch.bool), *found]).any(0)


def compared(a: Build, b: Build, one: Recorded, other: Recorded, pairs: Pairs) -> Compared:
    """Return what differs between two runs on the same inputs."""
    spikes = tuple(one.spikes[i] != other.spikes[j] for i, j in pairs)
    batch = one.inputs
    return Compared(spikes, _outputs_apart(a.network, b.network, one.outputs, other.outputs, batch), batch)


def _outputs_apart(
    a: SpikingNetwork | None, b: SpikingNetwork | None, one: Sequence[Tensor], other: Sequence[Tensor], batch: int
) -> Tensor | None:
    """Return of which inputs the outputs are not the same but for rounding."""
    if (a is None) != (b is None):
        network, logits = (a, one[0]) if a is not None else (b, other[0])
        assert network is not None
        found = [
            each for output in (other if a is not None else one) for each in readings_of(output, network, logits)
        ]
        errors = [_far(logits, each) for each in found]
        return min(errors, key=lambda each: int(each.sum()), default=None)
    pairs = [(x, y) for x, y in zip(one, other, strict=False) if x.shape == y.shape and x.dim() > 1]
    same = [_far(_by_input(x, batch), _by_input(y, batch)) for x, y in pairs if batch in x.shape[:2]]
    return torch.stack(same).any(0) if same else None


def _by_input(output: Tensor, batch: int) -> Tensor:
    """Return an output with its inputs first: behind time, where that is first."""
    return output if len(output) == batch else output.transpose(0, 1)


def _far(one: Tensor, other: Tensor) -> Tensor:
    eps = max(torch.finfo(each.dtype).eps for each in (one, other))
    size = torch.maximum(one.abs(), other.abs()).double().flatten(1).amax(1)
    return (one.double() - other.double()).abs().flatten(1).amax(1) > ROUNDING * eps * size


Side = tuple[Build, Recorded]


def decided_by_rounding(found: Compared, one: Side, other: Side, pairs: Pairs) -> Tensor:
    """Return of which inputs the first parting is where potentials are within rounding of their threshold."""
    tied = torch.zeros(found.batch, dtype=torch.bool)
    if one[0].network is None and other[0].network is None:
        return tied
    for step, pair, neuron, sample in found.firsts():
        sides = zip((one, other), pairs[pair], strict=True)
        tied[sample] = all(
            potential_near(build.network, run, layer, step, sample, neuron) for (build, run), layer in sides
        )
    return tied


def potential_near(
    network: SpikingNetwork | None, run: Recorded, layer: int, step: int, sample: int, neuron: int
) -> bool:
    """Return whether a potential is within rounding of its threshold; True where it is not known."""
    if network is None or run.potentials is None or run.currents is None:
        return True
    limit = threshold_of(network.neurons[layer], neuron)
    if limit is None:
        return False
    value, heard = run.potentials[layer][step, sample, neuron], run.currents[layer][: step + 1, sample, neuron]
    size = max(abs(limit), float(heard.abs().max()))
    return abs(float(value) - limit) <= TIE * torch.finfo(value.dtype).eps * size


def threshold_of(layer: LIF, neuron: int) -> float | None:
    """Return θ of one neuron; None where it moves."""
    if isinstance(layer, AdaptiveLIF):
        return None
    if isinstance(layer, PlatformLIF):
        return _entry(torch.as_tensor(layer.settings.threshold), neuron)
    return _entry(layer.threshold, neuron) if isinstance(layer, VariedLIF) else layer.dynamics.threshold


def _entry(constants: Tensor, neuron: int) -> float | None:
    """Return a neuron's own constant; None where channels share it and the place is not known."""
    if constants.numel() == 1:
        return float(constants)
    return float(constants.flatten()[neuron]) if constants.dim() == 1 and neuron < len(constants) else None


@dataclass
class Partings:
    """What differs in all batches so far.

    Attributes:
        samples, parted, answers: inputs, those whose trains or outputs differ, and those whose classes differ.
        comparable: whether any outputs could be compared.
        counts, wrong, inputs: per pair of layers: spikes compared, those that differ, inputs that are concerned.
        steps: how many spikes differ at each step.
        first: (step, pair, neuron, input) of the first parting, an input's index among all.
        tied: inputs whose first parting is at potentials within rounding of their thresholds.
        chosen: inputs whose trains or outputs differ, by their indices.
    """

    pairs: Pairs
    num_steps: int
    samples: int = 0
    parted: int = 0
    answers: int = 0
    counts: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    first: tuple[int, int, int, int] | None = None
    tied: int = 0
    comparable: bool = True
    chosen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts, self.wrong, self.inputs = ([0] * len(self.pairs) for _ in range(3))
        self.steps = [0] * self.num_steps

    def add(self, a: Build, b: Build, one: Recorded, other: Recorded) -> None:
        """Take in a batch."""
        found = compared(a, b, one, other, self.pairs)
        for place, each in enumerate(found.spikes):
            self.counts[place] += each.numel()
            self.wrong[place] += int(each.sum())
            self.inputs[place] += int(each.any(2).any(0).sum())
            self.steps = [x + y for x, y in zip(self.steps, each.sum((1, 2)).tolist(), strict=True)]
        for step, pair, neuron, sample in found.firsts():
            mine = step, pair, neuron, sample + self.samples
            self.first = mine if self.first is None or mine[:2] < self.first[:2] else self.first
        tied = decided_by_rounding(found, (a, one), (b, other), self.pairs)
        self.comparable &= found.outputs is not None
        self.answers += _answers_apart(a, b, one, other)
        parted = found.parted
        self.tied += int((parted & tied).sum())
        self.chosen += (parted.nonzero().flatten() + self.samples).tolist()
        self.parted += int(parted.sum())
        self.samples += found.batch


def _answers_apart(a: Build, b: Build, one: Recorded, other: Recorded) -> int:
    """Return of how many inputs the classes differ; 0 where one build returns none that are comparable."""
    if a.network is None or b.network is None:
        network, logits, given = (
            (a.network, one.outputs[0], other.outputs) if a.network else (b.network, other.outputs[0], one.outputs)
        )
        if network is None:
            return 0
        found = [each for output in given for each in readings_of(output, network, logits)]
        return int((found[0].argmax(1) != logits.argmax(1)).sum()) if found else 0
    return int((one.outputs[0].argmax(1) != other.outputs[0].argmax(1)).sum())


@dataclass(frozen=True, order=True)
class Standing:
    """How far two builds agree on some inputs; more is better.

    Attributes:
        step, place: of the first parting; infinite for none.
        right: minus how many spikes and outputs differ.
    """

    step: float
    place: float
    right: int

    @property
    def agrees(self) -> bool:
        """Return whether nothing differs."""
        return self.right == 0


def standing(found: Compared, pairs: Pairs, side: int) -> Standing:
    """Return how far two runs agree; `place` is a layer's of one side, 0 for A and 1 for B."""
    first = min((each[:2] for each in found.firsts()), default=None)
    if first is None:
        return Standing(inf, inf if found.wrong == 0 else 1e9, -found.wrong)
    return Standing(first[0], pairs[first[1]][side], -found.wrong)
