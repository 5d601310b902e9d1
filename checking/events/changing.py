"""How far a weighted sum of events can go where budgets of unit changes are shared by all steps and features.

A recording of the set is x plus changes of units: an entry flips, or an event moves. A unit that changes does so
by a size of 1 or more, and a pool limits how many of its units change, or the sum of their sizes. Each unit has
increments ≥ 0, of which the first d together are at least what it adds to Σ A·x where it changes by a size of d.
So

    at most k units change:        they add no more than the k greatest sums of all increments of a unit,
    sizes are at most B in all:    they add no more than the B greatest increments of all units:

the first d_e increments of each unit e that changes are Σ d_e ≤ B numbers. Where a pool has both limits, both
bounds hold. What several pools add is at most the sum of what each adds.

For Σ_t A[t]·(W_i·x[t]) the units of one step that meet a weight of one sign have the same increments, but for the
modulus of that weight, by which they are multiplied. So no more than the k (or B) of them that meet the greatest
moduli can be among the greatest of all steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from ..numbers.exact import Dyadic, lesser, whole
from ..numbers.ranks import OneSign, Ranks
from ..numbers.sparse import Matrix
from ..work import CALL, hold, spend


@dataclass(frozen=True, eq=False)
class Units(ABC):
    """Units of one kind; `marks` says how many of them each entry has, (m, T) of int64."""

    marks: np.ndarray

    @abstractmethod
    def gains(self, values: Dyadic, sized: bool) -> Dyadic:
        """Return the increments of a unit at each step for A = `values`, (..., T) → (..., T, D).

        Args:
            values: what an event at each step counts.
            sized: whether sizes are limited; else one increment stands for all sizes.
        """


@dataclass(frozen=True)
class Limit:
    """At most `most` units change, or their sizes add up to that, where it is `sized`; None: no limit."""

    most: int | None
    sized: bool = False


@dataclass(frozen=True)
class SharedUnits:
    """Units that share limits, each of which holds by itself."""

    units: tuple[Units, ...]
    limits: tuple[Limit, ...]

    def most(self, costs: Dyadic) -> Dyadic:
        """Return a bound of what changes add to Σ costs·x, for costs (m, T)."""
        return _least([self._most(costs, limit) for limit in self.limits])

    def _most(self, costs: Dyadic, limit: Limit) -> Dyadic:
        parts, shift = [], 0
        for units in self.units:
            gains, place = units.gains(costs, limit.sized), np.nonzero(units.marks)
            many = units.marks[place] if limit.most is None else units.marks[place].clip(max=limit.most)
            more, shift = int(many.sum()) * gains.shape[-1], gains.shift
            hold("changes of events", len(parts) + more)
            spend(CALL + 2 * more, shift)
            parts += np.repeat(gains.ints[place], many, axis=0).ravel().tolist()
        kept = [gain for gain in parts if gain > 0]
        spend(CALL + 16 * len(kept), shift)
        chosen = kept if limit.most is None or limit.most >= len(kept) else nlargest(limit.most, kept)
        return Dyadic(np.asarray(sum(chosen), dtype=object), shift)

    def rise(self, ranks: Ranks, values: Dyadic) -> Dyadic:
        """Return a bound of what changes add to Σ_t values[t]·(W·x[t]), for values (T,): (n,)."""
        return _least([self._rise(ranks, values, limit) for limit in self.limits])

    def _rise(self, ranks: Ranks, values: Dyadic, limit: Limit) -> Dyadic:
        most = None if self._enough(limit, len(values.ints)) else limit.most
        found, parts = whole(np.zeros(ranks.rows, dtype=int)), []
        for units in self.units:
            for side, signed in ((ranks.above, values), (ranks.below, -values)):
                gains = units.gains(signed, limit.sized)
                if most is None:
                    found = found + (side.totals(units, units.marks) * gains.sum(-1)).sum(1)
                else:
                    parts.append(_candidates(side, units, gains, most))
        return found if most is None else _greatest(parts, most)

    def _enough(self, limit: Limit, steps: int) -> bool:
        """Return whether all units may change as far as there is."""
        every = sum(int(units.marks.sum()) for units in self.units)
        return limit.most is None or limit.most >= every * (steps if limit.sized else 1)


@dataclass(frozen=True)
class Changes:
    """The recordings that the changes of some pools make of one, `center` (m, T)."""

    center: Dyadic
    pools: tuple[SharedUnits, ...]

    def least(self, costs: Dyadic) -> Dyadic:
        """Return a lower bound of Σ costs·x, for costs (m, T)."""
        found = (costs * self.center).sum()
        for pool in self.pools:
            found = found - pool.most(-costs)
        return found

    def between(self, matrix: Matrix, ranks: Ranks, weights: Dyadic) -> tuple[Dyadic, Dyadic]:
        """Return what Σ_t weights[t, k]·(W·x[t]) lies between, (n, K) each, for weights (T, K).

        Args:
            matrix: W.
            ranks: of W.
            weights: of each sum.
        """
        middle = (matrix @ self.center) @ weights
        low, high = middle, middle
        for pool in self.pools:
            falls, rises = ([pool.rise(ranks, each) for each in _columns(end)] for end in (-weights, weights))
            low, high = low - _side_by_side(falls), high + _side_by_side(rises)
        return low, high


def _candidates(side: OneSign, units: Units, gains: Dyadic, most: int) -> Dyadic:
    """Return what the units that meet the greatest weights add, (n, candidates)."""
    found, count = [], 0
    for step, row in enumerate(gains.ints):
        if any(row) and units.marks[:, step].any():
            sizes = side.greatest(units, units.marks, step, most)
            count += sizes.size * len(row)
            hold("changes of events", count)
            spend(CALL + sizes.size * len(row), gains.shift)
            found.append((sizes[:, :, None] * row).reshape(len(sizes), -1))
    empty = np.zeros((side.rows, 0), dtype=object)
    return Dyadic(np.concatenate([empty, *found], axis=1), gains.shift + side.shift)


def _greatest(parts: Sequence[Dyadic], most: int) -> Dyadic:
    """Return the sum of the `most` greatest numbers ≥ 0 of each row of all parts, (n, ·) each: (n,)."""
    shift = max(part.shift for part in parts)
    together = np.concatenate([part.at(shift) for part in parts], axis=1)
    hold("changes of events", together.size)
    if together.shape[1] > most:
        spend(CALL + together.size * together.shape[1].bit_length(), shift)
        together = np.sort(together, axis=1)[:, together.shape[1] - most :]
    return Dyadic(np.asarray(together.sum(axis=1), dtype=object), shift)


def _least(bounds: Sequence[Dyadic]) -> Dyadic:
    found, *others = bounds
    for other in others:
        found = lesser(found, other)
    return found


def _columns(weights: Dyadic) -> list[Dyadic]:
    return [weights[:, index] for index in range(weights.shape[1])]


def _side_by_side(columns: Sequence[Dyadic]) -> Dyadic:
    """Return columns (n,) as (n, K)."""
    found, *others = columns
    for other in others:
        shift = max(found.shift, other.shift)
        found = Dyadic(np.column_stack([found.at(shift), other.at(shift)]), shift)
    return found if found.ints.ndim == 2 else found.column()
