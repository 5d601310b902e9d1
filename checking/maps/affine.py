"""An affine layer: the exact map that a bound works with, and how far the run of the layer may be from it.

A layer's own constants may be no dyadic numbers (1/9 of a pool, 1/√(var + ε) of a batch norm). The exact map then
has dyadic ones next to them, within a relative 2^−90, and `share` pays for that, too: the real layer, its run and
the map are all within `error` of each other.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, Refused, exactly
from ..numbers.sparse import Matrix
from ..work import spend

NEAR = Fraction(1, 2**90)
"""How near, relatively, a dyadic constant is to the one that it stands for."""


@dataclass(frozen=True)
class Affine:
    """x ↦ W·x + b on flat signals (m, k), W (n, m), b (n, 1).

    |fl(W·x + b) − (W·x + b)| ≤ share·(moduli·|x| + offset) + floor·(1 + max|x| + peak), in any order of summation.

    Attributes:
        matrix, bias: W and b.
        moduli: sums of the moduli that each output adds up, (n, m): above |W| where padding repeats an input.
        offset: the same of b, (n, 1).
        share, floor: of the rounding; the second is for underflow, of products, weights or inputs.
        peak: no number of the run is above peak·(1 + max|x|).
    """

    matrix: Matrix
    bias: Dyadic
    moduli: Matrix
    offset: Dyadic
    share: Fraction
    floor: Fraction
    peak: Fraction

    @staticmethod
    def summing(
        matrix: Matrix, moduli: Matrix, bias: Dyadic, terms: int, near: Fraction, arithmetic: Arithmetic
    ) -> "Affine":
        """Return a layer that sums up `terms` products: γ_terms of their moduli, and tiny for each."""
        share = arithmetic.gamma(terms) * (1 + near) + near
        peak = (moduli @ _ones(moduli.shape[1])).max().fraction() + abs(bias).max().fraction()
        return Affine(matrix, bias, moduli, abs(bias), share, 4 * (terms + 1) * arithmetic.tiny, peak)

    def image(self, low: Dyadic, high: Dyadic) -> tuple[Dyadic, Dyadic]:
        """Return the exact box of W·x + b over the box [low, high], (m, k) each."""
        middle, radius = self.matrix @ (low + high) + self.bias * 2, self.matrix.moduli @ (high - low)
        return (middle - radius) * HALF, (middle + radius) * HALF

    def error(self, size: Dyadic, arithmetic: Arithmetic) -> Dyadic:
        """Return how far the run's output may be from the exact one of the run's own x, |x| ≤ size (m, 1).

        Raises:
            Refused: where the run may overflow.
        """
        most = 1 + size.max().fraction()
        if self.peak * most > arithmetic.largest:
            raise Refused("unknown: a current may overflow")
        sums = self.moduli @ size + self.offset
        lost = self.floor * (most + self.peak)
        spend(32 * len(sums.ints), sums.shift)
        bounds = [self.share * row.fraction() + lost for row in map(sums.__getitem__, _places(sums))]
        return Dyadic.outward(bounds, up=True).column()

    @property
    def exact(self) -> bool:
        """Return whether the run's outputs are the exact ones."""
        return self.share == 0 and self.floor == 0

    @cached_property
    def sizes(self) -> Matrix:
        """Return |W|."""
        return self.matrix.moduli


HALF = exactly(Fraction(1, 2))


def _places(column: Dyadic) -> list[tuple[int, int]]:
    return [(row, 0) for row in range(len(column.ints))]


def _ones(count: int) -> Dyadic:
    return Dyadic(np.ones((count, 1), dtype=int).astype(object), 0)
