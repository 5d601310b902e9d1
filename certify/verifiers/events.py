"""Split sets of changed events by which event changes, until each part is proven or holds a counterexample.

A sample is verified once the parts of a cover are (bounds/events/parts.py), each by the bound of "trains" on it.
Of a part that is not proven some m is looked for, as small as can be found, such that it is once none of its
first m changes happens; each way in which one of these may makes a part of its own. Parts end: m grows, and
budgets fall; a part with nothing left to change is one recording. These are walked where members are
(listing.py), and what that leaves is run as the members of a list. What rounding leaves open there stays unknown.

Bounds of the margins of parts of a set, many at once.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, Mapped, Recurred, fold
from ...models.constants import at_least, settle
from ...models.deadline import LATE, TimeIsUp, ending
from ..bounds.events.parts import ChangedCurrents, PartCurrents, Parts, RankedChanges, first_layer
from ..bounds.propagation import Propagation, input_signal, propagate
from ..bounds.signals.signals import Signal
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import conserved_spikes
from ..boxes import influence
from ..listing import MOST_COLUMNS, PACE, MemberWalk, counted, walkable, work_each
from ..perturbations import EventChange, SpikeFlip, SpikeShift
from ..perturbations.base import MemberChanges
from ..perturbations.events.retiming import EventThreat, ranked_changes
from ..problem import Problem
from ..questions.classes import ClassGoal
from ..questions.rows import RowGoal
from ..rounding import Rounding
from ..search import Domain
from ..verdicts import Verdict
from .base import Verifier, falsified, one_by_one
from .enumeration import Enumeration, bounded

TOGETHER = 2**22
"""How many numbers the recordings have that are bounded at once."""

NUMBERS = 2**22
"""How many numbers what is known of the layers' trains has, about, that is made at once."""

FEW_CHANGES = 16
"""For how many changes, or steps of them, sums are kept."""

PART = 2**17
"""What a part takes whose sums are kept, beside its neurons, as `work_each` counts it."""


def ranked(problem: Problem) -> tuple[RankedChanges, Parts]:
    """Return the changes of one sample, by the weights that events meet first, the greatest first, and the set.

    Raises:
        OverflowError: where there are too many ways to make them.
    """
    weights = influence(problem.circuit, tuple(problem.inputs.shape[2:])).flatten()
    return ranked_changes(threat_of(problem), problem.inputs[0], weights.argsort(descending=True, stable=True))


class PartBound(ABC):
    """What bounds parts of one problem of one sample.

    Attributes:
        size: how many are bounded at once.
    """

    size: int

    @property
    @abstractmethod
    def work(self) -> int:
        """Return how much work a part is, as `work_each` counts it."""

    @abstractmethod
    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of logit_y − logit_k over each part, (n, classes), float64; +inf at k = y."""


@dataclass(frozen=True, eq=False)
class SetBound(PartBound):
    """Bounds each part as a set of changes around a recording, by the bound of "trains"."""

    problem: Problem
    threat: EventThreat
    ranked: RankedChanges

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return how many recordings are taken at once."""
        return max(1, TOGETHER // self.problem.inputs.numel())

    @property
    def work(self) -> int:
        """Return that of a member."""
        return work_each(self.problem.circuit, tuple(self.problem.inputs.shape[2:]))

    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of the margins."""
        recordings, changes = self.ranked.recordings(parts), self.ranked
        movable, free = (changes.possible(parts, marks) for marks in (changes.moves, changes.flips))
        box = self.threat.part(recordings, movable, free > 0, parts.left)
        labels = self.problem.labels.expand(len(parts))
        return self.problem.goal.bounds(self.problem.circuit, box, labels, conserved_spikes)


@dataclass(frozen=True, eq=False)
class SumBound(PartBound):
    """The same for a first layer that is affine, whose sums over changes are kept (parts.py).

    Attributes:
        circuit: the network.
        goal: what is asked.
        label: y, or which of its questions, (1,).
        changed: the first layer's currents.
        source: what is known of the recording.
        size: how many parts are bounded at once.
    """

    circuit: Circuit
    goal: ClassGoal | RowGoal
    label: Tensor
    changed: ChangedCurrents
    source: Signal
    size: int

    @staticmethod
    def of(problem: Problem, ranked: RankedChanges) -> "SumBound":
        """Return the bound of a network whose first layer alone reads the input."""
        made = problem.circuit
        first = first_layer(made)
        assert first is not None
        exact = ranked.sample.double()
        source = input_signal(made, Box(exact, exact))
        size = max(1, NUMBERS // _numbers(made, source))
        return SumBound(made, problem.goal, problem.labels, ChangedCurrents.of(made, first, ranked), source, size)

    @property
    def work(self) -> int:
        """Return that of a member but for the first layer's products, and of what is done for each part."""
        features, layer = tuple(self.source.magnitude().shape[1:]), self.changed.first
        products = layer.currents[0].numel() * layer.map.terms
        return PART + work_each(self.circuit, features) - len(layer.currents) * products

    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of the margins."""
        currents = PartCurrents.of(self.changed, parts)
        rounding = self.changed.first.rounding
        known = fold(self.circuit, _FromFirst(self.source, conserved_spikes, rounding, currents))
        made = currents.made
        return self.goal.read(self.circuit, known, self.label.expand(len(parts)), Box(made, made))


@dataclass(frozen=True)
class _FromFirst(Propagation):
    """What is known of a circuit's signals once `currents` are those of its first affine layer."""

    currents: PartCurrents

    def mapped(self, node: Mapped, x: Signal) -> Signal:
        """Return the affine image; of the first layer, what is known."""
        return self.currents if node is self.currents.changed.first.layer else super().mapped(node, x)


def _numbers(circuit: Circuit, source: Signal) -> int:
    """Return about how many numbers a part is: an edge of a graph, or a step of neurons that fire once."""
    known = propagate(circuit, source, conserved_spikes, Rounding.of(circuit))
    pairs = zip(circuit.nodes, known, strict=True)
    fired = [signal for node, signal in pairs if isinstance(node, Fired | Recurred)]
    return sum(signal.magnitude().numel() * signal.numbers for signal in fired)


def few_change(problem: Problem) -> bool:
    """Return whether a budget says that few events change."""
    allowed = threat_of(problem).changing(problem.inputs[0])[2]
    moves = min(budget for budget in (allowed.count, allowed.total, 2**62) if budget is not None)
    return max(moves, allowed.flips) <= FEW_CHANGES


def threat_of(problem: Problem) -> EventThreat:
    """Return the set of changed events that a problem is about."""
    assert isinstance(problem.perturbation, EventThreat)
    return problem.perturbation


def sums_are_kept(problem: Problem) -> bool:
    """Return whether parts of a set are bounded by kept sums: few changes happen, and the rest lets them."""
    made, on_inputs = problem.circuit, problem.rows is not None and problem.rows.inputs is not None
    first = first_layer(made)
    if not few_change(problem) or on_inputs or first is None:
        return False
    features = tuple(problem.inputs.shape[2:])
    return counted(made, features).maps[first - 1] * math.prod(features) <= MOST_COLUMNS


PATIENCE = 2**37
"""Work that the parts of a sample may take together, each as its bound counts it. Where sums are kept it is 58,100
parts of a 784-512-10 network with T = 16, 35 to 41 s of one core, and 552,000 of a 128-64-10 one with T = 6."""

CHILDREN = 2**20
"""How many parts are made at once of those that are split, about."""


@dataclass(frozen=True)
class EventSplitting(Verifier):
    """Splits sets of changed events, and lists small sets, as `Enumeration` does.

    Sets that are listed in a second are; so are small ones of which the first layer's sums can't be kept, where a
    part costs more than a member, and those that splitting leaves open.

    Args:
        patience: work that a sample's parts may take; what needs more is listed, or stays unknown.
        enumeration: what answers for small sets, and for all that are not split.
    """

    asks_rows: ClassVar[bool] = True
    patience: int = PATIENCE
    enumeration: Enumeration = field(default_factory=Enumeration)
    name: str = "events"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        return one_by_one(problem, self.name, self._alone)

    def _alone(self, problem: Problem) -> Verdict:
        """Return one sample's verdict, by what fits its set."""
        quick = replace(self.enumeration, patience=min(self.enumeration.patience, PACE))
        listed = not splits(problem) or bool(quick.takes(problem))
        listed = listed or (bool(self.enumeration.takes(problem)) and not sums_are_kept(problem))
        found = None if listed else self._one(problem)
        if found is not None and (found.status != "unknown" or not bool(self.enumeration.takes(problem))):
            return found
        return self.enumeration.decide(problem)[0]

    def takes(self, problem: Problem) -> bool:
        """Return whether there is a sample whose changes are split."""
        return any(splits(one) for one in problem.each())

    @torch.no_grad()
    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started = time.perf_counter()
        try:
            with ending(problem.deadline):
                return _EventSearch.of(problem, self.patience, self.name).decided()
        except (OverflowError, TimeIsUp) as error:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, str(error))


MOST_PARTS = 768
"""So many parts of a sample are bounded at most where others than this verifier ask."""

FEW_SUMS = 2**18
"""Of so many changes times the first layer's outputs sets are told apart; of 16 where its sums can't be kept."""


def told_apart(problem: Problem, known: Tensor) -> Tensor:
    """Return lower bounds of the columns where all parts of a few are proven so, −inf elsewhere, like `known`."""
    found = torch.full_like(known, -torch.inf)
    for index, one in enumerate(problem.each()):
        if not splits(one):
            continue
        search = _EventSearch.of(one, 0, "linear", walks=False)
        first = search.bounds.changed.first.columns if isinstance(search.bounds, SumBound) else None
        if search.ranked.count * (FEW_SUMS // 16 if first is None else first.shape[1]) > FEW_SUMS:
            continue
        search.patience = MOST_PARTS * search.bounds.work
        with suppress(TimeIsUp, _Stopped):
            if search.searched() is None and not search.singles:
                found[index] = search.columns[0]
    return found


def splits(problem: Problem) -> bool:
    """Return whether a sample's changes fall into pieces, as bounds/events/parts.py asks, in not too many ways.

    Moves of which all may happen are split where no two events of a feature can meet.
    """
    if type(problem.perturbation) not in (SpikeFlip, SpikeShift, EventChange) or not problem.circuit.timed:
        return False
    if not kept_apart(problem) and not few_change(problem):
        return False
    try:
        ranked(problem)
    except OverflowError:
        return False
    return True


def kept_apart(problem: Problem) -> bool:
    """Return whether no two events can meet: none moves, they add up, or each feature has one."""
    allowed = threat_of(problem).changing(problem.inputs[0])[2]
    return allowed.reach == 0 or allowed.merge == "add" or bool((problem.inputs.sum(1) <= 1).all())


class _Stopped(Exception):
    """A search ended without an answer; the message says why."""


@dataclass
class _EventSearch(Domain[Parts]):
    """The search of one sample.

    Attributes:
        problem: of one sample.
        ranked: its changes.
        bounds: of parts.
        whole: the part that is the set.
        walk: of parts that are one recording each; None: these are bounded as others are.
        patience: work that they may still take.
        least: the least margin that was proven of any part.
        columns: the least of each column of those that were proven so; empty before the first.
        singles: how many recordings were not proven so.
        unsettled: how many of them rounding leaves open.
        found: "falsified", once a recording fails.
    """

    problem: Problem
    ranked: RankedChanges
    bounds: PartBound
    whole: Parts
    walk: MemberWalk | None
    patience: int
    name: str
    started: float
    least: float = math.inf
    columns: Tensor = field(default_factory=lambda: torch.empty(0))
    singles: int = 0
    unsettled: int = 0
    found: Verdict | None = None

    @staticmethod
    def of(problem: Problem, patience: int, name: str, walks: bool = True) -> "_EventSearch":
        """Return the search before its first part, which `walks` recordings where it can."""
        changes, whole = ranked(problem)
        kept = sums_are_kept(problem)
        bound = SumBound.of(problem, changes) if kept else SetBound(problem, threat_of(problem), changes)
        free = torch.isin(torch.arange(problem.inputs[0, 0].numel()).to(changes.features), changes.features)
        walks = walks and isinstance(bound, SumBound) and walkable(problem, free)
        walk = MemberWalk.of(problem, free) if walks else None
        return _EventSearch(problem, changes, bound, whole, walk, patience, name, time.perf_counter())

    def decided(self) -> Verdict:
        """Return the verdict."""
        try:
            found = self.searched()
        except TimeIsUp:
            return self._unknown(f"{LATE} after {self.parts} parts")
        except _Stopped as reason:
            return self._unknown(str(reason))
        if found is not None:
            return found
        if self.unsettled:
            return self._unknown(f"{self.unsettled} recordings are decided only within the rounding error")
        reason = f"each of {self.parts} parts of the set is proven"
        seconds = time.perf_counter() - self.started
        return Verdict("verified", self.least, None, self.name, seconds, reason, self.problem.ties)

    def _unknown(self, reason: str) -> Verdict:
        return Verdict("unknown", None, None, self.name, time.perf_counter() - self.started, reason)

    def searched(self) -> Verdict | None:
        """Return "falsified" where a recording fails, and None once all parts are through."""
        why, _ = self.search(self._split_up(self.whole), self.problem.limits)
        if why:
            raise TimeIsUp
        return self.found

    def bound(self, part: Parts) -> Parts | None:
        """Return the parts that are not proven and can be split; of others a recording may fail."""
        left = part.at(~self._proven(part))
        self.found = self._failing(left)
        self.done = self.found is not None
        if self.found is not None:
            return None
        single = torch.ones_like(left.places).bool() if left.done else left.places >= self.ranked.count
        self._settled(left.at(single))
        return None if bool(single.all()) else left.at(~single)

    def _proven(self, parts: Parts) -> Tensor:
        """Return which parts are proven, (n,); their margins count."""
        if self.problem.expired():
            raise TimeIsUp
        self.patience -= len(parts) * self._work(parts)
        if self.patience < 0:
            raise _Stopped(f"its patience was spent on {self.parts} parts")
        lower, proven = self._bounds(parts)
        self.parts += len(parts)
        if bool(proven.any()):
            self.least = min(self.least, float(lower[proven].min()))
        return proven

    def _work(self, parts: Parts) -> int:
        """Return what one of them takes."""
        if not parts.done or self.walk is None:
            return self.bounds.work
        return work_each(self.problem.circuit, tuple(self.problem.inputs.shape[2:]), walked=True)

    def _bounds(self, parts: Parts) -> tuple[Tensor, Tensor]:
        """Return a lower bound of each part's margin, and whether that is enough, (n,) each."""
        if parts.done and self.walk is not None:
            return self.walk.bounds(MemberChanges(*self.ranked.entries(parts)))
        goal, lower = self.problem.goal, self.bounds.lower(parts)
        tight = goal.tightened(lower)
        proven = goal.holds(goal.proven(tight, self.problem.labels.expand(len(parts))))
        self.columns = torch.cat([self.columns.view(-1, lower.shape[1]).to(lower), lower[proven]])
        self.columns = self.columns.amin(0, keepdim=True) if len(self.columns) else self.columns
        return goal.least(tight), proven

    def _settled(self, parts: Parts) -> None:
        """Bound recordings once more, by all that is known of them; what is left open counts as unsettled."""
        if len(parts) == 0:
            return
        self.singles += len(parts)
        lower, enough = bounded(self.problem, self.ranked.recordings(parts))
        self.unsettled += int((~enough).sum())
        if bool(enough.any()):
            self.least = min(self.least, float(lower[enough].min()))

    def _failing(self, parts: Parts) -> Verdict | None:
        """Return "falsified" where a part's own recording fails."""
        if len(parts) == 0:
            return None
        problem, labels = self.problem, self.problem.labels.expand(len(parts))
        recordings = self.ranked.recordings(parts).to(problem.inputs.dtype)
        failed = problem.goal.values(problem.network(recordings), labels, recordings) <= 0
        for candidate in recordings[failed]:
            found = falsified(problem, 0, candidate, self.name, self.started, "a recording of the set fails")
            if found.status == "falsified":
                return found
        return None

    def size(self, part: Parts) -> int:
        """Return 0: parts are counted as they are bounded, here and where cuts are looked for."""
        return 0

    def split(self, part: Parts) -> Iterator[Parts]:
        """Yield parts that cover some parts with others, which are smaller and proven."""
        for some in self._split_up(part, max(1, CHILDREN // max(1, len(self.ranked.change)))):
            cuts, rests = self._cuts(some)
            yield from self._split_up(some.at(~rests).resting(self.ranked.count))
            for child in self.ranked.children(some, cuts):
                yield from self._split_up(child)

    def _cuts(self, parts: Parts) -> tuple[Tensor, Tensor]:
        """Return for each part some m such that the part from m on is proven, and whether one was found.

        The least m is looked for by halves, between p, of which nothing is proven, and N.
        """
        low, high = parts.places, torch.full_like(parts.places, self.ranked.count)
        found = torch.zeros_like(low, dtype=torch.bool)
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            proven = torch.cat([self._proven(some) for some in self._split_up(parts.of(middle))])
            low, high = torch.where(proven, low, middle), torch.where(proven, middle, high)
            found |= proven
        return high, found

    def _split_up(self, parts: Parts, size: int | None = None) -> Iterator[Parts]:
        """Yield parts, as many as are bounded at once."""
        size = min(self.bounds.size, size or self.bounds.size)
        return (parts.at(slice(start, start + size)) for start in range(0, len(parts), size))
