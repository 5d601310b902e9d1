"""An affine layer: the exact map that a bound works with, and how far the run of the layer may be from it.

A layer's own constants may be no dyadic numbers (1/9 of a pool, 1/√(var + ε) of a batch norm). The exact map then
has dyadic ones next to them, within a relative 2^−90, and `share` pays for that, too: the real layer, its run and
the map are all within `error` of each other.

Zeros round nothing: a + 0 and w·0 are exact in floating point, w being finite. Where the run plainly adds up
products and a bias, let k products of an output have an input that may be other than 0. However they are added,
among any zeros, a sum rounds only where terms that may be other than 0 come in from both sides. Each of the k + 1
terms meets at most k such sums, and a product is rounded once before: γ_{k+1}. For all products that is `share`.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, Refused, exactly, marks, stacked
from ..numbers.sparse import Matrix

NEAR = Fraction(1, 2**90)
"""How near, relatively, a dyadic constant is to the one that it stands for."""


@dataclass(frozen=True)
class Affine:
    """x ↦ W·x + b on flat signals (m, k), W (n, m), b (n, 1).

    |fl(W·x + b) − (W·x + b)| ≤ share·(moduli·|x| + offset) + floor·(1 + max|x| + peak), in any order of summation;
    with `products`, γ_{k+1} stands for `share`.

    Attributes:
        matrix, bias: W and b.
        moduli: sums of the moduli that each output adds up, (n, m): above |W| where padding repeats an input.
        offset: the same of b, (n, 1).
        share, floor: of the rounding; the second is for underflow, of products, weights or inputs.
        peak: no number of the run is above peak·(1 + max|x|).
        products: how many products of each output have each input, (n, m), where the run adds up these and b.
    """

    matrix: Matrix
    bias: Dyadic
    moduli: Matrix
    offset: Dyadic
    share: Fraction
    floor: Fraction
    peak: Fraction
    products: Matrix | None = None

    @staticmethod
    def summing(
        matrix: Matrix,
        moduli: Matrix,
        bias: Dyadic,
        terms: int,
        near: Fraction,
        arithmetic: Arithmetic,
        products: Matrix | None = None,
    ) -> "Affine":
        """Return a layer that sums up `terms` products: γ_terms of their moduli, and tiny for each."""
        share = arithmetic.gamma(terms) * (1 + near) + near
        peak = (moduli @ _ones(moduli.shape[1])).max().fraction() + abs(bias).max().fraction()
        return Affine(matrix, bias, moduli, abs(bias), share, 4 * (terms + 1) * arithmetic.tiny, peak, products)

    def measured(self, size: Dyadic, arithmetic: Arithmetic) -> tuple[Dyadic, Dyadic]:
        """Return a bound of the run's |W·x + b|, and of how far it may be from the exact one of the run's own x.

        Args:
            size: a bound of |x| that is 0 only where x is, (m, k); so are the bounds that are returned.
            arithmetic: of the run.

        Raises:
            Refused: where the run may overflow.
        """
        most = 1 + size.max().fraction()
        if self.peak * most > arithmetic.largest:
            raise Refused("unknown: a current may overflow")
        sums = self.moduli @ size + self.offset
        lost = Dyadic.outward([self.floor * (most + self.peak)], up=True)[0]
        own = (sums * self._shares(size, arithmetic) + lost).coarse(up=True) * marks(sums)
        return sums + own, own

    def _shares(self, size: Dyadic, arithmetic: Arithmetic) -> Dyadic:
        """Return γ_{k+1} of each output, (n, k), or `share`."""
        if self.products is None:
            return exactly(self.share)
        counts = (self.products @ marks(size)).ints.astype(np.int64)
        different, which = np.unique(counts, return_inverse=True)
        shares = stacked([exactly(arithmetic.gamma(int(count) + 1)) for count in different])
        return shares[which.reshape(counts.shape)]

    @property
    def exact(self) -> bool:
        """Return whether the run's outputs are the exact ones."""
        return self.share == 0 and self.floor == 0

    @cached_property
    def sizes(self) -> Matrix:
        """Return |W|."""
        return self.matrix.moduli


HALF = exactly(Fraction(1, 2))


def _ones(count: int) -> Dyadic:
    return Dyadic(np.ones((count, 1), dtype=int).astype(object), 0)
