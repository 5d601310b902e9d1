"""Parts of a set of moves by where one of its events is: what one event moves, it moves in all neurons together.

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

from ..bounds.signals.box import Box
from ..perturbations import SpikeShift


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
