"""The set of inputs that a proof is about, exactly.

How far a weighted sum of events can go where budgets of unit changes are shared by all steps and features.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import nlargest
from typing import Any

import numpy as np

from ..numbers.exact import Dyadic, Refused, greater, lesser, roots, whole
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


class Changes(ABC):
    """The recordings that the changes of some pools make of one."""

    @property
    @abstractmethod
    def center(self) -> Dyadic:
        """Return the recording, (m, T)."""

    @property
    @abstractmethod
    def pools(self) -> tuple[SharedUnits, ...]:
        """Return what may change."""

    @abstractmethod
    def ends(self) -> tuple[Dyadic, Dyadic]:
        """Return the least and the greatest number of events of each entry, (m, T) each."""

    @abstractmethod
    def sides(self, i: int, t: int) -> "Sequence[Callable[[], Changes]]":
        """Return what makes sets that together hold all of these recordings, by what becomes of one entry.

        Raises:
            Refused: for an entry of which nothing is known, or nothing to be settled.
        """

    def least(self, costs: Dyadic) -> Dyadic:
        """Return a lower bound of Σ costs·x, for costs (m, T)."""
        found = (costs * self.center).sum()
        for pool in self.pools:
            found = found - pool.most(-costs)
        return found

    def between(self, middle: Dyadic, ranks: Ranks, weights: Dyadic) -> tuple[Dyadic, Dyadic]:
        """Return what Σ_t weights[t, k]·(W·x[t]) lies between, (n, K) each, for weights (T, K).

        Args:
            middle: W·center, (n, T).
            ranks: of W.
            weights: of each sum.
        """
        low = high = middle @ weights
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


NORMS = ("linf", "l2")


@dataclass(frozen=True)
class Inputs:
    """{x : low ≤ x ≤ high}, flat, (m, 1) each, or (m, T) where each step has an input of its own; x is of `shape`.

    With `ball`, a center like that and a radius (), also |x − center|₂ ≤ radius, over all features and steps. With
    `order`, (m, T), the steps in which each feature's inputs rise from `low` to `high`, one after the other. With
    `changes` x is also one of the recordings that these make.
    """

    shape: tuple[int, ...]
    low: Dyadic
    high: Dyadic
    ball: tuple[Dyadic, Dyadic] | None = None
    order: np.ndarray | None = None
    changes: Changes | None = None

    @staticmethod
    def around(
        sample: np.ndarray,
        radius: np.ndarray,
        lower: Any,
        upper: Any,
        norm: Any = "linf",
        steps: int | None = None,
    ) -> "Inputs":
        """Return {x : |x − sample| ≤ radius, lower ≤ x ≤ upper}.

        Args:
            sample: of any shape; radius: (1,) or, in the ℓ∞ norm, of the sample's shape.
            lower, upper: numbers.
            norm: "linf" or "l2".
            steps: T, where the sample's first axis is time; None elsewhere.

        Raises:
            Refused: for numbers that are no such set, or an empty one.
        """
        if norm not in NORMS:
            raise Refused(f"unknown: no proof form for norm {str(norm)[:20]!r}")
        if radius.shape != (1,) and (radius.shape != sample.shape or norm != "linf"):
            raise Refused("sample, radius: have shapes that do not fit")
        if steps is not None and (sample.ndim < 2 or len(sample) != steps):
            raise Refused(f"sample: has no first axis of {steps} steps")
        middle, reach = (Dyadic.of(part, name) for part, name in ((sample, "sample"), (radius, "radius")))
        if (radius < 0).any():
            raise Refused("radius: got a negative number")
        ends = [Dyadic.of(float(end), name) for end, name in ((lower, "lower"), (upper, "upper"))]
        low, high = greater(middle - reach, ends[0]), lesser(middle + reach, ends[1])
        if not (low <= high).all():
            raise Refused("box: holds no input at all")
        low, high, middle = (
            Dyadic(part.ints.reshape(steps or 1, -1).T, part.shift) for part in (low, high, middle)
        )
        return Inputs(sample.shape, low, high, None if norm == "linf" else (middle, reach[0]))

    def whole_within(self, least: int, most: int) -> "Inputs":
        """Return the whole vectors of a box, of which none is beyond two ends.

        Raises:
            Refused: for another norm, or a box beyond them, or without any.
        """
        if self.ball is not None:
            raise Refused("unknown: no proof form for norm 'l2' of whole inputs")
        low, high = (
            Dyadic(sign * (sign * part.ints >> part.shift), 0) for part, sign in ((self.low, -1), (self.high, 1))
        )
        if not (low <= high).all():
            raise Refused("box: holds no whole input at all")
        found = replace(self, low=low, high=high)
        found.check_within(least, most)
        return found

    def check_within(self, least: int, most: int) -> None:
        """Refuse inputs beyond two ends, or ends that are not whole."""
        for part in (self.low, self.high):
            whole = all(int(x) % (1 << part.shift) == 0 for x in part.ints.flat)
            if not whole or not all(least << part.shift <= x <= most << part.shift for x in part.ints.flat):
                raise Refused(f"box: holds other numbers than the whole ones from {least} to {most} of the model")

    @property
    def size(self) -> Dyadic:
        """Return a bound of |x|, (m, 1) or, of each step, (m, T)."""
        return greater(abs(self.low), abs(self.high))

    def least(self, costs: Dyadic) -> Dyadic:
        """Return a lower bound of Σ costs·x, for costs like x: over the box alone it lies at a corner."""
        corner = self._corner(costs) if self.order is None else self._along(self.order, costs)
        if self.changes is not None:
            return greater(corner, self.changes.least(costs))
        if self.ball is None:
            return corner
        return greater(greater(corner, self._within_ball(costs)), self._shared(costs))

    def _corner(self, costs: Dyadic) -> Dyadic:
        return lesser(costs * self.low, costs * self.high).sum()

    def _along(self, order: np.ndarray, costs: Dyadic) -> Dyadic:
        """Return the least where inputs rise in an order: over how many of them have risen."""
        rises = costs * (self.high - self.low)
        spend(CALL + 2 * rises.ints.size, rises.shift)
        sums = np.cumsum(np.take_along_axis(rises.ints, order, 1), axis=1)
        risen = Dyadic(np.minimum(sums.min(1), 0), rises.shift)
        return (costs * self.low).sum() + risen.sum()

    def _within_ball(self, costs: Dyadic) -> Dyadic:
        """Return the least over the ball alone: costs·center − radius·|costs|₂."""
        assert self.ball is not None
        center, radius = self.ball
        return (costs * center).sum() - radius * roots((costs * costs).sum())

    def _shared(self, costs: Dyadic) -> Dyadic:
        """Return a bound over both: any part of the costs may go to the ball, and the rest to the box.

        Over both sets costs·x is least at center + y, y = min(max(−costs/κ, low), high) for the κ that gives it
        the ball's radius, and then −κ·y is the best part for the ball. Floats find it: any other would do, too.
        """
        assert self.ball is not None
        center, radius = self.ball
        spend(64 * costs.ints.size, costs.shift)
        down = max(0, max(abs(int(cost)).bit_length() for cost in costs.ints.flat) - 60)
        slopes = np.array([int(cost) >> down for cost in costs.ints.flat], dtype=float)
        low, high = (_floats(end - center) for end in (self.low, self.high))
        free, shares = _shares(slopes, low, high, float(radius.fraction()))
        rows = zip(costs.ints.flat, free.tolist(), shares.tolist(), strict=True)
        ints = [int(cost) if whole else int(share) << down for cost, whole, share in rows]
        chosen = Dyadic(np.array(ints, dtype=object).reshape(costs.shape), costs.shift)
        return self._within_ball(chosen) + self._corner(costs - chosen)

    def within(self, low: Dyadic, high: Dyadic, matrix: Matrix, bias: Dyadic) -> tuple[Dyadic, Dyadic]:
        """Cut the box [low, high], (n, 1) each, of matrix·x + bias with what the ball says of that."""
        assert self.ball is not None
        center, radius = matrix @ self.ball[0] + bias, matrix.lengths * self.ball[1]
        return greater(low, center - radius), lesser(high, center + radius)


def _shares(slopes: np.ndarray, low: np.ndarray, high: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where y = min(max(−slopes/κ, low), high) is not cut, and −κ·y, for the κ that gives it `radius`."""
    least, most = -400.0, 400.0  # of log₂ κ
    for _ in range(50):
        middle = (least + most) / 2
        y = (-slopes / 2.0**middle).clip(low, high)
        least, most = (middle, most) if y @ y > radius * radius else (least, middle)
    step = -slopes / 2.0**most
    return (low < step) & (step < high), -(2.0**most) * step.clip(low, high)


def _floats(values: Dyadic) -> np.ndarray:
    return np.array([float(Fraction(int(x), 1 << values.shift)) for x in values.ints.flat])
