"""Parts of a set of changed events: what is settled, what may still change, and what a first layer hears of it.

Changes e_1, …, e_N of a recording x are ranked: an event that may move, or an entry that may flip. A part is a
set of changes that were made, a place p and what is left of the budgets: all recordings that come of them when of
e_p, …, e_N some happen within what is left. For any m ≥ p it is the union of

    the part of the same changes with m in the place of p, in which none of e_p, …, e_{m−1} happens, and
    for each i in [p, m) and each way in which e_i may happen, of d steps: the part in which it has, too, with
    i + 1 in the place of p, and one event and d steps less to change (a flip is one step).

Proof. A member in which none of e_p, …, e_{m−1} happens is in the first. In any other let e_i be the first that
does: those behind it happen within what is left. ∎

This needs that what a change makes of x does not depend on the others: so it is of flips, of moves where events
add up, and of moves of recordings of one event a feature, of which no two can meet.

A flip goes: an event from its step, and what comes to an empty entry is −1 that goes from there. With w_e = ±1
what goes, and W_e what the first layer makes of a one in e's feature, once the changes of a set M have been made,
those that stay within the steps coming to t'_e,

    W·x̃[t] + b = W·x[t] + b + Σ_{e ∈ M} w_e·W_e·([t = t'_e] − [t = t_e]):

a change costs two additions. Let others of e_p, …, e_N happen as well, at most c of them, of B steps in all. Then
Σ_t A[t]·W·x̃[t] rises by at most the sum of the c greatest |W_e|·m_e(Δ), and by that of the B greatest increments
of |W_e|·m_e(d) (moved_events.py), e ≥ p; a flip's m is −A[t_e] or A[t_e], by its sign, where that is above 0.
Both are kept for some p, and the last of these that is no greater than a part's own is taken: its changes are
among those. So a part costs a number for each neuron and row, however many inputs there are.

Rounding. The run's is that of any recording with what a feature's entries may hold (intervals.py). A kept current
sums the terms of W·x[t] + b and two more for each of m changes, no greater than |W| makes of that: less than n +
2m + 16 roundings, each at most ε/2 of (2m + 1)·(|W|·|x| + |b|). Four times that is paid; a row's own T roundings
are among those of the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ....models.circuit import Circuit, Mapped
from ...rounding import Rounding, over_rows
from ..signals.affine import AffineMap, affine_map
from ..signals.signals import Signal
from ..signals.windows import Box
from .flips import total
from .moved_events import EPS, Retimings, increments

MOST_KEPT = 2**21
"""How many sums of one question are kept, each way, if one p does not take more: 16 MiB."""

BLOCKS = 128
"""Of how many p at most."""

AT_ONCE = 2**22
"""How many numbers are made at once of the inputs' columns."""

GOES = ("stay", "leave", "flip")
"""Where what goes may come: to steps within reach, also out of all steps, or only there, in one step."""


@dataclass(frozen=True)
class Parts:
    """Parts with one budget, of as many changes each.

    Attributes:
        made: which changes were, by rank from 0, (n, m).
        there: to which steps, T where outside, (n, m).
        places: p of each, from 0, (n,).
        steps: of how many steps changes may still be in all.
        events: how many may still happen.
    """

    made: Tensor
    there: Tensor
    places: Tensor
    steps: int
    events: int

    def __len__(self) -> int:
        """Return n."""
        return len(self.places)

    def at(self, chosen: Tensor | slice) -> "Parts":
        """Return some of them."""
        return replace(self, made=self.made[chosen], there=self.there[chosen], places=self.places[chosen])

    def of(self, places: Tensor) -> "Parts":
        """Return them with other places."""
        return replace(self, places=places)

    def resting(self, count: int) -> "Parts":
        """Return those in which nothing changes any more, of `count` changes: a recording each."""
        return replace(self, places=torch.full_like(self.places, count), steps=0, events=0)

    @property
    def done(self) -> bool:
        """Return whether nothing is left to change."""
        return self.steps == 0 or self.events == 0


@dataclass(frozen=True, eq=False)
class RankedChanges:
    """The changes of a recording that may happen, in order.

    Attributes:
        sample: the recording, (1, T, ...).
        features: the input of each, flat, (N,).
        before: its step, (N,).
        values: what goes from there, float64: 1 an event, −1 where there is none, (N,).
        jitter: how many steps a change is at most.
        goes: one of `GOES`.
    """

    sample: Tensor
    features: Tensor
    before: Tensor
    values: Tensor
    jitter: int
    goes: str

    @property
    def count(self) -> int:
        """Return N."""
        return len(self.features)

    @property
    def reach(self) -> Tensor:
        """Return what an entry of each feature holds at most, in any recording, (features...)."""
        found = self.sample[0].double().abs()
        if self.goes != "flip":
            return found.sum(0)
        flat, one = found.amax(0).flatten(), torch.ones_like(self.values)
        return flat.scatter_reduce(0, self.features, one, "amax").view(found.shape[1:])

    def whole(self, count: int | None, steps: int | None) -> Parts:
        """Return the one part that is the set of at most `count` changes of so many steps in all; None: any."""
        none, zero = self.features.new_zeros(1, 0), self.features.new_zeros(1)
        most = self.sample.shape[1] * self.count
        events = min(self.count, self.count if count is None else count)
        return Parts(none, none, zero, min(most, most if steps is None else steps), events)

    def entries(self, parts: Parts) -> tuple[Tensor, Tensor]:
        """Return which entries, flat, what was made changes, and by how much, (n, m) or (n, 2m); 0 is nothing."""
        steps, inside = self.sample.shape[1], self.sample[0, 0].numel()
        feature, value = self.features[parts.made], self.values[parts.made]
        gone = self.before[parts.made] * inside + feature
        if self.goes == "flip":
            return gone, -value
        come, stays = parts.there.clamp_max(steps - 1) * inside + feature, parts.there < steps
        return torch.cat([gone, come], 1), torch.cat([-value, value * stays], 1)

    def recordings(self, parts: Parts) -> Tensor:
        """Return the recordings in which a part's changes were made and no others, (n, T, ...), float64."""
        flat = self.sample.double().flatten().repeat(len(parts), 1)
        return flat.scatter_add_(1, *self.entries(parts)).view(-1, *self.sample.shape[1:])

    def marks(self, parts: Parts) -> Tensor:
        """Return how many changes of each entry may still happen, (n, T, ...), float64."""
        entries = self.before * self.sample[0, 0].numel() + self.features
        ranks = torch.arange(self.count).to(parts.places)
        left = (ranks >= parts.places[:, None]).double()
        found = left.new_zeros(len(parts), self.sample[0].numel())
        return found.scatter_add_(1, entries.expand_as(left), left).view(-1, *self.sample.shape[1:])

    def children(self, parts: Parts, cuts: Tensor) -> list[Parts]:
        """Return the parts in which one of the changes from p on and before its cut, (n,), has happened, too."""
        counts = cuts - parts.places
        rows = torch.arange(len(parts)).to(counts).repeat_interleave(counts)
        first = (counts.cumsum(0) - counts)[rows]
        ranks = parts.places[rows] + torch.arange(len(rows)).to(counts) - first
        distances = range(1, min(parts.steps, self.jitter) + 1)
        return [child for each in distances if len(child := self._made(parts, rows, ranks, each))]

    def _made(self, parts: Parts, rows: Tensor, ranks: Tensor, distance: int) -> Parts:
        """Return the parts in which changes `ranks` of parts `rows` have been made, too, of `distance` steps."""
        steps = self.sample.shape[1]
        before, choice = self.before[ranks], torch.arange(len(rows)).to(rows)
        ends, chosen = list[Tensor](), list[Tensor]()
        for offset in (distance, -distance) if self.goes != "flip" else ():
            after = before + offset
            inside = (after >= 0) & (after < steps)
            ends.append(after[inside])
            chosen.append(choice[inside])
        if self.goes != "stay":
            out = torch.ones_like(before) if self.goes == "flip" else (before + 1).minimum(steps - before)
            chosen.append(choice[out == distance])
            ends.append(torch.full_like(chosen[-1], steps))
        after, which = torch.cat(ends), torch.cat(chosen)
        rows, ranks = rows[which], ranks[which]
        made = torch.cat([parts.made[rows], ranks[:, None]], 1)
        there = torch.cat([parts.there[rows], after[:, None]], 1)
        return Parts(made, there, ranks + 1, parts.steps - distance, parts.events - 1)


@dataclass(frozen=True, eq=False)
class EventLayer:
    """What a first layer makes of a recording, and of a one of each of some inputs.

    Attributes:
        layer: the node.
        map: what it does.
        rounding: the dtypes of the run and of the bound.
        reach: what inputs may hold where it reads them, (1, ...).
        entering: what enters the layer, (T, ...).
        currents: what the layer makes of it, (T, ...).
        columns: W_i of each of these inputs, (inputs, outputs), flat.
    """

    layer: Mapped
    map: AffineMap
    rounding: Rounding
    reach: Tensor
    entering: Tensor
    currents: Tensor
    columns: Tensor

    @staticmethod
    def of(circuit: Circuit, place: int, sample: Tensor, inputs: Tensor, reach: Tensor) -> "EventLayer":
        """Return the layer.

        Args:
            circuit: the network.
            place: as `first_layer` returns it.
            sample: the recording, (1, T, ...).
            inputs: of which columns are made, flat, (inputs,).
            reach: what an entry of each input holds at most, (features...).
        """
        layer = circuit.nodes[place]
        assert isinstance(layer, Mapped)
        made, signal = affine_map(layer.map), circuit.arranged(sample.double()).squeeze(1)
        renames = [each.map.to(torch.float64) for each in circuit.nodes[1:place] if isinstance(each, Mapped)]

        def entering(values: Tensor) -> Tensor:
            """Return what inputs are where the layer reads them."""
            for rename in renames:
                values = rename.linear(values)
            return values

        signal_in = entering(signal)
        currents = made.linear(signal_in) + made.bias
        columns = [made.linear(entering(ones)).flatten(1) for ones in _ones(inputs, signal)]
        columns = torch.cat(columns) if columns else currents.new_zeros(0, currents[0].numel())
        most = entering(reach[None].to(signal))
        return EventLayer(layer, made, Rounding.of(circuit), most, signal_in, currents, columns)

    def slack(self, changes: int, further: int) -> Tensor:
        """Return how far currents after so many changes may be from the run's, (1, outputs).

        Args:
            changes: m.
            further: roundings that the run adds to each.
        """
        size = (self.map.absolute(self.reach) + self.map.bias_magnitude) * (2 * changes + 1)
        own = size * (2 * (self.map.terms + 2 * changes + 16) * EPS)
        return (self.map.slack(self.reach, self.rounding, further) + own).flatten(1)


@dataclass(frozen=True, eq=False)
class ChangedCurrents:
    """The first layer's currents where ranked changes were made, and how far others may bring them.

    Attributes:
        first: the layer, with columns of the inputs that change.
        ranked: the changes.
        column: which of the columns each has, (N,).
        kept: sums by question.
    """

    first: EventLayer
    ranked: RankedChanges
    column: Tensor
    kept: dict[tuple[bytes, int, int], Tensor] = field(default_factory=dict)

    @staticmethod
    def of(circuit: Circuit, place: int, ranked: RankedChanges) -> "ChangedCurrents":
        """Return those of a network whose layer at `place` alone reads the recording."""
        inputs, column = ranked.features.unique(return_inverse=True)
        first = EventLayer.of(circuit, place, ranked.sample.double(), inputs, ranked.reach)
        return ChangedCurrents(first, ranked, column)

    def after(self, parts: Parts) -> Tensor:
        """Return the currents once the parts' changes were made, (T, n, outputs)."""
        ranked, steps = self.ranked, len(self.first.currents)
        found = self.first.currents.flatten(1).repeat(len(parts), 1, 1)
        found = torch.cat([found, found.new_zeros(len(parts), 1, found.shape[2])], 1)  # outside of all steps
        rows = torch.arange(len(parts), device=found.device)
        for change, step in zip(parts.made.T, parts.there.T, strict=True):
            went = self.first.columns[self.column[change]] * ranked.values[change, None]
            found[rows, ranked.before[change]] -= went
            found[rows, step] += went
        return found[:, :steps].transpose(0, 1)

    def reach(self, rows: Tensor, parts: Parts) -> tuple[Tensor, Tensor]:
        """Return how far Σ_t rows[k,t]·W·x[t] may fall and rise in parts, each (k, n, outputs); rows: (k, T)."""
        question = rows.cpu().numpy().tobytes(), parts.steps, parts.events
        if question not in self.kept:
            self.kept[question] = torch.stack([self._sums(-rows, parts), self._sums(rows, parts)])
        kept = self.kept[question]
        size = self._block(len(rows))
        blocks = torch.where(parts.places < self.ranked.count, parts.places // size, kept.shape[2] - 1)
        fall, rise = kept[:, :, blocks]
        return fall, rise

    def _block(self, rows: int) -> int:
        """Return of how many changes only the first is a p that sums are kept of."""
        blocks = max(1, min(BLOCKS, MOST_KEPT // (rows * self.first.columns.shape[1])))
        return max(1, -(-self.ranked.count // blocks))

    def _sums(self, rows: Tensor, parts: Parts) -> Tensor:
        """Return how far sums rise for each p that is kept, and 0 for no change, (k, blocks + 1, outputs)."""
        far = min(self.ranked.jitter, parts.steps)
        found = [self._greatest(rows, *limit, far) for limit in self._limits(parts)]
        return torch.stack(found).amin(0)

    def _limits(self, parts: Parts) -> list[tuple[int, bool]]:
        """Return the budgets, and whether each is of steps, without those that the other one implies."""
        steps, events = parts.steps, parts.events
        by_events = [(events, False)] if events < steps else []
        return by_events + ([(steps, True)] if steps < events * self.ranked.jitter or not by_events else [])

    def _greatest(self, rows: Tensor, most: int, steps: bool, far: int) -> Tensor:
        """Return the sums of the `most` greatest of what changes from each p on gain, (k, blocks + 1, outputs)."""
        up, down = (self._gains(sign * rows, steps, far) for sign in (1.0, -1.0))
        size, count, ranked = self._block(len(rows)), self.ranked.count, self.ranked
        best = rows.new_zeros(len(rows), self.first.columns.shape[1], 1)
        found = [best.squeeze(-1)]
        for start in reversed(range(0, count, size)):
            some = slice(start, start + size)
            weights = self.first.columns[self.column[some]] * ranked.values[some, None]
            rising, falling = (gains[:, ranked.before[some]].unsqueeze(2) for gains in (up, down))
            each = weights.unsqueeze(-1)
            gained = each.clamp_min(0) * rising - each.clamp_max(0) * falling  # (k, changes, outputs, d)
            best = torch.cat([best, gained.transpose(1, 2).flatten(2)], -1)
            best = best.topk(min(most, best.shape[-1])).values
            found.append(total(best, most))
        return torch.stack(found[::-1], 1)

    def _gains(self, rows: Tensor, steps: bool, far: int) -> Tensor:
        """Return what a change at each step gains at most, (k, T, 1), or its increments over d, (k, T, far)."""
        if self.ranked.goes == "flip":
            return (-rows).clamp_min(0).unsqueeze(-1)
        gains = Retimings.of(rows, far, leaves=self.ranked.goes == "leave", vanishes=False).gains
        return increments(gains) if steps else gains[..., -1:] * (1.0 + 4 * EPS)


@dataclass(frozen=True)
class PartCurrents(Signal):
    """The first layer's currents of parts, n of them.

    Attributes:
        changed: of the recording.
        made: the currents after the changes that were made, (T, n, outputs), flat.
        parts: what may still change.
    """

    changed: ChangedCurrents
    made: Tensor
    parts: Parts
    constant: bool = False

    @staticmethod
    def of(changed: ChangedCurrents, parts: Parts) -> "PartCurrents":
        """Return those of some parts."""
        return PartCurrents(changed, changed.after(parts), parts)

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.made)

    def steps(self) -> Box:
        """Return where the currents lie step by step."""
        return self._box(torch.eye(self.num_steps).to(self.made), 0)

    def combine(self, rows: Tensor) -> Box:
        """Return where sums over time lie."""
        return self._box(rows.to(self.made), over_rows(self.num_steps))

    def magnitude(self) -> Tensor:
        """Return |W|·|x| + |b|, widened by the run's rounding."""
        first = self.changed.first
        return first.map.magnitude(first.reach, first.rounding)

    def _box(self, rows: Tensor, further: int) -> Box:
        middle = torch.tensordot(rows, self.made, 1)
        first, moves = self.changed.first, self.parts.made.shape[1]
        slack = first.slack(moves, further) * rows.abs().sum(1)[:, None, None]
        lower, upper = middle - slack, middle + slack
        if not self.parts.done and self.changed.ranked.count and self.changed.ranked.jitter:
            fall, rise = self.changed.reach(rows, self.parts)
            lower, upper = lower - fall, upper + rise
        shape = first.currents.shape[1:]
        return Box(lower.unflatten(-1, shape), upper.unflatten(-1, shape))


def first_layer(circuit: Circuit) -> int | None:
    """Return the place of the affine layer that alone reads the recording, renamed or not, if there is one.

    None also where it is the last node, which a readout reads.
    """
    for place, node in enumerate(circuit.nodes[1:], start=1):
        if not isinstance(node, Mapped) or node.sources != (place - 1,):
            return None
        if not node.map.reshapes:
            others = circuit.nodes[place + 1 :]
            alone = all(source >= place for other in others for source in other.sources)
            return place if alone and node is not circuit.last else None
    return None


def _ones(features: Tensor, like: Tensor) -> Iterator[Tensor]:
    """Yield inputs with a one at each of `features`, (n, ...), some at a time."""
    shape = like.shape[1:]
    for part in features.split(max(1, AT_ONCE // max(1, shape.numel()))):
        ones = like.new_zeros(len(part), shape.numel())
        ones[torch.arange(len(part), device=part.device), part] = 1.0
        yield ones.view(-1, *shape)
