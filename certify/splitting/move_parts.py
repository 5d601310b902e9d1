"""Parts of a set of moves: which events have moved, and which may still do so.

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
from ..perturbations import SpikeShift


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
