"""F9: the trains of neurons that subtract, by what came in minus what went out.

Let L[t] = Σ_{k≤t} λ^(t−k)·c[k] be a neuron's filtered current and Y[t] = d·Σ_{k≤t} λ^(t−k)·s[k] what its spikes
took. With v[t] = λ·u[t−1] + c[t] and u = v − d·s,

    u[t] = L[t] − Y[t],    v[t] = L[t] − λ·Y[t−1].

A cell is an interval of Y and one of u. From each cell silence is possible iff v may be θ or less, a spike iff v
may be θ or more, v being known from both sides, v ∈ [L − λ·Y] ∩ [λ·u + c]; and then Y ← λ·Y + d·s, cut to L − u.
Every run stays in a path of cells, so the least Σ A·s over paths is a lower bound. When a neuron has more than K
cells, those in the same of K equal parts of the range of its Y become their hull. All ends are rounded outward
(fixed.py).

The ranges of L are joint over time: one train of a neuron before serves all steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..numbers.exact import Dyadic, whole
from ..numbers.fixed import Decay, Ends, unfixed
from ..work import CALL, hold, spend

STEP = 2048
"""Operations that a step takes whatever there is: some dozens of numpy's calls."""
MOVE = 4
"""Operations that a move takes at a step."""
PLAIN = 8
"""How many numbers of 64 bits count as one that is held."""


@dataclass(frozen=True)
class ExactDrive:
    """What drives n neurons, in multiples of 2^−shift; arrays are (n, T).

    Attributes:
        lower, upper: of L; low, high: of c.
        surely, perhaps: v above the one fires for certain, below the other it is silent for certain.
        drop: what d lies between.
        decay: λ.
        allowed: silence and spikes that a leaf allows, (n, T, 2) of bool; None: all.
    """

    lower: np.ndarray
    upper: np.ndarray
    low: np.ndarray
    high: np.ndarray
    surely: int
    perhaps: int
    drop: tuple[int, int]
    decay: Decay
    shift: int
    allowed: np.ndarray | None = None


@dataclass(frozen=True)
class ExactCells:
    """Cells at one step, those of one neuron side by side.

    Attributes:
        owner: their neurons, (C,), rising.
        lower: least Y and least u, (2, C); upper: the greatest, (2, C).
    """

    owner: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class CellStep:
    """What a step makes of the cells before it: M moves, which end in C cells.

    Attributes:
        owner: of each cell, (C,).
        starts: where the moves that end in each cell begin, (C,).
        origin: the cell that a move comes from, (M,); spike: 0 or 1, (M,).
        low, high: of the u that it leaves, (M,).
        taken: ends of Y of each neuron, (n,) each, 0 where a neuron has no cell.
    """

    owner: np.ndarray
    starts: np.ndarray
    origin: np.ndarray
    spike: np.ndarray
    low: np.ndarray
    high: np.ndarray
    taken: Ends


@dataclass(frozen=True)
class Paths:
    """All paths of cells of n neurons, and what drives them."""

    drive: ExactDrive
    steps: list[CellStep]

    @property
    def neurons(self) -> int:
        """Return n."""
        return len(self.drive.lower)

    @property
    def shift(self) -> int:
        """Return the power of two that all numbers are multiples of, negated."""
        return self.drive.shift

    @property
    def empty(self) -> bool:
        """Return whether some neuron has no path: then there is no run."""
        return len(np.unique(self.steps[-1].owner)) < self.neurons

    @property
    def moves(self) -> int:
        """Return how many moves there are."""
        return sum(len(step.spike) for step in self.steps)

    def spikes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return whether a spike is certain, and whether it is possible, (n, T) of int."""
        spend(len(self.steps) * CALL * 8 + self.moves)
        certain, possible = np.ones((2, self.neurons, len(self.steps)), dtype=int) * [[[1]], [[0]]]
        for t, step in enumerate(self.steps):
            moving = np.repeat(step.owner, np.diff(step.starts, append=len(step.spike)))
            certain[moving[step.spike == 0], t] = 0
            possible[moving[step.spike == 1], t] = 1
        return certain, possible

    def taken(self) -> tuple[Dyadic, Dyadic]:
        """Return the ends of Y, (n, T) each."""
        ends = (np.stack(part, 1) for part in zip(*(step.taken for step in self.steps), strict=True))
        low, high = (unfixed(end, self.shift) for end in ends)
        return low, high

    def left(self) -> tuple[Dyadic, Dyadic]:
        """Return the ends of u, (n, T) each, 0 where a neuron has no cell."""
        spend(len(self.steps) * CALL * 8 + self.moves)
        low, high = np.zeros((2, self.neurons, len(self.steps)), dtype=np.int64)
        for t, step in enumerate(self.steps):
            moving = np.repeat(step.owner, np.diff(step.starts, append=len(step.spike)))
            if len(moving):
                first = _starts(moving)
                low[moving[first], t] = np.minimum.reduceat(step.low, first)
                high[moving[first], t] = np.maximum.reduceat(step.high, first)
        return unfixed(low, self.shift), unfixed(high, self.shift)

    def filtered(self, decay: Decay, factors: Sequence[tuple[int, int]]) -> Ends:
        """Return the ends of Σ_{k≤t} decay^(t−k)·factors[k]·s[k] over all paths, (n, T) each.

        Args:
            decay: of whoever reads the spikes.
            factors: ends of a number for each step.
        """
        spend(len(self.steps) * CALL * 8 + self.moves)
        low, high = np.zeros((2, self.neurons, len(self.steps)), dtype=np.int64)
        ends = np.zeros((2, self.neurons), dtype=np.int64)
        for t, (step, (below, above)) in enumerate(zip(self.steps, factors, strict=True)):
            if len(step.owner) == 0:
                break
            one, two = decay.times(*ends)
            one, two = one[step.origin] + step.spike * below, two[step.origin] + step.spike * above
            ends = np.stack((np.minimum.reduceat(one, step.starts), np.maximum.reduceat(two, step.starts)))
            first = _starts(step.owner)
            low[step.owner[first], t] = np.minimum.reduceat(ends[0], first)
            high[step.owner[first], t] = np.maximum.reduceat(ends[1], first)
        return low, high

    def least(self, costs: Dyadic, prices: Dyadic) -> Dyadic:
        """Return Σ_j of the least Σ_t costs[j, t]·s[t] − prices[j, t]·u[t] over the paths of j; none is empty."""
        if not costs.ints.any() and not prices.ints.any():
            return whole(0)
        shift = max(costs.shift, prices.shift + max(0, self.shift))
        spend(len(self.steps) * CALL * 8 + MOVE * self.moves, shift)
        price = prices.ints * (1 << shift - prices.shift - self.shift)
        cost, length, owner = costs.at(shift), np.zeros(self.neurons, dtype=object), np.arange(self.neurons)
        for t, step in enumerate(self.steps):
            moving = owner[step.origin]
            paid = price[moving, t]
            reached = length[step.origin] + cost[moving, t] * step.spike.astype(object)
            reached = reached - paid * np.where(paid > 0, step.high, step.low).astype(object)
            length, owner = np.minimum.reduceat(reached, step.starts), step.owner
        return Dyadic(np.asarray(np.minimum.reduceat(length, _starts(owner)).sum(), dtype=object), shift)


def paths(drive: ExactDrive, count: int) -> Paths:
    """Return the paths of at most `count` cells a neuron."""
    neurons, steps = drive.lower.shape
    start = np.zeros((2, neurons), dtype=np.int64)
    cells, found = ExactCells(np.arange(neurons), start, start), []
    moves = 0
    for t in range(steps):
        spend(STEP + 2 * MOVE * len(cells.owner))
        origin, spike, reached = _moved(cells, drive, t)
        moves += len(origin)
        hold("moves of cells", moves // PLAIN)
        bins = merged_bins(reached.owner, reached.lower[:1] + reached.upper[:1], count)
        order, starts = grouped(reached.owner, bins, count)
        lower, upper = reached.lower[:, order], reached.upper[:, order]
        cells = ExactCells(reached.owner[order][starts], *hulls(lower, upper, starts))
        found.append(
            CellStep(cells.owner, starts, origin[order], spike[order], lower[1], upper[1], _taken(cells, neurons))
        )
    return Paths(drive, found)


def _moved(cells: ExactCells, drive: ExactDrive, t: int) -> tuple[np.ndarray, np.ndarray, ExactCells]:
    """Return all moves of a step before any merge: their origins, their spikes, and where they lead."""
    owner, (taken, left) = cells.owner, zip(cells.lower, cells.upper, strict=True)
    lower, upper = drive.lower[owner, t], drive.upper[owner, t]
    least, most = drive.decay.times(*taken)
    low, high = drive.decay.times(*left)
    low = np.maximum(lower - most, low + drive.low[owner, t])
    high = np.minimum(upper - least, high + drive.high[owner, t])
    lows = np.stack((low, np.maximum(low, drive.perhaps) - drive.drop[1]))
    highs = np.stack((np.minimum(high, drive.surely), high - drive.drop[0]))
    leasts = np.maximum(np.stack((least, least + drive.drop[0])), lower - highs)
    mosts = np.minimum(np.stack((most, most + drive.drop[1])), upper - lows)
    there = np.stack((low <= highs[0], np.maximum(low, drive.perhaps) <= high)) & (leasts <= mosts)
    if drive.allowed is not None:
        there &= drive.allowed[owner, t].T
    origin, spike = np.nonzero(there.T)
    ends = (np.stack((taken.T[there.T], left.T[there.T])) for taken, left in ((leasts, lows), (mosts, highs)))
    return origin, spike, ExactCells(owner[origin], *ends)


def merged_bins(owner: np.ndarray, middles: np.ndarray, count: int) -> np.ndarray:
    """Return which of `count` equal parts of its owner's range each cell's middle lies in, (D, C).

    Args:
        owner: of each cell, rising.
        middles: in D dimensions, (D, C).
        count: of parts in each dimension.
    """
    if len(owner) == 0:
        return middles
    starts = _starts(owner)
    sizes = np.diff(starts, append=len(owner))
    first = np.repeat(np.minimum.reduceat(middles, starts, axis=1), sizes, axis=1)
    last = np.repeat(np.maximum.reduceat(middles, starts, axis=1), sizes, axis=1)
    width = np.maximum(last - first, 1)
    bins = ((middles - first) * (2 * (count - 1)) + width) // (2 * width)
    few = np.repeat(sizes <= count ** len(middles), sizes)
    rank = np.arange(len(owner)) - np.repeat(starts, sizes)
    return np.where(few, np.stack([rank // count**d % count for d in range(len(middles))]), bins)


def grouped(owner: np.ndarray, bins: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an order in which cells of one owner and one bin are side by side, and where each group starts."""
    key = owner
    for each in bins[::-1]:
        key = key * count + each
    order = np.argsort(key, kind="stable")
    return order, _starts(key[order])


def hulls(lower: np.ndarray, upper: np.ndarray, starts: np.ndarray) -> Ends:
    """Return the hull of each group, (..., groups)."""
    if len(starts) == 0:
        return lower, upper
    return np.minimum.reduceat(lower, starts, axis=-1), np.maximum.reduceat(upper, starts, axis=-1)


def _taken(cells: ExactCells, neurons: int) -> Ends:
    ends = np.zeros((2, neurons), dtype=np.int64)
    if len(cells.owner):
        first = _starts(cells.owner)
        ends[0, cells.owner[first]] = np.minimum.reduceat(cells.lower[0], first)
        ends[1, cells.owner[first]] = np.maximum.reduceat(cells.upper[0], first)
    return ends[0], ends[1]


def _starts(owner: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(owner, prepend=-1))
