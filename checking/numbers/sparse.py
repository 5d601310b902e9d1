"""Sparse matrices of dyadic rationals: an output of a convolution sees few of its inputs.

Sums of products of whole numbers, as long as they may be, by machine integers: digit by digit, exactly.

A number is Σ digits[k]·2^(k·bits); the last digit has its sign, the others are not negative, and no modulus is
above 2^bits. So a sum of `terms` products of digits is at most terms·2^(2·bits), which is kept below 2^63.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add, or_

import numpy as np

from ..work import CALL, hold, spend
from .exact import Dyadic, aligned, roots, whole

MACHINE = 62
"""The bits of the largest sum that a machine integer is to hold."""


def room(terms: int) -> int:
    """Return the bits of digits, of whose products so many can be summed up."""
    return (MACHINE - max(terms, 1).bit_length()) // 2


class Digits:
    """Whole numbers, by digits, over the greatest power of two, 2^spare, of which all are multiples."""

    def __init__(self, values: Sequence[int], bits: int) -> None:
        used = reduce(or_, values, 0)
        self.bits, self.spare = bits, max((used & -used).bit_length() - 1, 0)
        length = max(map(int.bit_length, values), default=0) - self.spare
        last, mask = self.spare + (max(length, 1) - 1) // bits * bits, (1 << bits) - 1
        own = [[value >> k & mask for value in values] for k in range(self.spare, last, bits)]
        own.append([value >> last for value in values])
        self.parts = [np.array(part, dtype=np.int64) for part in own]


def summed(one: Digits, two: Digits, sums: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[int]:
    """Return sums of products of two kinds of numbers, which `sums` makes of digits of both."""
    found: list[int] = []
    for a, own in enumerate(one.parts):
        for b, other in enumerate(two.parts):
            spend(CALL + len(own) // 4)
            shift = one.spare + two.spare + (a + b) * one.bits
            part = [value << shift for value in sums(own, other).tolist()]
            found = list(map(add, found, part)) if found else part
    return found


@dataclass(frozen=True)
class Matrix:
    """The entries ints·2^−shift at (row, column), row by row, no place twice, (E,) each."""

    shape: tuple[int, int]
    row: np.ndarray
    column: np.ndarray
    ints: np.ndarray
    shift: int

    @staticmethod
    def of(shape: tuple[int, int], row: np.ndarray, column: np.ndarray, values: Dyadic) -> "Matrix":
        """Return a matrix; entries at the same place are summed."""
        spend(CALL + 16 * len(row), values.shift)
        place = row.astype(np.int64) * shape[1] + column
        order = np.argsort(place, kind="stable")
        place, ints = place[order], values.ints[order]
        first = np.flatnonzero(np.diff(place, prepend=-1))
        ints, place = (np.add.reduceat(ints, first), place[first]) if len(first) else (ints, place)
        return Matrix(shape, place // max(1, shape[1]), place % max(1, shape[1]), ints, values.shift)

    @staticmethod
    def dense(values: Dyadic) -> "Matrix":
        """Return a full array (n, m) as a matrix."""
        row, column = np.indices(values.shape)
        return Matrix.of(values.shape, row.ravel(), column.ravel(), Dyadic(values.ints.ravel(), values.shift))  # pyright: ignore[reportArgumentType]

    @staticmethod
    def identity(size: int) -> "Matrix":
        """Return the matrix of x ↦ x."""
        spend(CALL + size)
        place = np.arange(size)
        return Matrix((size, size), place, place, whole(np.ones(size, dtype=int)).ints, 0)

    @cached_property
    def T(self) -> "Matrix":
        """Return the transposed matrix."""
        spend(CALL + 4 * len(self.row))
        order = np.argsort(self.column, kind="stable")
        return Matrix(
            (self.shape[1], self.shape[0]), self.column[order], self.row[order], self.ints[order], self.shift
        )

    @cached_property
    def moduli(self) -> "Matrix":
        """Return the matrix of moduli."""
        spend(CALL + len(self.row), self.shift)
        return Matrix(self.shape, self.row, self.column, abs(self.ints), self.shift)

    def after(self, other: "Matrix") -> "Matrix":
        """Return the product with another matrix, (m, k)."""
        starts = np.searchsorted(other.row, np.arange(other.shape[0] + 1))
        counts = np.diff(starts)[self.column]
        hold("products", int(counts.sum()))
        spend(CALL + 8 * int(counts.sum()), self.shift + other.shift)
        mine = np.repeat(np.arange(len(self.row)), counts)
        theirs = np.arange(len(mine)) + np.repeat(starts[self.column] - np.cumsum(counts) + counts, counts)
        values = Dyadic(self.ints[mine] * other.ints[theirs], self.shift + other.shift)
        return Matrix.of((self.shape[0], other.shape[1]), self.row[mine], other.column[theirs], values)

    def __add__(self, other: "Matrix") -> "Matrix":
        """Return the sum."""
        one, two, shift = aligned(Dyadic(self.ints, self.shift), Dyadic(other.ints, other.shift))
        row, column = np.append(self.row, other.row), np.append(self.column, other.column)
        return Matrix.of(self.shape, row, column, Dyadic(np.append(one, two), shift))

    @property
    def lengths(self) -> Dyadic:
        """Return the Euclidean length of each row, rounded up, (n, 1)."""
        spend(CALL + len(self.row), 2 * self.shift)
        squares = Matrix(self.shape, self.row, self.column, self.ints * self.ints, 2 * self.shift)
        return roots(squares @ whole(np.ones((self.shape[1], 1), dtype=int)))

    # ---- sums of whole numbers -------------------------------------------------------------------
    @cached_property
    def starts(self) -> np.ndarray:
        """Return where each row's entries begin, and where the last ones end, (n + 1,)."""
        return np.searchsorted(self.row, np.arange(self.shape[0] + 1))

    @cached_property
    def digits(self) -> Digits:
        """Return the entries' digits: so many products can be summed up as a row or a column has."""
        counts = [np.bincount(place).max(initial=0) for place in (self.row, self.column)]
        return Digits(self.ints.tolist(), room(int(max(counts))))

    def entries(self, i: int) -> list[tuple[int, int]]:
        """Return the columns of row i, and its numbers over 2^shift."""
        own = slice(*self.starts[i : i + 2])
        return list(zip(self.column[own].tolist(), self.ints[own].tolist(), strict=True))

    def images(self, values: Sequence[int]) -> list[int]:
        """Return Σ entries·values over 2^shift for each row."""
        filled = np.diff(self.starts) > 0

        def sums(own: np.ndarray, x: np.ndarray) -> np.ndarray:
            found = np.zeros(self.shape[0], dtype=np.int64)
            if len(own):
                found[filled] = np.add.reduceat(own * x[self.column], self.starts[:-1][filled])
            return found

        return summed(self.digits, Digits(values, self.digits.bits), sums)

    def pulled(self, values: Mapping[int, int]) -> list[int]:
        """Return Σ entries·values over 2^shift for each column, the values being those of some rows."""
        rows = np.array(list(values), dtype=np.int64)
        counts = self.starts[rows + 1] - self.starts[rows]
        before = np.cumsum(counts) - counts
        chosen = np.arange(int(counts.sum())) + np.repeat(self.starts[rows] - before, counts)
        each, column = np.repeat(np.arange(len(rows)), counts), self.column[chosen]

        def sums(own: np.ndarray, x: np.ndarray) -> np.ndarray:
            found = np.zeros(self.shape[1], dtype=np.int64)
            np.add.at(found, column, own[chosen] * x[each])
            return found

        return summed(self.digits, Digits(list(values.values()), self.digits.bits), sums)

    def __matmul__(self, other: Dyadic) -> Dyadic:
        """Return the product with (m, k)."""
        hold("sums of products", self.shape[0] * other.shape[1])
        spend(CALL + self.shape[0] * other.shape[1] // 8)
        found = np.zeros((self.shape[0], other.shape[1]), dtype=object)
        for index, column in enumerate(other.ints.T):
            kept = (column != 0)[self.column]
            row = self.row[kept]
            spend(CALL + len(kept) // 16 + 2 * len(row), self.shift + other.shift)
            if len(row):
                first = np.flatnonzero(np.diff(row, prepend=-1))
                found[row[first], index] = np.add.reduceat(self.ints[kept] * column[self.column[kept]], first)
        return Dyadic(found, self.shift + other.shift)
