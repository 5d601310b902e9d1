"""Parts of a set of changed events: what is settled, what may still change, and what a first layer hears of it.

Changes e_1, …, e_N of a recording x are ranked. Each may happen in several ways: it makes something else of some
entries of one feature, and takes some of the budgets (events that move, steps, flips). What it makes does not
depend on the others. So it is of a flip; of a move where events add up; and of all that may become of events that
may come to one entry, with the flips there, where events merge or keep apart. A part is a set of changes that were
made, a place p and what is left of the budgets: all recordings that come of them when of e_p, …, e_N some happen
within what is left. For any m ≥ p it is the union of

    the part of the same changes with m in the place of p, in which none of e_p, …, e_{m−1} happens, and
    for each i in [p, m) and each way in which e_i may happen: the part in which it has, too, with i + 1 in the
    place of p, and what that takes less to change.

Proof. A member in which none of e_p, …, e_{m−1} happens is in the first. In any other let e_i be the first that
does: those behind it happen within what is left. ∎

Let ways change entries (t, i) by w = ±1, and W_i be what the first layer makes of a one of feature i. Once some
have been made, W·x̃[t] + b = W·x[t] + b + Σ w·W_i: an addition for each. Let others of e_p, …, e_N happen as well.
Then Σ_t A[t]·W·x̃[t] rises by at most the sum of the c greatest |W_e|·m_e(Δ) of their events, if c may move, and by
that of the B greatest increments of |W_e|·m_e(d), if these are B steps in all (moved_events.py, merging too:
events that meet are of one change), and by the sum of the k greatest −w·A[t]·W_i above 0, if k entries may flip,
w what may go there (summed.py). They are kept for some p, and the last of these that is no greater than a part's
own is taken: its changes are among those. So a part costs a number for each neuron and row, however many inputs
there are.

Rounding. The run's is that of any recording with what a feature's entries may hold (intervals.py). A kept current
sums the terms of W·x[t] + b and one more for each of m entries, no greater than |W| makes of that: less than n +
m + 16 roundings, each at most ε/2 of (m + 1)·(|W|·|x| + |b|). Four times that is paid; a row's own T roundings are
among those of the run.
"""

import itertools
import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ....models.circuit import Circuit, Mapped
from ...rounding import Rounding, over_rows
from ..signals.affine import AffineMap, affine_map
from ..signals.signals import Signal
from ..signals.windows import Box
from .flips import total
from .moved_events import EPS, Retimings, increments
from .summed import UP

MOST_KEPT = 2**21
"""How many sums of one question are kept, each way, if one p does not take more: 16 MiB."""

BLOCKS = 128
"""Of how many p at most."""

AT_ONCE = 2**22
"""How many numbers are made at once of the inputs' columns."""


class Budgets(NamedTuple):
    """What changes may take in all: how many events move, of how many steps in all, and how many entries flip."""

    moves: int
    steps: int
    flips: int

    @property
    def done(self) -> bool:
        """Return whether nothing may change."""
        return min(self.moves, self.steps) == self.flips == 0


Way = tuple[Budgets, tuple[tuple[int, float], ...]]
"""What a change takes, and which steps it changes, and by how much."""


@dataclass(frozen=True)
class Piece:
    """What may become of some steps of one feature, whatever becomes of the others: a change.

    Attributes:
        moves: steps of events that may move, and whether these can meet another event and be merged into it.
        flips: steps that may flip, and what goes there then: 1 an event, −1 where there is none.
        ways: none of which makes of it what another one makes for no more.
    """

    moves: tuple[tuple[int, bool], ...]
    flips: tuple[tuple[int, float], ...]
    ways: tuple[Way, ...]


Numbers = Counter[tuple[int, ...]]
"""How many choices take so much."""


@dataclass(frozen=True)
class Parts:
    """Parts with the same budgets, of as many changes each.

    Attributes:
        made: in which ways changes happened, (n, m).
        places: p of each, from 0, (n,).
        left: what others may still take.
    """

    made: Tensor
    places: Tensor
    left: Budgets

    def __len__(self) -> int:
        """Return n."""
        return len(self.places)

    def at(self, chosen: Tensor | slice) -> "Parts":
        """Return some of them."""
        return replace(self, made=self.made[chosen], places=self.places[chosen])

    def of(self, places: Tensor) -> "Parts":
        """Return them with other places."""
        return replace(self, places=places)

    def resting(self, count: int) -> "Parts":
        """Return those in which nothing changes any more, of `count` changes: a recording each."""
        return replace(self, places=torch.full_like(self.places, count), left=Budgets(0, 0, 0))

    @property
    def done(self) -> bool:
        """Return whether nothing is left to change."""
        return self.left.done


@dataclass(frozen=True)
class Marks:
    """Events that may move, or entries that may flip, by the rank of their change.

    Attributes:
        change: to which each belongs, (n,).
        features: the input of each, flat, (n,).
        steps: where it is, (n,).
        values: what goes from there, float64: 1 an event, −1 where there is none, (n,).
        meets: whether what goes may come to another event and be merged into it, (n,).
    """

    change: Tensor
    features: Tensor
    steps: Tensor
    values: Tensor
    meets: Tensor

    @staticmethod
    def of(pieces: Sequence[Piece], features: Tensor, kind: Tensor, moves: bool) -> "Marks":
        """Return those of changes, which are pieces `kind` of `features`, (N,) each."""
        events = [[(*each, 1.0) for each in piece.moves] for piece in pieces]
        entries = [[(step, False, value) for step, value in piece.flips] for piece in pieces]
        every = events if moves else entries
        change, flat = spread([len(each) for each in every], kind)
        told = torch.tensor([mark for each in every for mark in each], dtype=torch.float64)
        steps, meets, values = told.view(-1, 3).to(features.device)[flat].unbind(1)
        return Marks(change, features[change], steps.long(), values, meets > 0)

    def at(self, chosen: slice) -> "Marks":
        """Return some of them."""
        return Marks(*(part[chosen] for part in vars(self).values()))


@dataclass(frozen=True, eq=False)
class RankedChanges:
    """The changes of a recording that may happen, in order.

    Attributes:
        sample: the recording, (1, T, ...).
        count: N.
        change: to which each of all ways belongs, (W,).
        steps: which steps of its feature it changes, (W, k).
        features: of each way, flat, (W, 1).
        by: how much, float64, 0 is nothing, (W, k).
        takes: and what it takes of the budgets, (W, 3).
        moves: the events that may move.
        flips: the entries that may flip.
        pieces: what changes are, by kind.
        many: how many changes are of each.
        reach: what an entry of each feature holds at most, in any recording, (features...).
        jitter: how many steps an event moves at most.
        leaves: whether events may move out of the steps.
    """

    sample: Tensor
    count: int
    change: Tensor
    features: Tensor
    steps: Tensor
    by: Tensor
    takes: Tensor
    moves: Marks
    flips: Marks
    pieces: Sequence[Piece]
    many: list[int]
    reach: Tensor
    jitter: int
    leaves: bool

    @staticmethod
    def of(sample: Tensor, pieces: Sequence[Piece], features: Tensor, kind: Tensor, *told: Any) -> "RankedChanges":
        """Return changes, which are pieces `kind` of `features`, (N,) each; `told`: reach, jitter and leaves."""
        change, flat = spread([len(piece.ways) for piece in pieces], kind)
        ways = [way for piece in pieces for way in piece.ways]
        width = max((len(entries) for _, entries in ways), default=0)
        padded = [[*entries, *[(0, 0.0)] * (width - len(entries))] for _, entries in ways]
        entries = torch.tensor(padded, dtype=torch.float64).view(len(ways), width, 2).to(features.device)[flat]
        takes = torch.tensor([cost for cost, _ in ways]).long().view(-1, 3).to(features.device)[flat]
        moves, flips = (Marks.of(pieces, features, kind, moves) for moves in (True, False))
        made = change, features[change, None], entries[..., 0].long(), entries[..., 1], takes
        many = kind.bincount(minlength=len(pieces)).tolist()
        return RankedChanges(sample, len(kind), *made, moves, flips, pieces, many, *told)

    def whole(self, budgets: Sequence[int | None]) -> Parts:
        """Return the one part that is the set within budgets; None: any."""
        moves, flips = len(self.moves.change), len(self.flips.change)
        most = moves, moves * self.jitter, flips
        left = (least if own is None else min(own, least) for own, least in zip(budgets, most, strict=True))
        return Parts(self.change.new_zeros(1, 0), self.change.new_zeros(1), Budgets(*left))

    def number(self, whole: Parts) -> int:
        """Return how many choices of ways there are within the budgets of the part that is the set."""
        costs = [[cost for cost, _ in piece.ways] for piece in self.pieces]
        pairs = list(zip(costs, self.many, strict=True))
        most = [sum(many * max((cost[k] for cost in each), default=0) for each, many in pairs) for k in range(3)]
        told = [int(left < all_of_it) for left, all_of_it in zip(whole.left, most, strict=True)]
        alike = Counter[frozenset[tuple[tuple[int, ...], int]]]()
        for each, many in pairs:
            ways = Numbers([(0, 0, 0), *(tuple(map(operator.mul, cost, told)) for cost in each)])
            alike[frozenset(ways.items())] += many
        known = Numbers([(0, 0, 0)])
        for ways, many in alike.items():
            known = _times(known, _power(Numbers(dict(ways)), many, whole.left), whole.left) if many else known
        return sum(known.values())

    def choices(self, whole: Parts, size: int) -> Iterator[Parts]:
        """Yield all choices of ways within those budgets, at most `size` at a time, of few changes first."""
        for changes in range(self.count + 1):
            some = False
            for made, places, _ in self._chosen(whole, changes, size):
                some = True
                yield Parts(made, places, whole.left)
            if not some:
                return

    def _chosen(self, whole: Parts, changes: int, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the choices of so many changes, their places, and what each leaves of the budgets."""
        if changes == 0:
            yield whole.made, whole.places, self.takes.new_tensor([whole.left])
            return
        together, least = max(1, size // max(1, len(self.change))), self.takes.unique(dim=0)
        for every in self._chosen(whole, changes - 1, size):
            able = (every[2][:, None] >= least).all(2).any(1)
            for made, places, left in zip(*(part[able].split(together) for part in every), strict=True):
                rows, ways, rest = self._further(places, torch.full_like(places, self.count), left)
                made = torch.cat([made[rows], ways[:, None]], 1)
                found = (part.split(size) for part in (made, self.change[ways] + 1, rest))
                yield from zip(*found, strict=True) if len(ways) else ()

    def _further(self, places: Tensor, cuts: Tensor, left: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ways from p on and before a cut that budgets allow: of which part, and what they leave."""
        first, last = torch.searchsorted(self.change, torch.stack([places, cuts]))
        rows, flat = _ranges(last - first)
        ways = first[rows] + flat
        rest = left[rows] - self.takes[ways]
        within = (rest >= 0).all(1)
        return rows[within], ways[within], rest[within]

    def entries(self, parts: Parts) -> tuple[Tensor, Tensor]:
        """Return which entries, flat, what was made changes, and by how much, (n, k); 0 is nothing."""
        inside = self.sample[0, 0].numel()
        return (self.steps * inside + self.features)[parts.made].flatten(1), self.by[parts.made].flatten(1)

    def recordings(self, parts: Parts) -> Tensor:
        """Return the recordings in which a part's changes were made and no others, (n, T, ...), float64."""
        flat = self.sample.double().flatten().repeat(len(parts), 1)
        return flat.scatter_add_(1, *self.entries(parts)).view(-1, *self.sample.shape[1:])

    def possible(self, parts: Parts, marks: Marks) -> Tensor:
        """Return how many of the marks of each entry may still happen, (n, T, ...), float64."""
        entries = marks.steps * self.sample[0, 0].numel() + marks.features
        left = (marks.change >= parts.places[:, None]).double()
        found = left.new_zeros(len(parts), self.sample[0].numel())
        return found.scatter_add_(1, entries.expand_as(left), left).view(-1, *self.sample.shape[1:])

    def children(self, parts: Parts, cuts: Tensor) -> list[Parts]:
        """Return the parts in which one of the changes from p on and before its cut, (n,), has happened, too."""
        left = self.takes.new_tensor([parts.left]).expand(len(parts), 3)
        rows, ways, rest = self._further(parts.places, cuts, left)
        made, places = torch.cat([parts.made[rows], ways[:, None]], 1), self.change[ways] + 1
        found = list[Parts]()
        for after in reversed(rest.unique(dim=0).unbind()):
            some = (rest == after).all(1)
            found.append(Parts(made[some], places[some], Budgets(*after.tolist())))
        return found


def _times(one: Numbers, other: Numbers, most: Budgets) -> Numbers:
    """Return how many choices of two take what in all, of those that take no more than `most`."""
    found = Numbers()
    for (takes, number), (more, times) in itertools.product(one.items(), other.items()):
        cost = tuple(map(operator.add, takes, more))
        if all(map(operator.le, cost, most)):
            found[cost] += number * times
    return found


def _power(ways: Numbers, many: int, most: Budgets) -> Numbers:
    """Return the same of so many changes that are alike, at least one."""
    if many == 1:
        return _times(ways, Counter([(0, 0, 0)]), most)
    half = _power(ways, many // 2, most)
    whole = _times(half, half, most)
    return _times(whole, ways, most) if many % 2 else whole


def spread(sizes: Sequence[int], kind: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rank of each item of changes of kinds that have so many, and its place among all kinds' items."""
    counts = torch.tensor(sizes).long().to(kind.device)
    change, inside = _ranges(counts[kind])
    return change, (counts.cumsum(0) - counts)[kind[change]] + inside


def _ranges(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return 0, …, 0, 1, …, each as often as `counts` say, and the place of each among its like."""
    rows = torch.arange(len(counts)).to(counts).repeat_interleave(counts)
    return rows, torch.arange(len(rows)).to(counts) - (counts.cumsum(0) - counts)[rows]


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
        """Return how far currents after changes of so many entries may be from the run's, (1, outputs).

        Args:
            changes: m.
            further: roundings that the run adds to each.
        """
        size = (self.map.absolute(self.reach) + self.map.bias_magnitude) * (changes + 1)
        own = size * (2 * (self.map.terms + changes + 16) * EPS)
        return (self.map.slack(self.reach, self.rounding, further) + own).flatten(1)


@dataclass(frozen=True, eq=False)
class ChangedCurrents:
    """The first layer's currents where ranked changes were made, and how far others may bring them.

    Attributes:
        first: the layer, with columns of the inputs that change.
        ranked: the changes.
        column: which of the columns each input has, 0 where it has none, (inputs,).
        kept: sums by question.
    """

    first: EventLayer
    ranked: RankedChanges
    column: Tensor
    kept: dict[tuple[bytes, Budgets], Tensor] = field(default_factory=dict)

    @staticmethod
    def of(circuit: Circuit, place: int, ranked: RankedChanges) -> "ChangedCurrents":
        """Return those of a network whose layer at `place` alone reads the recording."""
        inputs = torch.cat([ranked.moves.features, ranked.flips.features]).unique()
        column = inputs.new_zeros(ranked.reach.numel()).index_put_((inputs,), torch.arange(len(inputs)).to(inputs))
        first = EventLayer.of(circuit, place, ranked.sample.double(), inputs, ranked.reach)
        return ChangedCurrents(first, ranked, column)

    def after(self, parts: Parts) -> Tensor:
        """Return the currents once the parts' changes were made, (T, n, outputs)."""
        found = self.first.currents.flatten(1).repeat(len(parts), 1, 1)
        rows, inside = torch.arange(len(parts), device=found.device), len(self.column)
        for entries, by in zip(*(part.T for part in self.ranked.entries(parts)), strict=True):
            found[rows, entries // inside] += self.first.columns[self.column[entries % inside]] * by[:, None]
        return found.transpose(0, 1)

    def reach(self, rows: Tensor, parts: Parts) -> tuple[Tensor, Tensor]:
        """Return how far Σ_t rows[k,t]·W·x[t] may fall and rise in parts, each (k, n, outputs); rows: (k, T)."""
        question = rows.cpu().numpy().tobytes(), parts.left
        if question not in self.kept:
            self.kept[question] = torch.stack([self._sums(-rows, parts.left), self._sums(rows, parts.left)])
        kept = self.kept[question]
        size = self._block(len(rows))
        blocks = torch.where(parts.places < self.ranked.count, parts.places // size, kept.shape[2] - 1)
        fall, rise = kept[:, :, blocks]
        return fall, rise

    def _block(self, rows: int) -> int:
        """Return of how many changes only the first is a p that sums are kept of."""
        blocks = max(1, min(BLOCKS, MOST_KEPT // (rows * self.first.columns.shape[1])))
        return max(1, -(-self.ranked.count // blocks))

    def _sums(self, rows: Tensor, left: Budgets) -> Tensor:
        """Return how far sums rise for each p that is kept, and 0 for no change, (k, blocks + 1, outputs)."""
        moves = min(left.moves, left.steps) > 0 and len(self.ranked.moves.change) > 0
        flipped = self._greatest((-rows, rows), self.ranked.flips, left.flips) if left.flips else None
        if not moves:
            return self._greatest((rows, -rows), self.ranked.flips, 0) if flipped is None else flipped
        far, found = min(self.ranked.jitter, left.steps), list[Tensor]()
        for most, steps in self._limits(left):
            ends = [self._gains(sign * rows, steps, far) for sign in (1.0, -1.0)]
            found.append(self._greatest((ends[0], ends[1]), self.ranked.moves, most))
        moved = torch.stack(found).amin(0)
        return moved if flipped is None else (moved + flipped) * UP

    def _limits(self, left: Budgets) -> list[tuple[int, bool]]:
        """Return the budgets of moves, and whether each is of steps, without those that the other one implies."""
        steps, events = left.steps, left.moves
        by_events = [(events, False)] if events < steps else []
        return by_events + ([(steps, True)] if steps < events * self.ranked.jitter or not by_events else [])

    def _greatest(self, gains: tuple[Tensor, Tensor], marks: Marks, most: int) -> Tensor:
        """Return the sums of the `most` greatest of what marks from each p on gain, (k, blocks + 1, outputs).

        Args:
            gains: of what goes from each step, above 0 and below, (k, T), or of d steps, (2, k, T, far): where it
                can't and where it can meet another event.
            marks: what goes.
            most: how many.
        """
        up, down = (each.clamp_min(0)[None, ..., None] if each.dim() == 2 else each for each in gains)
        size, count = self._block(up.shape[1]), self.ranked.count
        best = up.new_zeros(up.shape[1], self.first.columns.shape[1], 1)
        found, last = [best.squeeze(-1)], len(marks.change)
        for start in reversed(range(0, count, size)):
            first = int(torch.searchsorted(marks.change, start))
            some, last = marks.at(slice(first, last)), first
            each = (self.first.columns[self.column[some.features]] * some.values[:, None]).unsqueeze(-1)
            meets = some.meets.long().clamp_max(len(up) - 1)
            rising, falling = (end[meets, :, some.steps].transpose(0, 1).unsqueeze(2) for end in (up, down))
            gained = each.clamp_min(0) * rising - each.clamp_max(0) * falling  # (k, marks, outputs, d)
            best = torch.cat([best, gained.transpose(1, 2).flatten(2)], -1)
            best = best.topk(min(most, best.shape[-1])).values
            found.append(total(best, most))
        return torch.stack(found[::-1], 1)

    def _gains(self, rows: Tensor, steps: bool, far: int) -> Tensor:
        """Return what a move from each step gains, (2, k, T, 1), or its increments over d, (2, k, T, far)."""
        every = [Retimings.of(rows, far, self.ranked.leaves, vanishes).gains for vanishes in (False, True)]
        gains = torch.stack(every)
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
        first, changes = self.changed.first, self.parts.made.shape[1] * self.changed.ranked.by.shape[1]
        slack = first.slack(changes, further) * rows.abs().sum(1)[:, None, None]
        lower, upper = middle - slack, middle + slack
        if not self.parts.done and self.changed.ranked.count:
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
