"""StuckNeurons: up to k spiking neurons in all that never fire, or fire at each step.

Verdicts by every member of a set of stuck neurons: each is run, and each is bounded as it is.

Stuck neurons that do most harm, one after another: each next one beside those that are stuck already.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice, product
from math import comb
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, circuit, fold
from ...models.constants import at_least, settle, wholes
from ...models.networks import SpikingNetwork
from ..bounds.propagation import Propagation, input_signal, known_margins
from ..bounds.signals.signals import Signal, SpikeBound
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes, window_spikes
from ..perturbations import Perturbation
from ..replay import margins, replays
from ..rounding import Rounding
from ..ties import Goal
from ..verdicts import Verdict
from .base import (
    Fault,
    MaskedSpikes,
    Masks,
    NetworkSet,
    Question,
    Search,
    Trial,
    checked_around,
    features_of,
    masks_of,
    stuck,
    stuck_member,
)
from .stuck_bounds import stuck_margins

TOGETHER = 512
"""Members bounded at once."""


@dataclass(frozen=True)
class MaskedPropagation(Propagation):
    """What is known of each signal of members, a row each.

    Attributes:
        masks: of each spiking layer, by the name of its node.
    """

    masks: dict[str, Masks] | None = None

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return the spikes with the stuck ones in their place."""
        assert self.masks is not None
        return MaskedSpikes(super().fired(node, x), self.masks[node.name])


def member_margins(made: Circuit, box: Box, labels: Tensor, masks: Sequence[Masks], exact: bool) -> Tensor:
    """Return lower bounds of logit_y − logit_c of members, (n, classes); rows of `box` and masks go together.

    Args:
        made: the circuit of the nominal member.
        box: inputs, (n, ...).
        labels: (n,).
        masks: of each spiking layer.
        exact: whether each row of `box` is one input.
    """
    named = {node.name: mask for node, mask in zip(made.fired, masks, strict=True)}
    source = input_signal(made, box)
    spikes = step_spikes if exact else window_spikes
    known = fold(made, MaskedPropagation(source, spikes, Rounding.of(made), masks=named))
    return known_margins(made, known, labels, box.lower)


@torch.no_grad()
def listed(
    question: Question,
    index: int,
    box: Box,
    members: Iterator[tuple[Fault, ...]],
    features: list[torch.Size],
    exact: bool,
) -> Verdict:
    """Return the verdict of one sample by all members of a set.

    Args:
        question: the samples.
        index: of the sample.
        box: holds the inputs around it, (1, ...).
        members: all of them.
        features: of each spiking layer.
        exact: whether `box` is the sample alone.
    """
    started, made = time.perf_counter(), circuit(question.network)
    goal, least, undecided, done = Goal.of(made, question.ties), torch.inf, 0, 0
    sample, label = question.inputs[index], int(question.labels[index])

    def verdict(status: str, margin: float | None, reason: str, member: SpikingNetwork | None = None) -> Verdict:
        seconds, found = time.perf_counter() - started, None if member is None else sample.clone()
        return Verdict(status, margin, found, "enumeration", seconds, reason, question.ties, member)

    while part := list(islice(members, TOGETHER)):
        if question.expired():
            return verdict("unknown", None, f"the time was up after {done} members")
        labels = question.labels[index].expand(len(part))
        low, high = (end.expand(len(part), *end.shape[1:]) for end in (box.lower, box.upper))
        masks, rows = masks_of(part, features, sample), Box(low, high)
        with stuck(question.network, masks) as network:
            failing = margins(network(sample.expand(len(part), *sample.shape)), labels, question.ties) <= 0
        for at in failing.nonzero().flatten().tolist():
            member = stuck_member(question.network, part[at], features)
            if replays(member, sample, label, question.ties):
                return verdict("falsified", None, "one of the set's members fails", member=member)
        lower = goal.tightened(member_margins(made, rows, labels, masks, exact))
        undecided += int((~goal.proven(lower, labels).all(1)).sum())
        least, done = min(least, float(lower.amin())), done + len(part)
    if undecided:
        return verdict("unknown", least, f"the bounds of {undecided} of {done} members do not suffice")
    return verdict("verified", least, f"each of the set's {done} members is proven")


MOST_TRIED = 2048
"""Faults tried for one neuron of one sample; of more a random choice."""
TRIED_AT_ONCE = 256
"""Members run at once."""
SWAPS = 2
"""How often the neurons found are chosen again, one by one, beside the others."""


def search(count: int, takes: Callable[[int], bool], question: Question, generator: torch.Generator) -> Search:
    """Yield members for one sample at a time.

    Args:
        count: how many neurons may be stuck.
        takes: says of which layers.
        question: the samples.
        generator: chooses faults where there are too many.
    """
    features = features_of(question.network, question.inputs)
    single = [
        Fault(layer, neuron, fires)
        for layer, shape in enumerate(features)
        if takes(layer)
        for neuron in range(shape.numel())
        for fires in (False, True)
    ]
    everyone = torch.arange(len(question.labels), device=question.labels.device)
    for index in range(len(question.labels) if count else 0):
        one = everyone[index : index + 1]
        for faults in _chains(count, single, features, question, index, generator):
            standing, _ = yield Trial(stuck_member(question.network, faults, features), one, close=False)
            if not bool(standing[index]):
                break


def _chains(
    count: int,
    single: list[Fault],
    features: list[torch.Size],
    question: Question,
    index: int,
    generator: torch.Generator,
) -> Iterator[tuple[Fault, ...]]:
    """Yield the worst faults so far: one more each time, and then one of them chosen again."""
    chosen: tuple[Fault, ...] = ()
    for place in range(count * (1 + SWAPS)):
        kept = chosen[1:] if place >= count else chosen
        taken = {(fault.layer, fault.neuron) for fault in kept}
        left = [fault for fault in single if (fault.layer, fault.neuron) not in taken]
        if len(left) > MOST_TRIED:
            left = [left[at] for at in torch.randperm(len(left), generator=generator)[:MOST_TRIED].tolist()]
        if not left:
            return
        members = [(*kept, fault) for fault in left]
        chosen = members[int(_margins(question, index, members, features).argmin())]
        yield chosen


@torch.no_grad()
def _margins(
    question: Question, index: int, members: list[tuple[Fault, ...]], features: list[torch.Size]
) -> Tensor:
    """Return the margin of one sample in each member, (n,)."""
    found = []
    for start in range(0, len(members), TRIED_AT_ONCE):
        part = members[start : start + TRIED_AT_ONCE]
        inputs = question.inputs[index].expand(len(part), *question.inputs.shape[1:])
        labels = question.labels[index].expand(len(part))
        with stuck(question.network, masks_of(part, features, inputs)) as network:
            found.append(margins(network(inputs), labels, question.ties))
    return torch.cat(found).nan_to_num(torch.inf)


MOST_LISTED = 2**16
"""Sets of so many members are listed."""


@dataclass(frozen=True)
class StuckNeurons(NetworkSet):
    """All networks that one is with at most `count` of its spiking neurons stuck, each at silence or at firing.

    A neuron is one place of a layer that fires: of a convolution, one channel at one pixel. One that is stuck
    gives 0 at each step, or 1 at each, whatever enters it; all others are as they were. A final neuron whose
    potential is read does not fire, and is none of them.

    Args:
        count: k, of all layers together.
        layers: which spiking layers have them, from 0 on in order of execution; None for all.
        around: inputs around each sample, beside that; None for the sample itself.

    Raises:
        TypeError, ValueError: for a count below 0, or what names no layers.

    >>> StuckNeurons(2, layers=(0,))
    StuckNeurons(count=2, layers=(0,), around=None)
    """

    lists: ClassVar[bool] = True
    count: int = 1
    layers: tuple[int, ...] | None = None
    around: Perturbation | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(0), "count")
        if self.layers is not None:
            layers = wholes("layers", (self.layers,) if isinstance(self.layers, int) else self.layers)
            if not layers or min(layers) < 0 or len(set(layers)) < len(layers):
                raise ValueError(f"layers: got {layers}, expected different numbers from 0 on")
            object.__setattr__(self, "layers", tuple(sorted(layers)))
        checked_around(self.around)

    def nominal(self, network: SpikingNetwork) -> SpikingNetwork:
        """Return the network itself.

        Raises:
            ValueError: for layers that it does not have, or feedbacks.
        """
        made = circuit(network)
        if made.recurs:
            raise ValueError("network: got a layer that hears itself, which StuckNeurons does not know")
        last = len(made.fired) - 1
        if self.layers is not None and self.layers[-1] > last:
            raise ValueError(f"layers: got {self.layers[-1]}, expected at most {last}: numbers of spiking layers")
        return network

    def check(self, network: SpikingNetwork, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are valid samples, and there are as many neurons as may be stuck."""
        super().check(network, inputs)
        most = int(self.reach(network, inputs))
        if self.count > most:
            raise ValueError(f"count: got {self.count}, expected at most the {most} neurons that there are")

    def reach(self, network: SpikingNetwork, inputs: Tensor) -> float:
        """Return how many neurons may be stuck."""
        shapes = features_of(network, inputs)
        return float(sum(shape.numel() for layer, shape in enumerate(shapes) if self.takes(layer)))

    @property
    def grid(self) -> float:
        """Return 1: sizes are whole numbers."""
        return 1.0

    def sized(self, size: float) -> "StuckNeurons":
        """Return the set of another count."""
        return replace(self, count=int(size))

    def takes(self, layer: int) -> bool:
        """Return whether neurons of a layer may be stuck."""
        return self.layers is None or layer in self.layers

    def margins(self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound) -> Tensor:
        """Return lower bounds of logit_y − logit_c for all members and inputs, (batch, classes), float64."""
        healthy = Propagation(input_signal(circuit, box), spikes, Rounding.of(circuit))
        allowed = frozenset(node.name for layer, node in enumerate(circuit.fired) if self.takes(layer))
        return stuck_margins(circuit, healthy, labels, box.lower, self.count, allowed)

    def propose(self, question: Question, generator: torch.Generator) -> Search:
        """Yield members whose stuck neurons were found one by one."""
        return search(self.count, self.takes, question, generator)

    def listed(self, question: Question) -> list[Verdict]:
        """Return each sample's verdict by all members, where there are few."""
        features = features_of(question.network, question.inputs)
        neurons = sum(shape.numel() for layer, shape in enumerate(features) if self.takes(layer))
        count = sum(comb(neurons, size) * 2**size for size in range(self.count + 1))
        if count > MOST_LISTED:
            reason = f"the set has {count} members, above the {MOST_LISTED} that are run"
            none = Verdict("unknown", None, None, "enumeration", 0.0, reason, question.ties)
            return [none] * len(question.labels)
        box, exact = self.enclosure, self.around is None
        return [
            listed(question, index, box(sample[None]), self._members(features), features, exact)
            for index, sample in enumerate(question.inputs)
        ]

    def _members(self, features: list[torch.Size]) -> Iterator[tuple[Fault, ...]]:
        """Yield all members as what is stuck in them, the fewest first."""
        places = [
            (layer, neuron)
            for layer, shape in enumerate(features)
            if self.takes(layer)
            for neuron in range(shape.numel())
        ]
        for size in range(self.count + 1):
            for chosen in combinations(places, size):
                for fires in product((False, True), repeat=size):
                    yield tuple(Fault(*place, fire) for place, fire in zip(chosen, fires, strict=True))
