"""Definiteness of matrices of rationals, decided without a solver: elimination, or Cholesky with a margin.

Floats are rationals with a power of two below, so matrices become integers over one power of two, products are
exact, and a small matrix is decided by fraction-free elimination. A larger one is rounded to float64 once, which
moves it by at most u‖M‖_F, and decided by `smallest_eigenvalue_bound` of M − σI.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..arithmetic import UNIT, smallest_eigenvalue_bound

EXACT_SIZE = 24
"""Up to this size elimination in integers; above it Cholesky with a margin."""

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Exact:
    """The matrix values·2^−exponent, values Python integers."""

    values: np.ndarray
    exponent: int

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]] | np.ndarray) -> "Exact":
        """Return a matrix of floats, exactly."""
        array = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        ratios = [[float(x).as_integer_ratio() for x in row] for row in array]
        exponent = max((bottom.bit_length() - 1 for row in ratios for _, bottom in row), default=0)
        values = np.empty(array.shape, dtype=object)
        for r, row in enumerate(ratios):
            for c, (top, bottom) in enumerate(row):
                values[r, c] = top << (exponent - (bottom.bit_length() - 1))
        return cls(values, exponent)

    @property
    def T(self) -> "Exact":
        """Return the transpose."""
        return Exact(self.values.T, self.exponent)

    def __matmul__(self, other: "Exact") -> "Exact":
        return Exact(self.values.dot(other.values), self.exponent + other.exponent)

    def __add__(self, other: "Exact") -> "Exact":
        exponent = max(self.exponent, other.exponent)
        first, second = (
            self.values * (1 << (exponent - self.exponent)),
            other.values * (1 << (exponent - other.exponent)),
        )
        return Exact(first + second, exponent)

    def __neg__(self) -> "Exact":
        return Exact(-self.values, self.exponent)

    def __sub__(self, other: "Exact") -> "Exact":
        return self + -other

    def is_symmetric(self) -> bool:
        """Return whether the matrix equals its transpose."""
        return bool((self.values == self.values.T).all())

    def to_float(self) -> np.ndarray:
        """Return the matrix, each entry correctly rounded."""
        unit = 1 << self.exponent
        return np.array([[int(x) / unit for x in row] for row in self.values], dtype=np.float64)


def block(rows: Sequence[Sequence[Exact]]) -> Exact:
    """Return the block matrix."""
    exponent = max(item.exponent for row in rows for item in row)
    parts = [[item.values * (1 << (exponent - item.exponent)) for item in row] for row in rows]
    return Exact(np.block(parts), exponent)


def is_positive_definite(matrix: Exact) -> bool:
    """Return True only if the symmetric matrix is proven positive definite."""
    if not matrix.is_symmetric():
        return False
    if len(matrix.values) <= EXACT_SIZE:
        return _eliminates(matrix.values)
    return _has_margin(matrix.to_float())


def _eliminates(values: np.ndarray) -> bool:
    """Bareiss elimination: all leading minors, in integers; positive definite iff all are positive."""
    work, previous = values.copy(), 1
    for index in range(len(work)):
        pivot = work[index, index]
        if pivot <= 0:
            return False
        rest = work[index + 1 :, index + 1 :] * pivot - np.outer(
            work[index + 1 :, index], work[index, index + 1 :]
        )
        work[index + 1 :, index + 1 :] = rest // previous
        previous = pivot
    return True


def _has_margin(matrix: np.ndarray) -> bool:
    """λ_min(M) ≥ σ − (Cholesky's rounding) − u‖M‖_F − u·max diagonal, for a σ that makes this positive."""
    trace = float(np.trace(matrix))
    if not (np.isfinite(matrix).all() and trace > 0):
        return False
    moved = 4.0 * UNIT * float(np.linalg.norm(matrix)) + 4.0 * UNIT * trace
    shift = 4.0 * (len(matrix) + 4) * UNIT * trace + 2.0 * moved
    lowest = smallest_eigenvalue_bound(torch.from_numpy(matrix - shift * np.eye(len(matrix))))
    return lowest is not None and shift + lowest - moved > 0.0


def as_rows(array: np.ndarray) -> Rows:
    """Return an array as nested tuples, for frozen certificates."""
    return tuple(tuple(float(x) for x in row) for row in np.atleast_2d(array))
