"""IEEE arithmetic of the run, as constants."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .exact import Dyadic, Refused, exactly


@dataclass(frozen=True)
class Arithmetic:
    """|fl(x∘y) − x∘y| ≤ unit·|x∘y| + tiny, without overflow below `largest`; tiny is the least normal number."""

    unit: Fraction
    tiny: Fraction
    largest: Fraction

    def gamma(self, terms: int) -> Fraction:
        """Return a bound of n·u/(1 − n·u), the relative error of a sum of n products in any order, fused or not.

        With n·u ≤ 1/2 it is at most n·u·(1 + 2n·u).
        """
        product = terms * self.unit
        if 2 * product > 1:
            raise Refused(f"unknown: a sum of {terms} terms has no useful error bound in this dtype")
        return product * (1 + 2 * product)

    def rounded(self, size: Dyadic) -> Dyadic:
        """Return how far one rounded sum may be from the exact one, for moduli that add up to `size`, (n, k).

        Raises:
            Refused: where the sum may overflow.
        """
        if 2 * size.max().fraction() > self.largest:
            raise Refused("unknown: a sum of two signals may overflow")
        least = Dyadic.outward([self.tiny], up=True)[0]
        return (size * exactly(self.unit) + least).coarse(up=True)

    def check_normal(self, name: str, values: Iterable[Fraction]) -> None:
        """Refuse numbers that are neither 0 nor normal: rounding is not relative to them, a run may drop them."""
        for value in values:
            if 0 < abs(value) < self.tiny:
                expected = f"0 or a modulus from {float(self.tiny):.3g} on"
                raise Refused(f"{name}: got {float(value):.3g}, expected {expected}")


ARITHMETIC: dict[np.dtype[Any], Arithmetic] = {
    np.dtype("<f4"): Arithmetic(Fraction(1, 2**24), Fraction(1, 2**126), Fraction(2**120)),
    np.dtype("<f8"): Arithmetic(Fraction(1, 2**53), Fraction(1, 2**1022), Fraction(2**1000)),
}
