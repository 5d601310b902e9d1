"""Split sets of moves by which event moves, until each part is proven or holds a counterexample.

Events e_1, …, e_N of a recording, one a feature at most, are ranked by the weights that they meet first. A part is
a recording r, a place p and what is left of the budgets: all recordings that r becomes when of e_p, …, e_N some
move within them. For any m ≥ p it is the union of

    the part of r with m in the place of p, in which none of e_p, …, e_{m−1} moves, and
    for each i in [p, m) and each allowed move of e_i by d ≠ 0: the part of the moved recording with i + 1 in
    the place of p, and one event and |d| steps less to move.

Proof. A member in which none of e_p, …, e_{m−1} moves is in the first. In any other let e_i be the first that
moves: those behind it move within what is left. No two events can meet, as each feature has one, so that moves
neither merge nor block each other. ∎ So the sample is verified once the parts of a cover are, each by the bound of
"trains" on it. Parts end: m grows, and budgets fall; a part with nothing left to move is one recording, which is
run. What rounding leaves open there stays unknown.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...models.circuit import Circuit, Mapped
from ...models.constants import at_least, settle
from ..bounds.box import Box
from ..bounds.propagation import margin_bounds
from ..bounds.trains import window_spikes
from ..deadline import time_left
from ..perturbations import SpikeShift
from ..problem import Problem
from ..replay import fails
from ..verdicts import Verdict
from .base import Verifier, falsified
from .enumeration import Enumeration, work_each

PATIENCE = 2**37
"""Work that the parts of a sample may take together, each as `work_each` counts a member."""

TOGETHER = 2**22
"""How many numbers the recordings have that are bounded at once."""

CUTS = (4, 16, 64, 256, 1024)
"""How many events are tried as those that move."""


@dataclass(frozen=True)
class MoveSplitting(Verifier):
    """Lists small sets, as `Enumeration` does, and splits greater sets of moves.

    Args:
        patience: work that a sample may take; what needs more stays unknown.
        enumeration: what answers for small sets, and for all that are no sets of moves of one event a feature.
    """

    patience: int = PATIENCE
    enumeration: Enumeration = field(default_factory=Enumeration)
    name: str = "moves"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        small, count = self.enumeration.takes(problem).tolist(), len(problem.labels)
        verdicts = []
        for index in range(count):
            one = problem.subset(torch.tensor([index], device=problem.labels.device))
            one = replace(one, deadline=time_left(problem.deadline, count - index))
            verdicts += [self._one(one)] if not small[index] and splits(one) else self.enumeration.decide(one)
        return verdicts

    def takes(self, problem: Problem) -> bool:
        """Return whether there is a sample whose moves are split."""
        indices = range(len(problem.labels))
        return any(splits(problem.subset(torch.tensor([k], device=problem.labels.device))) for k in indices)

    @torch.no_grad()
    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started = time.perf_counter()
        try:
            return _MoveSearch.of(problem, self.patience, self.name, started).decided()
        except OverflowError as error:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, str(error))


def splits(problem: Problem) -> bool:
    """Return whether a problem is about moves of at most one event a feature, which stay within the steps."""
    threat = problem.perturbation
    if type(threat) is not SpikeShift or threat.border != "stay":
        return False
    return bool((problem.inputs.sum(1) <= 1).all())


@dataclass(frozen=True)
class _Parts:
    """Parts with one budget.

    Attributes:
        recordings: (n, T, ...), of bytes: thousands of them wait.
        place: p of each, from 0, (n,).
        steps: by how many steps events may still move in all.
        events: how many may still move.
    """

    recordings: Tensor
    place: Tensor
    steps: int
    events: int

    def at(self, chosen: Tensor) -> "_Parts":
        """Return some of them."""
        return replace(self, recordings=self.recordings[chosen], place=self.place[chosen])

    def split(self, size: int) -> list["_Parts"]:
        """Return them, so many at a time."""
        pairs = zip(self.recordings.split(size), self.place.split(size), strict=True)
        return [replace(self, recordings=recordings, place=place) for recordings, place in pairs]


@dataclass
class _MoveSearch:
    """The search of one sample.

    Attributes:
        problem: of one sample.
        threat: the set of moves.
        rank: of each event that may move, from 0; N where there is none, (T, ...).
        order: the feature of each, (N,), flat.
        before: and its step, (N,).
        most: how many parts may be bounded.
        least: the least margin that was proven of any part.
        unsettled: how many recordings rounding leaves open.
    """

    problem: Problem
    threat: SpikeShift
    rank: Tensor
    order: Tensor
    before: Tensor
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
        marks = threat.movable(sample)[0] > 0
        weights = influence(problem.circuit, tuple(sample.shape[2:])).flatten()
        steps, features = marks.flatten(1).nonzero(as_tuple=True)
        order = weights[features].argsort(descending=True, stable=True)
        rank = torch.full(marks.shape, len(order), device=sample.device).flatten(1)
        rank[steps[order], features[order]] = torch.arange(len(order), device=sample.device)
        most = patience // work_each(problem.circuit, tuple(sample.shape[2:]))
        parts = rank.view(marks.shape), features[order], steps[order]
        return _MoveSearch(problem, threat, *parts, most, name, started)

    @property
    def count(self) -> int:
        """Return N."""
        return len(self.order)

    def decided(self) -> Verdict:
        """Return the verdict."""
        steps = self.problem.inputs.shape[1] * self.count
        whole = min(steps, steps if self.threat.total is None else self.threat.total)
        events = min(self.count, self.count if self.threat.count is None else self.threat.count)
        zero = torch.zeros(1, dtype=torch.long, device=self.order.device)
        waiting = [_Parts(self.problem.inputs.byte(), zero, whole, events)]
        size = max(1, TOGETHER // self.problem.inputs.numel())
        while waiting:
            parts = waiting.pop()
            for part in parts.split(size)[1:]:
                waiting.append(part)
            parts = parts.split(size)[0]
            if self.problem.expired():
                return self._unknown(f"the time was up after {self.done} parts")
            if self.done + len(parts.place) > self.most:
                return self._unknown(f"its parts take more than {self.most} bounds")
            if (found := self._failing(parts)) is not None:
                return found
            for part in self._left(parts):
                waiting += self._children(part)
        if self.unsettled:
            return self._unknown(f"{self.unsettled} recordings are decided only within the rounding error")
        reason = f"each of {self.done} parts of the set is proven"
        seconds = time.perf_counter() - self.started
        return Verdict("verified", self.least, None, self.name, seconds, reason, self.problem.ties)

    def _unknown(self, reason: str) -> Verdict:
        return Verdict("unknown", None, None, self.name, time.perf_counter() - self.started, reason)

    def _failing(self, parts: _Parts) -> Verdict | None:
        """Return "falsified" where a part's own recording fails."""
        problem, labels = self.problem, self.problem.labels.expand(len(parts.place))
        recordings = parts.recordings.to(problem.inputs.dtype)
        failed = fails(problem.network(recordings), labels, problem.ties)
        for candidate in recordings[failed]:
            found = falsified(problem, 0, candidate, self.name, self.started, "a recording of the set fails")
            if found.status == "falsified":
                return found
        return None

    def _proven(self, parts: _Parts) -> Tensor:
        """Return which parts are proven, (n,); their margins count."""
        problem = self.problem
        labels = problem.labels.expand(len(parts.place))
        box = self._box(parts)
        lower = problem.goal.tightened(margin_bounds(problem.circuit, box, labels, window_spikes))
        proven = problem.goal.proven(lower, labels).all(1)
        self.done += len(parts.place)
        self.least = min(self.least, float(lower.amin(1)[proven].min())) if bool(proven.any()) else self.least
        return proven

    def _box(self, parts: _Parts) -> Box:
        """Return the enclosure of parts."""
        exact = parts.recordings.double()
        place = parts.place.view(-1, *([1] * self.rank.dim()))
        marks = ((self.rank >= place) & (self.rank < self.count)).double()
        threat = replace(self.threat, total=parts.steps, count=parts.events, where=None)
        return threat.enclosed(exact, marks)

    def _left(self, parts: _Parts) -> Iterator[_Parts]:
        """Yield the parts that are not proven and can be split, one by one; count those that can't."""
        left = (~self._proven(parts)).nonzero().flatten()
        movable = parts.place[left] < self.count
        if parts.steps == 0 or parts.events == 0:
            movable = torch.zeros_like(movable)
        self.unsettled += int((~movable).sum())
        for index in left[movable]:
            yield parts.at(index[None])

    def _children(self, part: _Parts) -> list[_Parts]:
        """Return parts that cover one part with others, which are smaller."""
        start = int(part.place)
        tried = [start + cut for cut in CUTS if start + cut < self.count]
        cut = self.count
        if tried:
            places = torch.tensor(tried, device=part.place.device)
            rest = replace(
                part, recordings=part.recordings.expand(len(tried), *part.recordings.shape[1:]), place=places
            )
            proven = self._proven(rest).tolist()
            cut = next((place for place, enough in zip(tried, proven, strict=True) if enough), self.count)
        children = [] if cut < self.count else [self._resting(part)]
        for distance in range(1, min(part.steps, self.threat.reach, self.problem.inputs.shape[1] - 1) + 1):
            children += self._moved(part, start, cut, distance)
        return children

    def _resting(self, part: _Parts) -> _Parts:
        """Return the part in which no event moves any more: its recording."""
        return replace(part, place=torch.full_like(part.place, self.count), steps=0, events=0)

    def _moved(self, part: _Parts, start: int, cut: int, distance: int) -> list[_Parts]:
        """Return the parts in which one event of [start, cut) has moved by `distance` either way."""
        steps, found = self.problem.inputs.shape[1], []
        chosen = torch.arange(start, cut, device=self.order.device)
        for offset in (distance, -distance):
            after = self.before[chosen] + offset
            inside = (after >= 0) & (after < steps)
            events, there = chosen[inside], after[inside]
            moved = part.recordings.flatten(2).repeat(len(events), 1, 1)
            rows = torch.arange(len(events), device=events.device)
            moved[rows, self.before[events], self.order[events]] = 0
            moved[rows, there, self.order[events]] = 1
            found.append((moved.view(-1, *part.recordings.shape[1:]), events + 1))
        recordings, places = (torch.cat(pieces) for pieces in zip(*found, strict=True))
        if not len(places):
            return []
        return [_Parts(recordings, places, part.steps - distance, part.events - 1)]


def influence(circuit: Circuit, features: tuple[int, ...]) -> Tensor:
    """Return the sum of the moduli of the weights that each input meets first, of shape `features`."""
    with torch.enable_grad():
        inputs = torch.ones(1, *features, dtype=torch.float64, device=circuit.device, requires_grad=True)
        signal = inputs * 1.0
        for index, node in enumerate(circuit.nodes[1:]):
            if not isinstance(node, Mapped) or node.sources != (index,):
                break
            signal = node.map.to(torch.float64).absolute().linear(signal)
        (found,) = torch.autograd.grad(signal.sum(), inputs)
    return found[0]
