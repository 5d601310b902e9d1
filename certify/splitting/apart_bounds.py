"""Bounds of margins over sets of few moves, event by event.

Each event of a set that is not proven is tried as the one that is told apart; the one whose worst part is best is
kept, and its parts that are not proven are told apart again, as long as that gains. The least over all parts of
such a cover is a bound.

Parts of a set of moves by where one of its events is: what one event moves, it moves in all neurons together.

Let x be a recording of which some events may move, and e one of them. Each recording x̃ of the set has e at some
step p that it reaches, and comes of the others' moves from x with e at p. So the set is the union over p of

    what comes of moves of the other events of x with e at p, where e stays; if e has moved, by d ≠ 0 steps, of one
    event fewer and of |d| steps fewer than before.

Proof. The moves that made x̃ are e's and those of the others, and events add up: the others' are one event fewer,
and |d| steps shorter in all, than both together. And moves of e and of others within what is left make a member. ∎
What is least over the set is thus what is least over the parts of any one e. Of bounds of that the worst part's
holds, for each e, and the best of these over all e is a bound, too. Events add up where `merge` says so, and where
each feature has one at most: then no two can meet, and neither merge nor block each other.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bounds.signals.windows import Box
from ..bounds.trains.trains import conserved_spikes
from ..perturbations import SpikeShift
from ..problem import Problem


@dataclass(frozen=True, eq=False)
class MovedSets:
    """Sets of moves with one budget, each around a recording of its own.

    Attributes:
        threat: the moves, with what is left of the budgets.
        recordings: (n, T, ...), float64.
        movable: how many events of each entry may still move, like `recordings`.
    """

    threat: SpikeShift
    recordings: Tensor
    movable: Tensor

    @staticmethod
    def of(threat: SpikeShift, sample: Tensor) -> "MovedSets":
        """Return the one set around a sample, (1, T, ...)."""
        exact = sample.double()
        return MovedSets(threat, exact, threat.movable(exact))

    def __len__(self) -> int:
        """Return n."""
        return len(self.recordings)

    def at(self, chosen: Tensor | slice) -> "MovedSets":
        """Return some of them."""
        return replace(self, recordings=self.recordings[chosen], movable=self.movable[chosen])

    def enclosure(self) -> Box:
        """Return the sets as the bounds take them."""
        return self.threat.enclosed(self.recordings, self.movable)

    def events(self) -> Tensor:
        """Return which set each entry with an event that may move is of, and its flat place, (entries, 2)."""
        if not self.threat.most or not self.threat.reach:
            return self.movable.new_zeros(0, 2, dtype=torch.long)
        return self.movable.flatten(1).nonzero()

    def parts(self, events: Tensor) -> "list[tuple[Tensor, MovedSets]]":
        """Return the parts of each of some events, (entries, 2): which entry each part is of, and the parts.

        Those of one distance have one budget, and are one of the list.
        """
        steps, inside = self.recordings.shape[1], self.recordings[0, 0].numel()
        before, feature = events[:, 1] // inside, events[:, 1] % inside
        spare = int(self.threat.border == "leave")
        found = [(torch.arange(len(events)).to(before), self._with(events[:, 0], before, feature, before))]
        for distance in range(1, min(self.threat.reach, steps) + 1):
            after = torch.cat((before - distance, before + distance))
            reached = (after >= -spare) & (after < steps + spare)
            which = torch.arange(len(events)).to(before).repeat(2)[reached]
            moved = self._with(events[which, 0], before[which], feature[which], after[reached])
            found.append((which, replace(moved, threat=_spent(self.threat, distance))))
        return [(which, sets) for which, sets in found if len(which)]

    def _with(self, rows: Tensor, before: Tensor, feature: Tensor, after: Tensor) -> "MovedSets":
        """Return sets `rows` with one event of step `before` held at step `after`; gone where that is outside."""
        recordings, movable = (of.flatten(2)[rows].clone() for of in (self.recordings, self.movable))
        row, there = torch.arange(len(rows)).to(rows), (after >= 0) & (after < recordings.shape[1])
        recordings[row, before, feature] -= 1.0
        movable[row, before, feature] -= 1.0
        recordings[row[there], after[there], feature[there]] += 1.0
        shape = self.recordings.shape[1:]
        return MovedSets(self.threat, recordings.view(-1, *shape), movable.view(-1, *shape))


def tells_apart(threat: object, sample: Tensor) -> bool:
    """Return whether the events of a sample, (1, T, ...), add up in a set of moves: then it has parts."""
    return type(threat) is SpikeShift and (threat.merge == "add" or bool((sample.sum(1) <= 1).all()))


def _spent(threat: SpikeShift, distance: int) -> SpikeShift:
    """Return what is left of the budgets once an event has moved."""
    count, total = threat.count, threat.total
    return replace(
        threat,
        count=None if count is None else count - 1,
        total=None if total is None else total - distance,
        where=None,
    )


MOST_EVENTS = 16
"""Of more events, where one of them is says little of what the others do."""

MOST_PARTS = 768
"""So many parts of a sample are bounded at most."""

TOGETHER = 2**20
"""How many numbers the recordings have that are bounded at once."""

GAINED = 0.25
"""Which share of what a margin lacks an event that is told apart must gain, in its worst part."""


def told_apart(problem: Problem, known: Tensor) -> Tensor:
    """Return lower bounds of the columns where all parts are proven so, −inf elsewhere, like `known`.

    Args:
        problem: of some samples.
        known: bounds of their columns.
    """
    found = torch.full_like(known, -torch.inf)
    for index, threat in enumerate([problem.perturbation] * len(known)):
        one = problem.subset(torch.tensor([index], device=problem.labels.device))
        if isinstance(threat, SpikeShift) and tells_apart(threat, one.inputs):
            lower = _PartSearch(one).lower(MovedSets.of(threat, one.inputs), known[index, None])
            found[index] = -torch.inf if lower is None else lower
    return found


class _PartSearch:
    """The search of a problem of one sample.

    Attributes:
        problem: of one sample.
        left: how many parts may still be bounded.
        least: bounds of the columns over what is proven so far, one for each part.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem: Problem = problem
        self.left: int = MOST_PARTS
        self.least: list[Tensor] = []

    def lower(self, sets: MovedSets, known: Tensor) -> Tensor | None:
        """Return the least of each column, (columns,), once all parts are proven; None where they are not.

        Args:
            sets: the one set.
            known: bounds of its columns, (1, columns).
        """
        stack, goal = [(sets, self._worst(known))], self.problem.goal
        while stack:
            parts = self._parts(*stack.pop())
            if parts is None:
                return None
            for some, lower in parts:
                proven = goal.proven(goal.tightened(lower), self.problem.labels.expand(len(lower)))
                proven = goal.holds(proven)
                self.least.append(lower[proven])
                if not bool(proven.all()):
                    stack.append((some.at(~proven), self._worst(lower[~proven])))
        return torch.cat(self.least).amin(0)

    def _parts(self, sets: MovedSets, before: Tensor) -> list[tuple[MovedSets, Tensor]] | None:
        """Return the parts of each set's best event with their bounds; None where that does not pay.

        Args:
            sets: none of which is proven.
            before: their margins' bounds, (n,).
        """
        events = sets.events()
        counts = torch.bincount(events[:, 0], minlength=len(sets))
        groups = sets.parts(events) if int(counts.min()) > 0 and int(counts.max()) <= MOST_EVENTS else []
        self.left -= sum(len(some) for _, some in groups)
        if not groups or self.left < 0 or self.problem.expired():
            return None
        lower = [self._bounds(some) for _, some in groups]
        worst = before.new_full((len(events),), torch.inf)
        for (which, _), bounds in zip(groups, lower, strict=True):
            worst.scatter_reduce_(0, which, self._worst(bounds), "amin")
        best = before.new_full((len(sets),), -torch.inf).scatter_reduce_(0, events[:, 0], worst, "amax")
        if not bool((best >= (1.0 - GAINED) * before.clamp_max(0.0)).all()):
            return None
        first = (worst == best[events[:, 0]]) & self._first(worst == best[events[:, 0]], events[:, 0])
        kept = [first[which] for which, _ in groups]
        return [
            (some.at(chosen), bounds[chosen])
            for (_, some), bounds, chosen in zip(groups, lower, kept, strict=True)
            if bool(chosen.any())
        ]

    @staticmethod
    def _first(marked: Tensor, groups: Tensor) -> Tensor:
        """Return which is the first of the `marked` of its group, all (n,); groups rise."""
        places = torch.arange(len(marked)).to(groups)
        least = torch.full((int(groups.max()) + 1,), len(marked)).to(groups)
        least.scatter_reduce_(0, groups, torch.where(marked, places, len(marked)), "amin")
        return places == least[groups]

    def _bounds(self, sets: MovedSets) -> Tensor:
        """Return lower bounds of the columns over each set, (n, columns)."""
        size = max(1, TOGETHER // sets.recordings[0].numel())
        parts = [sets.at(slice(start, start + size)) for start in range(0, len(sets), size)]
        goal, labels = self.problem.goal, self.problem.labels
        return torch.cat(
            [
                goal.bounds(self.problem.circuit, some.enclosure(), labels.expand(len(some)), conserved_spikes)
                for some in parts
            ]
        )

    def _worst(self, lower: Tensor) -> Tensor:
        return self.problem.goal.least(self.problem.goal.tightened(lower))
