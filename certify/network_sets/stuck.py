"""StuckNeurons: up to k spiking neurons in all that never fire, or fire at each step.

Verdicts by a search of all members: sets of them are bounded, and split where that does not suffice.

Stuck neurons that do most harm, one after another: each next one beside those that are stuck already.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, UnknownNode, circuit
from ...models.constants import at_least, settle, wholes
from ...models.networks import SpikingNetwork
from ...models.rules import SEVERAL as SEVERAL_SPIKES
from ..bounds.propagation import Propagation, input_signal
from ..bounds.signals.signals import Signal, SpikeBound
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes, window_spikes
from ..perturbations import Perturbation
from ..replay import margins, replays
from ..rounding import Rounding
from ..search import Domain, Limits
from ..ties import Goal
from ..verdicts import Verdict
from .base import (
    Fault,
    MaskedSpikes,
    Masks,
    NetworkSet,
    Search,
    SetQuestion,
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
SEVERAL = 8
"""How many single members take as long as one with any others beside it."""
MOST_PARTS = 2**16
"""Single members that a search may take as long as."""


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


Members = tuple[tuple[int, ...], int]
"""All members with some faults and at most so many others: places of `MemberSearch.faults`, and their number."""


class MemberSearch(Domain[tuple[Members, ...]]):
    """A search of all members of a set for one sample, those with the fewest faults first.

    Members with the faults F and at most r others are bounded with F in their place and r of any neurons beside
    them. Where that proves them, no F ∪ {a} is asked; else the member F alone is, and F ∪ {b}, r − 1 others, for
    each b behind the last of F, so that each set of faults is made once. One of which a part is proven is so, too.

    Args:
        question: the samples.
        index: of the sample.
        box: holds the inputs around it, (1, ...).
        count: k.
        takes: says which layers may have stuck neurons.
        exact: whether `box` is the sample alone.
    """

    together = True

    def __init__(
        self, question: SetQuestion, index: int, box: Box, count: int, takes: Callable[[int], bool], exact: bool
    ) -> None:
        self.question, self.index, self.box, self.count, self.exact = question, index, box, count, exact
        self.made, self.features = circuit(question.network), features_of(question.network, question.inputs)
        self.goal = Goal.of(self.made, question.ties)
        self.faults: list[Fault] = single_faults(self.features, takes)
        self.allowed = frozenset(node.name for layer, node in enumerate(self.made.fired) if takes(layer))
        self.proven: set[frozenset[int]] = set()
        self.least, self.undecided, self.asked = torch.inf, 0, 0
        self.failing: SpikingNetwork | None = None

    @torch.no_grad()
    def verdict(self) -> Verdict:
        """Return what is known of the sample once all is proven, a member fails, or time or room is up.

        Some single faults are run first: of those that fail no bound is asked.
        """
        started = time.perf_counter()
        limits, why = Limits(stopped=self.question.expired), ""
        singles = [((place,), 0) for place in range(min(len(self.faults), TOGETHER))]
        if self.count and singles and not limits.expired():
            self.failing = self._failing(singles)
        if self.failing is None:
            why, _ = self.search([(((), self.count),)], limits, newest=False, most=TOGETHER)
        status, margin, reason = "verified", self.least, f"all members are proven in {self.asked} parts"
        if self.failing is not None:
            status, margin, reason = "falsified", None, "one of the set's members fails"
        elif why:
            status, margin, reason = "unknown", None, f"{why} after {self.asked} parts"
        elif self.undecided:
            status, reason = "unknown", f"the bounds of {self.undecided} members do not suffice"
        sample = None if self.failing is None else self.question.inputs[self.index].clone()
        seconds, ties = time.perf_counter() - started, self.question.ties
        return Verdict(status, margin, sample, "enumeration", seconds, reason, ties, self.failing)

    def size(self, part: tuple[Members, ...]) -> int:
        """Return how many single members take as long."""
        return sum(1 if left == 0 else SEVERAL for _, left in part)

    def joined(self, parts: list[tuple[Members, ...]]) -> tuple[Members, ...]:
        """Return all of them."""
        return tuple(chain.from_iterable(parts))

    def over(self) -> str:
        """Return that too many were bounded."""
        return "as many members as it may were asked" if self.parts >= MOST_PARTS else ""

    def bound(self, part: tuple[Members, ...]) -> tuple[Members, ...] | None:
        """Run the members with the fewest faults, and bound all; return those that are open and can be split."""
        self.asked += len(part)
        self.failing = self._failing(part)
        self.done = self.failing is not None
        open_ = list[Members]()
        for left in () if self.done else {left for _, left in part}:
            group = [each for each in part if each[1] == left]
            lower = self.goal.tightened(self._margins(group, left))
            proven = self.goal.proven(lower, self._labels(group)).all(1).tolist()
            self.proven |= {
                frozenset(faults) for (faults, _), holds in zip(group, proven, strict=True) if holds and left
            }
            rest = [each for each, holds in zip(group, proven, strict=True) if not holds]
            closed = lower.amin(1)[[holds or not left for holds in proven]]
            self.least = min(self.least, float(closed.amin())) if len(closed) else self.least
            self.undecided += 0 if left else len(rest)
            open_ += rest if left else []
        return tuple(open_) or None

    def split(self, part: tuple[Members, ...]) -> Iterator[tuple[Members, ...]]:
        """Yield each member alone, and it with one further fault."""
        for faults, left in part:
            yield ((faults, 0),)
            place = self.faults[faults[-1]] if faults else None
            for other, fault in enumerate(self.faults):
                behind = place is None or (fault.layer, fault.neuron) > (place.layer, place.neuron)
                found = (*faults, other)
                if behind and not any(frozenset(found) - {one} in self.proven for one in found):
                    yield ((found, left - 1),)

    def _labels(self, group: Sequence[Members]) -> Tensor:
        return self.question.labels[self.index].expand(len(group))

    def _masks(self, group: Sequence[Members]) -> list[Masks]:
        members = [[self.faults[place] for place in faults] for faults, _ in group]
        return masks_of(members, self.features, self.question.inputs[self.index])

    def _failing(self, group: Sequence[Members]) -> SpikingNetwork | None:
        """Return a member that fails, alone as well as in a batch."""
        question, sample = self.question, self.question.inputs[self.index]
        labels = self._labels(group)
        with stuck(question.network, self._masks(group)) as network:
            failing = margins(network(sample.expand(len(group), *sample.shape)), labels, question.ties) <= 0
        for at in failing.nonzero().flatten().tolist():
            member = stuck_member(question.network, [self.faults[place] for place in group[at][0]], self.features)
            if replays(member, sample, int(labels[at]), question.ties):
                return member
        return None

    def _margins(self, group: Sequence[Members], left: int) -> Tensor:
        """Return lower bounds of logit_y − logit_c with `left` faults beside each one's own, (n, classes)."""
        low, high = (end.expand(len(group), *end.shape[1:]) for end in (self.box.lower, self.box.upper))
        masks = {node.name: mask for node, mask in zip(self.made.fired, self._masks(group), strict=True)}
        spikes = step_spikes if self.exact and not left else window_spikes
        known = MaskedPropagation(
            input_signal(self.made, Box(low, high)), spikes, Rounding.of(self.made), masks=masks
        )
        return stuck_margins(self.made, known, self._labels(group), low, left, self.allowed)


def single_faults(features: Sequence[torch.Size], takes: Callable[[int], bool]) -> list[Fault]:
    """Return all single faults of the layers that may have some, neuron by neuron."""
    return [
        Fault(layer, neuron, fires)
        for layer, shape in enumerate(features)
        if takes(layer)
        for neuron in range(shape.numel())
        for fires in (False, True)
    ]


MOST_TRIED = 2048
"""Faults tried for one neuron of one sample; of more a random choice."""
TRIED_AT_ONCE = 256
"""Members run at once."""
SWAPS = 2
"""How often the neurons found are chosen again, one by one, beside the others."""


def search(count: int, takes: Callable[[int], bool], question: SetQuestion, generator: torch.Generator) -> Search:
    """Yield members for one sample at a time.

    Args:
        count: how many neurons may be stuck.
        takes: says of which layers.
        question: the samples.
        generator: chooses faults where there are too many.
    """
    features = features_of(question.network, question.inputs)
    single = single_faults(features, takes)
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
    question: SetQuestion,
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
    question: SetQuestion, index: int, members: list[tuple[Fault, ...]], features: list[torch.Size]
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
            ValueError, UnknownNode: for layers that it does not have, feedbacks, or several spikes a step.
        """
        made = circuit(network)
        if made.recurs:
            raise ValueError("network: got a layer that hears itself, which StuckNeurons does not know")
        for node in made.fired:
            if node.rule.most > 1:
                told = f"{node.name} is a {type(node.layer).__name__} of {SEVERAL_SPIKES}"
                raise UnknownNode(f"network: {told}, which StuckNeurons does not know")
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

    def propose(self, question: SetQuestion, generator: torch.Generator) -> Search:
        """Yield members whose stuck neurons were found one by one."""
        return search(self.count, self.takes, question, generator)

    def listed(self, question: SetQuestion) -> list[Verdict]:
        """Return each sample's verdict by a search of all members."""
        around = [self.enclosure(sample[None]) for sample in question.inputs]
        return [
            MemberSearch(question, index, box, self.count, self.takes, self.around is None).verdict()
            for index, box in enumerate(around)
        ]
