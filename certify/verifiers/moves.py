"""Split sets of moves by which event moves, until each part is proven or holds a counterexample.

A sample is verified once the parts of a cover are, each by the bound of "trains" on it. Of a part
that is not proven some m is looked for, as small as can be found, such that it is once none of its first m events
moves; each move of one of these makes a part of its own. Parts end: m grows, and budgets fall; a part with nothing
left to move is one recording, which is run. What rounding leaves open there stays unknown.

Bounds of the margins of parts of a set of moves, many at once.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, Mapped, Recurred, fold
from ...models.constants import at_least, settle
from ...models.deadline import LATE, TimeIsUp, ending
from ..bounds.events.moved_events import Movable, MovedCurrents, MovedEvents, first_layer
from ..bounds.propagation import Propagation, input_signal, propagate
from ..bounds.signals.signals import Signal
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import window_spikes
from ..listing import work_each
from ..perturbations import SpikeShift
from ..problem import Problem
from ..questions.classes import ClassGoal
from ..questions.rows import RowGoal
from ..rounding import Rounding
from ..splitting.apart_bounds import Parts, RankedEvents
from ..verdicts import Verdict
from .base import Verifier, falsified, one_by_one
from .enumeration import Enumeration, walked_events

TOGETHER = 2**22
"""How many numbers the recordings have that are bounded at once."""

NUMBERS = 2**22
"""How many numbers what is known of the layers' trains has, about, that is made at once."""

FEW_MOVES = 16
"""For how many moves, or steps of them, sums are kept."""


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
    """Bounds each part as any set of moves around a recording, by the bound of "trains"."""

    problem: Problem
    threat: SpikeShift
    ranked: RankedEvents

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
        threat = replace(self.threat, total=parts.steps, count=parts.events, where=None)
        box = threat.enclosed(self.ranked.recordings(parts).double(), self.ranked.marks(parts))
        labels = self.problem.labels.expand(len(parts))
        return self.problem.goal.bounds(self.problem.circuit, box, labels, window_spikes)


@dataclass(frozen=True, eq=False)
class SumBound(PartBound):
    """The same for a first layer that is affine, whose sums over events are kept (moved_events.py).

    Attributes:
        circuit: the network.
        goal: what is asked.
        label: y, or which of its questions, (1,).
        moved: the events.
        source: what is known of the recording.
        size: how many parts are bounded at once.
    """

    circuit: Circuit
    goal: ClassGoal | RowGoal
    label: Tensor
    moved: MovedEvents
    source: Signal
    size: int

    @staticmethod
    def of(problem: Problem, ranked: RankedEvents) -> "SumBound":
        """Return the bound of a network whose first layer alone reads the input."""
        made = problem.circuit
        first = first_layer(made)
        assert first is not None
        exact = ranked.sample.double()
        moved = MovedEvents.of(made, first, exact, ranked.features, ranked.before, ranked.jitter)
        source = input_signal(made, Box(exact, exact))
        return SumBound(
            made, problem.goal, problem.labels, moved, source, max(1, NUMBERS // _numbers(made, source))
        )

    @property
    def work(self) -> int:
        """Return that of a member but for the first layer's products."""
        features = tuple(self.source.magnitude().shape[1:])
        first = self.moved.currents[0].numel() * self.moved.map.terms
        return work_each(self.circuit, features) - self.moved.num_steps * first

    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of the margins."""
        made, moves = self.moved.after(parts.moved, parts.there), parts.moved.shape[1]
        currents = MovedCurrents(self.moved, made, moves, Movable(parts.steps, parts.events), parts.places)
        known = fold(self.circuit, _FromFirst(self.source, window_spikes, self.moved.rounding, currents))
        return self.goal.read(self.circuit, known, self.label.expand(len(parts)), Box(made, made))


@dataclass(frozen=True)
class _FromFirst(Propagation):
    """What is known of a circuit's signals once `currents` are those of its first affine layer."""

    currents: MovedCurrents

    def mapped(self, node: Mapped, x: Signal) -> Signal:
        """Return the affine image; of the first layer, what is known."""
        return self.currents if node is self.currents.events.layer else super().mapped(node, x)


def _numbers(circuit: Circuit, source: Signal) -> int:
    """Return about how many numbers a part is: an edge of a graph, or a step of neurons that fire once."""
    known = propagate(circuit, source, window_spikes, Rounding.of(circuit))
    pairs = zip(circuit.nodes, known, strict=True)
    fired = [signal for node, signal in pairs if isinstance(node, Fired | Recurred)]
    return sum(signal.magnitude().numel() * signal.numbers for signal in fired)


def sums_are_kept(problem: Problem) -> bool:
    """Return whether parts of a set of moves are bounded by kept sums: few move, and the rest lets them."""
    threat = problem.perturbation
    assert isinstance(threat, SpikeShift)
    few = [budget for budget in (threat.count, threat.total) if budget is not None and budget <= FEW_MOVES]
    on_inputs = problem.rows is not None and problem.rows.inputs is not None
    return bool(few) and not on_inputs and first_layer(problem.circuit) is not None


def bound_of(problem: Problem, threat: SpikeShift, ranked: RankedEvents) -> PartBound:
    """Return what bounds the parts of a set of moves."""
    return SumBound.of(problem, ranked) if sums_are_kept(problem) else SetBound(problem, threat, ranked)


PATIENCE = 2**37
"""Work that the parts of a sample may take together, each as its bound counts it. Where sums are kept
it is 61,560 parts of a 784-512-10 network with T = 16, 35 to 41 s of one core."""

CHILDREN = 2**20
"""How many parts are made at once of those that are split, about."""


@dataclass(frozen=True)
class MoveSplitting(Verifier):
    """Splits sets of moves, and lists small sets that are none, as `Enumeration` does.

    Small sets of moves are listed, too, where members are walked (listing.py), or the first layer's sums can't be
    kept: there a part costs more than a member.

    Args:
        patience: work that a sample may take; what needs more stays unknown.
        enumeration: what answers for small sets, and for all that are no sets of moves of one event a feature.
    """

    asks_rows: ClassVar[bool] = True
    patience: int = PATIENCE
    enumeration: Enumeration = field(default_factory=Enumeration)
    name: str = "moves"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        return one_by_one(problem, self.name, self._alone)

    def _alone(self, problem: Problem) -> Verdict:
        """Return one sample's verdict, by what fits its set."""
        small = bool(self.enumeration.takes(problem))
        listed = small and (walked_events(problem) or not (splits(problem) and sums_are_kept(problem)))
        splitting = splits(problem) and not listed
        return self._one(problem) if splitting else self.enumeration.decide(problem)[0]

    def takes(self, problem: Problem) -> bool:
        """Return whether there is a sample whose moves are split."""
        indices = range(len(problem.labels))
        return any(splits(problem.subset(torch.tensor([k], device=problem.labels.device))) for k in indices)

    @torch.no_grad()
    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started = time.perf_counter()
        try:
            with ending(problem.deadline):
                return _MoveSearch.of(problem, self.patience, self.name, started).decided()
        except (OverflowError, TimeIsUp) as error:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, str(error))


def splits(problem: Problem) -> bool:
    """Return whether a problem is about moves of at most one event a feature, which stay within the steps."""
    threat = problem.perturbation
    if type(threat) is not SpikeShift or threat.border != "stay":
        return False
    return bool((problem.inputs.sum(1) <= 1).all())


class _Stopped(Exception):
    """A search ended without an answer; the message says why."""


@dataclass
class _MoveSearch:
    """The search of one sample.

    Attributes:
        problem: of one sample.
        ranked: its events.
        bound: of parts.
        whole: the part that is the set.
        most: how many parts may be bounded.
        done: how many were.
        least: the least margin that was proven of any part.
        unsettled: how many recordings rounding leaves open.
    """

    problem: Problem
    ranked: RankedEvents
    bound: PartBound
    whole: Parts
    most: int
    name: str
    started: float
    done: int = 0
    least: float = math.inf
    unsettled: int = 0

    @staticmethod
    def of(problem: Problem, patience: int, name: str, started: float) -> "_MoveSearch":
        """Return the search before its first part."""
        threat, sample = problem.perturbation, problem.inputs
        assert isinstance(threat, SpikeShift)
        ranked = RankedEvents.of(problem.circuit, threat, sample)
        whole = ranked.whole(threat)
        bound = bound_of(problem, threat, ranked)
        return _MoveSearch(problem, ranked, bound, whole, patience // bound.work, name, started)

    def decided(self) -> Verdict:
        """Return the verdict."""
        try:
            found = self._searched()
        except TimeIsUp:
            return self._unknown(f"{LATE} after {self.done} parts")
        except _Stopped as reason:
            return self._unknown(str(reason))
        if found is not None:
            return found
        if self.unsettled:
            return self._unknown(f"{self.unsettled} recordings are decided only within the rounding error")
        reason = f"each of {self.done} parts of the set is proven"
        seconds = time.perf_counter() - self.started
        return Verdict("verified", self.least, None, self.name, seconds, reason, self.problem.ties)

    def _unknown(self, reason: str) -> Verdict:
        return Verdict("unknown", None, None, self.name, time.perf_counter() - self.started, reason)

    def _searched(self) -> Verdict | None:
        """Return "falsified" where a recording fails, and None once all parts are through."""
        stack = [self._split_up(self.whole)]
        while stack:
            parts = next(stack[-1], None)
            if parts is None:
                stack.pop()
                continue
            left = parts.at(~self._proven(parts))
            if (found := self._failing(left)) is not None:
                return found
            open_ = torch.zeros_like(left.places).bool() if left.done else left.places < self.ranked.count
            self.unsettled += int((~open_).sum())
            stack.append(self._children(left.at(open_)))
        return None

    def _proven(self, parts: Parts) -> Tensor:
        """Return which parts are proven, (n,); their margins count."""
        if self.problem.expired():
            raise TimeIsUp
        if self.done + len(parts) > self.most:
            raise _Stopped(f"its parts take more than {self.most} bounds")
        lower = self.problem.goal.tightened(self.bound.lower(parts))
        proven = self.problem.goal.proven(lower, self.problem.labels.expand(len(parts)))
        proven = self.problem.goal.holds(proven)
        self.done += len(parts)
        if bool(proven.any()):
            self.least = min(self.least, float(self.problem.goal.least(lower)[proven].min()))
        return proven

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

    def _children(self, parts: Parts) -> Iterator[Parts]:
        """Yield parts that cover some parts with others, which are smaller and proven."""
        for some in self._split_up(parts, max(1, CHILDREN // max(1, 2 * self.ranked.count))):
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
        size = min(self.bound.size, size or self.bound.size)
        return (parts.at(slice(start, start + size)) for start in range(0, len(parts), size))
