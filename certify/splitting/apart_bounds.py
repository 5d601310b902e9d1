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

Parts of a set of moves: which events have moved, and which may still do so.

Events e_1, …, e_N of a recording, one a feature at most, are ranked by the weights that they meet first. A part is
a set of moves that were made, a place p and what is left of the budgets: all recordings that come of them when of
e_p, …, e_N some move within what is left. For any m ≥ p it is the union of

    the part of the same moves with m in the place of p, in which none of e_p, …, e_{m−1} moves, and
    for each i in [p, m) and each allowed move of e_i by d ≠ 0: the part in which e_i has moved, too, with i + 1 in
    the place of p, and one event and |d| steps less to move.

Proof. A member in which none of e_p, …, e_{m−1} moves is in the first. In any other let e_i be the first that
moves: those behind it move within what is left. No two events can meet, as each feature has one, so that moves
neither merge nor block each other. ∎
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.circuit import Circuit, Mapped
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


@dataclass(frozen=True)
class Parts:
    """Parts with one budget, of as many moves each.

    Attributes:
        moved: which events have moved, by rank from 0, (n, m).
        there: to which steps, (n, m).
        places: p of each, from 0, (n,).
        steps: by how many steps events may still move in all.
        events: how many may still move.
    """

    moved: Tensor
    there: Tensor
    places: Tensor
    steps: int
    events: int

    def __len__(self) -> int:
        """Return n."""
        return len(self.places)

    def at(self, chosen: Tensor | slice) -> "Parts":
        """Return some of them."""
        return replace(self, moved=self.moved[chosen], there=self.there[chosen], places=self.places[chosen])

    def of(self, places: Tensor) -> "Parts":
        """Return them with other places."""
        return replace(self, places=places)

    def resting(self, count: int) -> "Parts":
        """Return those in which no event moves any more, of `count` events: a recording each."""
        return replace(self, places=torch.full_like(self.places, count), steps=0, events=0)

    @property
    def done(self) -> bool:
        """Return whether nothing is left to move."""
        return self.steps == 0 or self.events == 0


@dataclass(frozen=True, eq=False)
class RankedEvents:
    """The events of a recording that may move, in order.

    Attributes:
        sample: the recording, (1, T, ...).
        features: the input of each, flat, (N,).
        before: its step, (N,).
        jitter: how far it moves at most, in steps, below T.
    """

    sample: Tensor
    features: Tensor
    before: Tensor
    jitter: int

    @staticmethod
    def of(circuit: Circuit, threat: SpikeShift, sample: Tensor) -> "RankedEvents":
        """Return the events of a sample, (1, T, ...)."""
        marks = threat.movable(sample)[0] > 0
        weights = influence(circuit, tuple(sample.shape[2:])).flatten()
        steps, features = marks.flatten(1).nonzero(as_tuple=True)
        order = weights[features].argsort(descending=True, stable=True)
        return RankedEvents(sample, features[order], steps[order], min(threat.reach, sample.shape[1] - 1))

    @property
    def count(self) -> int:
        """Return N."""
        return len(self.features)

    def whole(self, threat: SpikeShift) -> Parts:
        """Return the one part that is the set."""
        steps, none = self.sample.shape[1] * self.count, torch.zeros(1, 0, dtype=torch.long)
        whole = min(steps, steps if threat.total is None else threat.total)
        events = min(self.count, self.count if threat.count is None else threat.count)
        none, zero = none.to(self.features), torch.zeros(1, dtype=torch.long).to(self.features)
        return Parts(none, none, zero, whole, events)

    def recordings(self, parts: Parts) -> Tensor:
        """Return the recordings in which a part's moves were made and no others, (n, T, ...)."""
        found = self.sample.flatten(2).repeat(len(parts), 1, 1)
        rows, features = torch.arange(len(parts)).to(parts.places)[:, None], self.features[parts.moved]
        found[rows, self.before[parts.moved], features] = 0
        found[rows, parts.there, features] = 1
        return found.view(-1, *self.sample.shape[1:])

    def marks(self, parts: Parts) -> Tensor:
        """Return the events that may still move, (n, T, ...) of 0 and 1, float64."""
        found = torch.zeros_like(self.sample.double()).flatten(2).repeat(len(parts), 1, 1)
        ranks = torch.arange(self.count).to(parts.places)
        found[:, self.before, self.features] = (ranks >= parts.places[:, None]).double()
        return found.view(-1, *self.sample.shape[1:])

    def children(self, parts: Parts, cuts: Tensor) -> list[Parts]:
        """Return the parts in which one of the events from p on and before its cut, (n,), has moved, too."""
        counts = cuts - parts.places
        rows = torch.arange(len(parts)).to(counts).repeat_interleave(counts)
        first = (counts.cumsum(0) - counts)[rows]
        ranks = parts.places[rows] + torch.arange(len(rows)).to(counts) - first
        distances = range(1, min(parts.steps, self.jitter) + 1)
        return [child for each in distances if len(child := self._moved(parts, rows, ranks, each))]

    def _moved(self, parts: Parts, rows: Tensor, ranks: Tensor, distance: int) -> Parts:
        """Return the parts in which events `ranks` of parts `rows` have moved, too, by `distance` either way."""
        offsets = torch.tensor([distance, -distance]).to(ranks)
        after = (self.before[ranks] + offsets[:, None]).flatten()
        inside = (after >= 0) & (after < self.sample.shape[1])
        rows, ranks, after = rows.repeat(2)[inside], ranks.repeat(2)[inside], after[inside]
        moved = torch.cat([parts.moved[rows], ranks[:, None]], 1)
        there = torch.cat([parts.there[rows], after[:, None]], 1)
        return Parts(moved, there, ranks + 1, parts.steps - distance, parts.events - 1)


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
