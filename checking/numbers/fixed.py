"""Intervals of whole numbers of 63 bits: what is too fine is rounded outward, what is too large is refused.

Numbers are multiples of 2^−shift, the same one for all of a layer. Sums of a few of them are exact; a product with
a decay takes numbers up to 2^31 alone, and is rounded outward.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..work import CALL, spend
from .exact import Dyadic, Refused

BITS = 31
"""Of a decay, behind the point, and of all numbers that it is multiplied with."""

Ends = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Decay:
    """λ ∈ [low, high]·2^−BITS."""

    low: int
    high: int

    @staticmethod
    def of(value: Fraction) -> "Decay":
        """Return the whole numbers next to λ ∈ [0, 1]."""
        scaled = value * (1 << BITS)
        return Decay(scaled.numerator // scaled.denominator, -(-scaled.numerator // scaled.denominator))

    def times(self, low: np.ndarray, high: np.ndarray) -> Ends:
        """Return what λ·x lies between for x in [low, high].

        Raises:
            Refused: for numbers beyond 2^BITS, whose products might overflow.
        """
        if any((abs(end) > 1 << BITS).any() for end in (low, high)):
            raise Refused("unknown: no proof form for potentials of such sizes")
        down = np.where(low < 0, self.high, self.low) * low >> BITS
        up = -(np.where(high < 0, self.low, self.high) * -high >> BITS)
        return down, up


def shift_for(size: Fraction) -> int:
    """Return the greatest shift for which numbers up to `size` > 0 stay below 2^(BITS − 2)."""
    return BITS - 3 - (size.numerator.bit_length() - size.denominator.bit_length())


def fixed(values: Dyadic, shift: int, up: bool) -> np.ndarray:
    """Return numbers as multiples of 2^−shift, rounded up or down, int64; beyond 2^BITS they are cut."""
    down = values.shift - shift
    spend(CALL + 4 * values.ints.size, values.shift)
    ints = values.ints * (1 << max(0, -down))
    ints = -(-ints >> max(0, down)) if up else ints >> max(0, down)
    return np.clip(ints, -1 << BITS, 1 << BITS).astype(np.int64)


def fixed_number(value: Fraction, shift: int) -> tuple[int, int]:
    """Return the multiples of 2^−shift below and above a number."""
    scaled = value * Fraction(2) ** shift
    return scaled.numerator // scaled.denominator, -(-scaled.numerator // scaled.denominator)


def unfixed(ints: np.ndarray, shift: int) -> Dyadic:
    """Return multiples of 2^−shift as they are."""
    spend(CALL + np.size(ints))
    return Dyadic(np.asarray(ints).astype(object) * (1 << max(0, -shift)), max(0, shift))
