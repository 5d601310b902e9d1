"""Arrays of dyadic rationals: integers over a common power of two, so that no operation ever rounds.

IEEE arithmetic of the run, as constants.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np

from ..refusal import Refused
from ..work import CALL, spend, widen

__all__ = [
    "GRID",
    "Dyadic",
    "Refused",
    "aligned",
    "exactly",
    "greater",
    "lesser",
    "marks",
    "roots",
    "stacked",
    "whole",
]

GRID = 80
"""Bits behind the point that are left where a quotient must be rounded, outward."""


@dataclass(frozen=True)
class Dyadic:
    """The numbers ints·2^−shift; `ints` is an array of Python integers."""

    ints: np.ndarray
    shift: int

    @staticmethod
    def of(values: Any, name: str = "a number") -> "Dyadic":
        """Return floats exactly.

        Raises:
            Refused: for NaN or inf.
        """
        array = np.asarray(values, dtype=np.float64)
        if not np.isfinite(array).all():
            raise Refused(f"{name}: got NaN or inf, expected finite numbers")
        mantissa, exponent = np.frexp(array)
        widen(int(exponent.max(initial=0)))
        whole = np.ldexp(mantissa, 53).astype(np.int64)
        zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1  # trailing zeros; −1 for 0
        places = np.where(whole == 0, 0, exponent.astype(np.int64) - 53 + zeros)
        shift = max(0, -int(places.min(initial=0)))
        spend(CALL + 8 * array.size, shift)
        ints = [
            int(w) >> int(z) << int(p) + shift if w else 0
            for w, z, p in zip(whole.flat, zeros.flat, places.flat, strict=True)
        ]
        return Dyadic(_objects(ints, array.shape), shift)

    @staticmethod
    def outward(values: Sequence[Fraction], up: bool) -> "Dyadic":
        """Return rational numbers rounded up or down to a multiple of 2^−GRID."""
        scale = 1 << GRID
        longest = max((x.denominator.bit_length() for x in values), default=0)
        spend(CALL + 4 * len(values), longest)
        ints = [-(-x.numerator * scale // x.denominator) if up else _floor(x, scale) for x in values]
        return Dyadic(_objects(ints, (len(ints),)), GRID)

    def coarse(self, up: bool) -> "Dyadic":
        """Return the numbers rounded up or down to a multiple of 2^−GRID, where they are finer."""
        if self.shift <= GRID:
            return self
        size = 1 << self.shift - GRID
        spend(CALL + 2 * self.ints.size, self.shift)
        return _made(-(-self.ints // size) if up else self.ints // size, GRID)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the array's shape."""
        return self.ints.shape

    @property
    def T(self) -> "Dyadic":
        """Return the transposed array."""
        return Dyadic(self.ints.T, self.shift)

    def at(self, shift: int) -> np.ndarray:
        """Return the integers over 2^shift, which must be at least this array's own.

        Also a single one is an array of objects: numpy would make a machine's integer of a plain one.
        """
        spend(CALL + self.ints.size, shift)
        return np.asarray(self.ints * (1 << shift - self.shift), dtype=object)

    def fraction(self) -> Fraction:
        """Return a single number as a fraction."""
        return Fraction(int(self.ints), 1 << self.shift)

    def fractions(self) -> list[Fraction]:
        """Return the numbers of a list as fractions."""
        spend(8 * len(self.ints), self.shift)
        return [Fraction(int(x), 1 << self.shift) for x in self.ints]

    def sum(self, axis: int | None = None) -> "Dyadic":
        """Return the sum over one axis or all."""
        spend(CALL + self.ints.size, self.shift)
        return _made(self.ints.sum(axis=axis), self.shift)

    def max(self) -> "Dyadic":
        """Return the greatest number."""
        spend(CALL + self.ints.size, self.shift)
        return _made(self.ints.max(), self.shift)

    def column(self) -> "Dyadic":
        """Return (n,) as (n, 1)."""
        return Dyadic(self.ints[:, None], self.shift)

    def __getitem__(self, index: Any) -> "Dyadic":
        return _made(self.ints[index], self.shift)

    def __neg__(self) -> "Dyadic":
        spend(CALL + self.ints.size, self.shift)
        return _made(-self.ints, self.shift)

    def __abs__(self) -> "Dyadic":
        spend(CALL + self.ints.size, self.shift)
        return _made(abs(self.ints), self.shift)

    def __add__(self, other: "Dyadic") -> "Dyadic":
        one, two, shift = aligned(self, other)
        _pay(one, two, shift)
        return _made(one + two, shift)

    def __sub__(self, other: "Dyadic") -> "Dyadic":
        return self + -other

    def __mul__(self, other: "Dyadic | int") -> "Dyadic":
        if isinstance(other, int):
            spend(CALL + self.ints.size, self.shift)
            return _made(self.ints * other, self.shift)
        _pay(self.ints, other.ints, self.shift + other.shift)
        return _made(self.ints * other.ints, self.shift + other.shift)

    def __matmul__(self, other: "Dyadic") -> "Dyadic":
        spend(CALL + 2 * self.ints.size * (other.ints.size // max(1, len(other.ints))), self.shift + other.shift)
        return _made(self.ints @ other.ints, self.shift + other.shift)

    def __le__(self, other: "Dyadic") -> np.ndarray:
        one, two, shift = aligned(self, other)
        _pay(one, two, shift)
        return np.asarray(one <= two, dtype=bool)


def exactly(value: Fraction) -> Dyadic:
    """Return a fraction whose denominator is a power of two."""
    shift = value.denominator.bit_length() - 1
    assert value.denominator == 1 << shift
    return _made(value.numerator, shift)


def whole(values: Any) -> Dyadic:
    """Return integers."""
    return Dyadic(np.asarray(values).astype(object), 0)


def marks(values: Dyadic) -> Dyadic:
    """Return 1 where numbers are not 0."""
    return whole(np.asarray(values.ints != 0, dtype=int))


def aligned(one: Dyadic, two: Dyadic) -> tuple[np.ndarray, np.ndarray, int]:
    """Return both arrays' integers over one power of two, and that power."""
    shift = max(one.shift, two.shift)
    return one.at(shift), two.at(shift), shift


def _pay(one: np.ndarray, two: np.ndarray, shift: int) -> None:
    """Count an operation on each pair of two arrays, which may be larger than both."""
    spend(CALL + np.broadcast(one, two).size, shift)


def lesser(one: Dyadic, two: Dyadic) -> Dyadic:
    """Return the elementwise minimum."""
    first, second, shift = aligned(one, two)
    _pay(first, second, shift)
    return _made(np.minimum(first, second), shift)


def greater(one: Dyadic, two: Dyadic) -> Dyadic:
    """Return the elementwise maximum."""
    first, second, shift = aligned(one, two)
    _pay(first, second, shift)
    return _made(np.maximum(first, second), shift)


def roots(squares: Dyadic) -> Dyadic:
    """Return square roots of numbers ≥ 0, rounded up to a multiple of 2^−GRID or finer."""
    odd = squares.shift % 2
    spend(CALL + 64 * squares.ints.size, squares.shift + 2 * GRID)
    ints = [_root_up(int(x) << 2 * GRID + odd) for x in squares.ints.flat]
    return Dyadic(_objects(ints, squares.shape), (squares.shift + odd) // 2 + GRID)


def stacked(numbers: Sequence[Dyadic]) -> Dyadic:
    """Return single numbers as an array (n,)."""
    shift = max(number.shift for number in numbers)
    return Dyadic(_objects([int(number.at(shift)) for number in numbers], (len(numbers),)), shift)


def _root_up(value: int) -> int:
    root = isqrt(value)
    return root + (root * root < value)


def _floor(value: Fraction, scale: int) -> int:
    return value.numerator * scale // value.denominator


def _made(ints: Any, shift: int) -> Dyadic:
    return Dyadic(np.asarray(ints, dtype=object), shift)


def _objects(ints: list[int], shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(len(ints), dtype=object)
    array[:] = ints
    return array.reshape(shape)


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
