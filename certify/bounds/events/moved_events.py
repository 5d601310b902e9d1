"""Where an event at each step may go, and what it gains there.

Events that move in time: how far a weighted sum of events can move when each moves by at most Δ steps.

Let an event of feature i at step t move to t', |t' − t| ≤ Δ. Where events add up, Σ_t A[t]·W_i·x_i[t] changes by
W_i·(A[t'] − A[t]), whatever the others do. So its greatest rise is, with m(d) = max over |t' − t| ≤ d of
A[t'] − A[t] for W_i > 0 and of A[t] − A[t'] for W_i < 0, and the sums over all events,

    any may move:     Σ |W_i|·m(Δ),
    `count` may:      the sum of the `count` greatest |W_i|·m(Δ),
    Σ|t' − t| ≤ B:    at most the sum of the B greatest increments of the concave majorants of |W_i|·m(d):
                      Σ_e f_e(d_e) ≤ Σ_e (the first d_e increments of e), and these are Σ_e d_e ≤ B numbers.

The first two are attained. The third is the value of the Lagrangian of one multiplier, and attained where Δ is 1.
With both budgets each bound holds, and the lesser one is taken.

An event that leaves moves to a step outside, where A is 0.

Merging ("or": two events in one entry count once). In each entry of x̃ let one event stand for it, one that did
not move if there is one; all others vanish, and these have moved. So x̃ is made of moves and of moved events that
vanish, each of a distance of at least 1: the set is a subset of one in which events add up and those that can meet
another event (which is within Δ, or moves, too, within 2Δ) may also move to where A is 0. That superset is what is
bounded: a sound hull, exact where no events can meet.

Of one step no more than its own `count` (or B) greatest products ±W_i can be among the greatest of all, so W is
looked at once and every row only sorts what is left, as in flips.py. Rounding: m(d) carries one rounding, its
majorant less than 16Δ² of them, relative to itself, which `increments` pays for; a sum of n numbers of one sign
carries γ_n more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from ....kernels.spikes import MOST, changes_kernel
from ....models.deadline import check_time
from .flips import Budget, Changes, Heaviest, Sums, total


@dataclass(frozen=True)
class Retimings:
    """The best moves from each step, by distance.

    Attributes:
        gains: the greatest values[t'] − values[t], or 0, over 0 < |t' − t| ≤ d, for d = 1..Δ, (..., T, Δ).
        targets: t' + Δ there; of those that vanish, a place behind all others, (..., T, Δ).
        jitter: Δ.
    """

    gains: Tensor
    targets: Tensor
    jitter: int

    @staticmethod
    def of(values: Tensor, jitter: int, leaves: bool, vanishes: bool) -> "Retimings":
        """Return the best moves toward greater `values`, (..., T).

        Args:
            values: of each step; outside, and for who vanishes, it is 0.
            jitter: Δ.
            leaves: whether events may go outside.
            vanishes: whether an event that moves may also vanish.
        """
        steps = values.shape[-1]
        padded = F.pad(values, (jitter, jitter), value=0.0 if leaves else -torch.inf)
        distances = range(1, jitter + 1)
        offsets = [sign * distance for distance in distances for sign in (1, -1)]
        reached = torch.stack([padded[..., jitter + o : jitter + o + steps] for o in offsets], -1)
        best = reached.cummax(-1)
        places = torch.arange(steps, device=values.device)[:, None] + jitter
        targets = places + torch.tensor(offsets, device=values.device)[best.indices[..., 1::2]]
        highest = best.values[..., 1::2]
        if vanishes:
            targets = torch.where(highest < 0, steps + 2 * jitter, targets)
            highest = highest.clamp_min(0)
        return Retimings((highest - values.unsqueeze(-1)).clamp_min(0), targets, jitter)

    def best(self, price: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the greatest gain less `price`, (S,), times distance, and where it leads, (S, ..., T) each.

        Without a price: the greatest gain.
        """
        if price is None:
            return self.gains[..., -1], self.targets[..., -1]
        distance = torch.arange(1, self.jitter + 1, dtype=self.gains.dtype, device=self.gains.device)
        net = (self.gains - distance * price.view(-1, *([1] * (self.gains.dim() - 1)))).max(-1)
        return net.values.clamp_min(0), self.targets.gather(-1, net.indices.unsqueeze(-1)).squeeze(-1)

    def moves(self, moving: Tensor, targets: Tensor) -> Tensor:
        """Return what the events that move change, (..., T): −1 where they were, 1 where they go."""
        steps = moving.shape[-1]
        there = self.gains.new_zeros(*moving.shape[:-1], steps + 2 * self.jitter + 1)
        there.scatter_add_(-1, targets, moving.to(there))
        return there[..., self.jitter : self.jitter + steps] - moving.to(there)


EPS = torch.finfo(torch.float64).eps

MOST_POOLED = 2**21
"""How many products of changes and gains are sorted at once."""


@dataclass(frozen=True)
class Shifts(Budget):
    """Events move by at most `jitter` steps; at most `count` of them, by `most` steps in all.

    Attributes:
        num_steps: T.
        jitter: Δ ≥ 1.
        count: how many events may move; None: all.
        most: Σ|t' − t| at most; None: any.
        leaves: whether events may move out of the T steps.
        events: marks of the events that may move, 0 or 1, float64, shaped like the input: an entry that holds
            several is marked in several of them.
        meets: for each of these whether its events can meet another one and be merged into it.
        rows: what is summed over time, (k, T); None for the events themselves.
        apart: whether no two events may end in one entry. Bounds do not use it: theirs is a superset.
    """

    num_steps: int
    jitter: int
    count: int | None
    most: int | None
    leaves: bool
    events: tuple[Tensor, ...]
    meets: tuple[bool, ...]
    rows: Tensor | None = None
    apart: bool = False

    def moved(self, change: Callable[[Tensor], Tensor]) -> "Shifts":
        """Return the budget with other marks."""
        return replace(self, events=tuple(change(marks) for marks in self.events))

    def of_rows(self, rows: Tensor) -> "Shifts":
        """Return the budget that remembers `rows`."""
        return replace(self, rows=rows.to(self._marks))

    def by_row(self) -> Iterator["Shifts"]:
        """Yield the budget of each row."""
        assert self.rows is not None
        return (replace(self, rows=row) for row in self.rows.split(1))

    @property
    def _marks(self) -> Tensor:
        return self.events[0]

    @property
    def _limits(self) -> tuple[tuple[int | None, bool], ...]:
        """Return the budgets that each bound by themselves: how many, and whether steps or events are counted."""
        found = [(self.count, False)] * (self.count is not None) + [(self.most, True)] * (self.most is not None)
        return tuple(found) or ((None, False),)

    def reach(
        self, products: Callable[[Tensor], Tensor], kept: dict[int, Heaviest], sums: Sums | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return fall and rise; where all events may move, of all samples at once, without a product by itself."""
        if sums is None or self._limits != ((None, False),):
            return super().reach(products, kept, sums)
        if 0 not in kept:
            found = [end for marks in self.events for end in sums(marks.flatten(0, 1))]
            kept[0] = tuple(end.unflatten(0, self._marks.shape[:2]).unsqueeze(-1) for end in found)
        return self.reach_of(kept[0])

    def heaviest(self, changes: Changes) -> Heaviest:
        """Return the greatest rises and falls of each step: by budget, and for each by layer of events."""
        products = [changes(marks) for marks in self.events]
        each = ((most, layer) for most, _ in self._limits for layer in products)
        return tuple(_greatest(sign * layer, most) for most, layer in each for sign in (1.0, -1.0))

    def reach_of(self, heaviest: Heaviest) -> tuple[Tensor, Tensor]:
        """Return fall and rise, each (k, batch, outputs)."""
        assert self.rows is not None
        self._check(self.rows.shape[1])
        size = 2 * len(self.events)
        found = [
            self._reach(self.rows, heaviest[size * place : size * (place + 1)], *limit)
            for place, limit in enumerate(self._limits)
        ]
        falls, rises = zip(*found, strict=True)
        return torch.stack(falls).amin(0), torch.stack(rises).amin(0)

    def _reach(self, rows: Tensor, heaviest: Heaviest, most: int | None, steps: bool) -> tuple[Tensor, Tensor]:
        """Return fall and rise under one budget."""
        parts = []
        for up, down, meets in zip(heaviest[::2], heaviest[1::2], self.meets, strict=True):
            higher, lower = (self._gains(sign * rows, meets, steps) for sign in (1.0, -1.0))
            parts.append((up, down, higher, lower))
        fall = _sum([(up, lower, down, higher) for up, down, higher, lower in parts], most)
        return fall, _sum([(up, higher, down, lower) for up, down, higher, lower in parts], most)

    def _gains(self, rows: Tensor, meets: bool, steps: bool) -> Tensor:
        """Return what a move from each step gains at most, (k, T, 1); or the increments over d, (k, T, Δ)."""
        gains = self._retimings(rows, meets).gains
        return increments(gains) if steps else gains[..., -1:] * (1.0 + 4 * EPS)

    def _retimings(self, values: Tensor, meets: bool) -> Retimings:
        return Retimings.of(values, self.jitter, self.leaves, meets)

    def least(self, costs: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Return a lower bound of Σ costs·x̃: exact under `count`, the best of the Lagrangian's under `most`."""
        self._check(len(costs))
        values = -costs.movedim(0, -1)
        known = [self._retimings(values, meets) for meets in self.meets]
        found = [self._least(known, *limit) for limit in self._limits]
        gain, moves = found[0]
        for other, others in found[1:]:
            less = (other < gain).view(-1, *([1] * (moves.dim() - 1)))
            gain, moves = gain.minimum(other), torch.where(less, others, moves)
        base = (costs * events).movedim(1, 0).flatten(1).sum(1)
        return base - gain, events + moves.movedim(-1, 0)

    def _least(self, known: list[Retimings], most: int | None, steps: bool) -> tuple[Tensor, Tensor]:
        """Return what the best moves gain at most, (S,), and what they change, (S, ..., T)."""
        marks = [layer.movedim(0, -1) for layer in self.events]
        price = _price(known, marks, most) if steps and most is not None else None
        net, chosen = zip(*(one.best(price) for one in known), strict=True)
        gains = torch.stack([gain * mark for gain, mark in zip(net, marks, strict=True)], 1).flatten(1)
        moving = gains > 0
        if price is None and most is not None and most < gains.shape[1]:
            bar = gains.topk(most, dim=1)
            moving = torch.zeros_like(moving).scatter(1, bar.indices, bar.values > 0)
        gain = (gains * moving).sum(1)
        if price is not None and most is not None:
            gain = gain + price * most
        parts = moving.view(len(moving), len(known), *marks[0].shape[1:]).unbind(1)
        changed = [one.moves(part, places) for one, part, places in zip(known, parts, chosen, strict=True)]
        return gain, torch.stack(changed).sum(0)

    def _check(self, steps: int) -> None:
        if steps != self.num_steps:
            told = f"got a signal of {steps} steps, expected the events' {self.num_steps}"
            raise ValueError(f"perturbation: {told}: shifts are of inputs over time")


def increments(gains: Tensor) -> Tensor:
    """Return the increments over d of the concave majorant, (..., Δ): the first d sum up to gains[..., d − 1].

    It is the greatest straight line over each d between any two points of (0, 0), (1, gains[0]), …
    """
    values = torch.cat([torch.zeros_like(gains[..., :1]), gains], -1)
    places = torch.arange(values.shape[-1], dtype=values.dtype, device=values.device)
    over = values
    for first, last in combinations(range(values.shape[-1]), 2):
        share = ((places - first) / (last - first)).clamp(0.0, 1.0)
        line = values[..., [first]] * (1.0 - share) + values[..., [last]] * share
        inside = (places > first) & (places < last)
        over = torch.where(inside, over.maximum(line), over)
    return over.diff(dim=-1).clamp_min(0) * (1.0 + 16 * gains.shape[-1] ** 2 * EPS)


def _price(known: list[Retimings], marks: list[Tensor], most: int) -> Tensor:
    """Return the multiplier of Σ|t' − t| ≤ `most`: the first increment that is not spent, (S,)."""
    every = [
        (increments(one.gains) * mark.unsqueeze(-1)).flatten(1) for one, mark in zip(known, marks, strict=True)
    ]
    pooled = torch.cat(every, 1)
    if most >= pooled.shape[1]:
        return pooled.new_zeros(len(pooled))
    return pooled.topk(most + 1, dim=1).values[:, -1].clamp_min(0)


def _greatest(changes: Tensor, most: int | None) -> Tensor:
    """Return the greatest changes of each step, or their sum where all may move, (T, batch, outputs, n)."""
    if most is None or most >= changes.shape[-1]:
        positive = changes.clamp_min(0)
        return total(positive, changes.shape[-1]).unsqueeze(-1) if most is None else positive
    found = changes.amax(-1, keepdim=True) if most == 1 else changes.topk(most).values
    return found.clamp_min(0)


def _sum(parts: list[tuple[Tensor, Tensor, Tensor, Tensor]], most: int | None) -> Tensor:
    """Return the sums of the `most` greatest of changes (T, batch, outputs…, n) times gains (k, T, Δ), by row."""
    pairs = [pair for up, with_up, down, with_down in parts for pair in ((up, with_up), (down, with_down))]
    pairs = [pair for pair in pairs if pair[0].shape[-1]] or pairs[:1]
    terms = sum(change.shape[-1] * gain[0].numel() for change, gain in pairs)
    most = None if most is None or most >= terms else most
    paid = 1.0 + ((terms if most is None else most) + 8) * EPS
    if most is None or most <= MOST:
        return rises(pairs, most) * paid
    size = max(1, MOST_POOLED // max(1, terms * pairs[0][0][0, ..., 0].numel()))
    found = []
    for k in range(0, len(pairs[0][1]), size):
        check_time()
        found.append(rises([(change, gain[k : k + size]) for change, gain in pairs], most))
    return torch.cat(found) * paid


def rises(pairs: list[tuple[Tensor, Tensor]], most: int | None) -> Tensor:
    """Return the sums of the `most` greatest products of each row, or of all, (k, batch, outputs…).

    Args:
        pairs: changes, (T, batch, outputs…, n), and gains, (k, T, d), ≥ 0 all.
        most: how many; None: all.
    """
    if most is not None and most > MOST:
        return torch.cat([_pooled(*pair) for pair in pairs], -1).topk(most).values.sum(-1)
    if most is None:
        pairs = [(change.sum(-1, keepdim=True), gain.sum(2, keepdim=True)) for change, gain in pairs]
    like = pairs[0][0]
    flat = [(change.flatten(1, -2).transpose(1, 2).double().cpu(), gain.double().cpu()) for change, gain in pairs]
    return changes_kernel().rises(flat, most).unflatten(1, like.shape[1:-1]).to(like.device)


def _pooled(change: Tensor, gain: Tensor) -> Tensor:
    """Return all products of a row's changes and gains, (k, batch, outputs…, T·n·d)."""
    each = change.movedim(0, -2).unsqueeze(-1)  # (batch, outputs…, T, n, 1)
    return (each * gain.reshape(len(gain), *([1] * (each.dim() - 3)), gain.shape[1], 1, gain.shape[2])).flatten(-3)
