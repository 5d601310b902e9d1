"""The set of inputs that a proof is about, exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .exact import Dyadic, Refused, greater, lesser


@dataclass(frozen=True)
class Inputs:
    """{x : low ≤ x ≤ high}, flat, (m, 1) each, of inputs of `shape`."""

    shape: tuple[int, ...]
    low: Dyadic
    high: Dyadic

    @staticmethod
    def around(sample: np.ndarray, radius: np.ndarray, lower: Any, upper: Any) -> "Inputs":
        """Return {x : |x − sample| ≤ radius, lower ≤ x ≤ upper}.

        Args:
            sample: of any shape; radius: (1,) or of the sample's shape.
            lower, upper: numbers.

        Raises:
            Refused: for numbers that are no such set, or an empty one.
        """
        if radius.shape not in ((1,), sample.shape):
            raise Refused("sample, radius: have shapes that do not fit")
        middle, reach = Dyadic.of(sample.ravel(), "sample"), Dyadic.of(radius.ravel(), "radius")
        if (radius < 0).any():
            raise Refused("radius: got a negative number")
        ends = [Dyadic.of(float(end), name) for end, name in ((lower, "lower"), (upper, "upper"))]
        low, high = greater(middle - reach, ends[0]), lesser(middle + reach, ends[1])
        if not (low <= high).all():
            raise Refused("box: holds no input at all")
        return Inputs(sample.shape, low.column(), high.column())

    @property
    def size(self) -> Dyadic:
        """Return a bound of |x|, (m, 1)."""
        return greater(abs(self.low), abs(self.high))

    def least(self, costs: Dyadic) -> Dyadic:
        """Return the least Σ costs·x, for costs (m, 1): it lies at a corner."""
        return lesser(costs * self.low, costs * self.high).sum()
