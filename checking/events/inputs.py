"""The set of inputs that a proof is about, exactly."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..numbers.exact import Dyadic, Refused, greater, lesser, roots
from ..numbers.sparse import Matrix
from ..work import CALL, spend
from .changing import Changes

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
