"""Arithmetic that proves: intervals, decimals rounded one way, and eigenvalue bounds.

Directed rounding: 50-digit decimals rounded one way, and float results that lie on the proven side.

`decimal` rounds add, subtract, multiply and divide correctly in the direction of its context, whatever the number
of digits of the operands, so a chain of monotone operations in `UP` ends above the real result. Its square
root always rounds to nearest, so `sqrt_up` takes the next decimal above.

Eigenvalue bounds that are true in floating point: a Cholesky factorisation with its rounding bound.

If a floating-point Cholesky factorisation of a Hermitian matrix B runs to its end, B + Δ = RᴴR exactly with
|Δ| ≤ γ|R|ᴴ|R| (γ = γ_{n+1} for real, a constant times it for complex arithmetic, for any order of summation), so
‖Δ‖₂ ≤ γ‖R‖_F² ≤ γ/(1−γ)·tr B, and λ_min(B) ≥ −γ/(1−γ)·tr B. With B = τI − G that is an upper end for λ_max(G).

References: rump2006verification, higham2002accuracy
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.constants import real, settle
from ..models.deadline import check_time


@dataclass(frozen=True)
class Interval:
    """Two floats with lower ≤ x ≤ upper for the real number x that the interval is about.

    Args:
        lower: a proven lower end.
        upper: a proven upper end; inf where there is none.

    Raises:
        ValueError: for NaN, or ends in the wrong order.

    >>> Interval(1.0, 2.0).contains(1.5)
    True
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "lower", "upper")
        if not self.lower <= self.upper:
            raise ValueError(f"upper: got {self.upper!r}, expected a number of at least lower = {self.lower!r}")

    @property
    def width(self) -> float:
        """Return upper − lower."""
        return 0.0 if self.lower == self.upper else self.upper - self.lower

    @property
    def relative_width(self) -> float:
        """Return (upper − lower) / upper, 0 for the interval [0, 0]."""
        if self.width == 0.0:
            return 0.0
        return self.width / self.upper if math.isfinite(self.upper) else math.inf

    def contains(self, value: float) -> bool:
        """Return whether lower ≤ value ≤ upper."""
        return self.lower <= value <= self.upper


UP = Context(prec=50, rounding=ROUND_CEILING, Emin=-999_999, Emax=999_999)
DOWN = Context(prec=50, rounding=ROUND_FLOOR, Emin=-999_999, Emax=999_999)

UNIT = 2.0**-53
"""u, the unit roundoff of float64."""


def sqrt_up(value: Decimal) -> Decimal:
    """Return a decimal of at least √value; exactly 0 for 0."""
    if value == 0:
        return Decimal(0)
    return UP.next_plus(UP.sqrt(value))


def float_up(value: Decimal) -> float:
    """Return the least float that is at least `value`.

    >>> float_up(Decimal("0.1")) >= 0.1
    True
    """
    result = float(value)
    if math.isinf(result):
        return result
    return result if Decimal(result) >= value else math.nextafter(result, math.inf)


def float_down(value: Decimal) -> float:
    """Return the greatest float that is at most `value`."""
    return -float_up(-value)


def add_up(*values: float) -> float:
    """Return a float of at least the sum of nonnegative floats."""
    return float_up(_sum(values))


def multiply_up(*values: float) -> float:
    """Return a float of at least the product of nonnegative floats; 0·inf is 0."""
    if 0.0 in values:
        return 0.0
    if math.inf in values:
        return math.inf
    product = Decimal(1)
    for value in values:
        product = UP.multiply(product, Decimal(value))
    return float_up(product)


def root_up(value: float) -> float:
    """Return a float of at least √value."""
    return value if value in (0.0, math.inf) else float_up(sqrt_up(Decimal(value)))


def root_down(value: float) -> float:
    """Return a float of at most √value."""
    if value in (0.0, math.inf):
        return value
    return float_down(DOWN.next_minus(DOWN.sqrt(Decimal(value))))


def accumulated(operations: float) -> float:
    """Return an upper end of γₙ = nu/(1−nu), the relative error of n roundings.

    References: higham2002accuracy
    """
    product = operations * UNIT
    if not 0 <= product < 0.25:
        raise ValueError(f"operations: got {operations}, expected fewer than 2^51")
    return product / (1.0 - product) * (1.0 + 8.0 * UNIT)


def _sum(values: tuple[float, ...]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = UP.add(total, Decimal(value))
    return total


_SMALL = 256
"""Up to this size all eigenvalues are computed to place τ; above it the largest alone, by Lanczos iteration."""

_TOLERANCE: Any = 1e-9  # the stubs of scipy want an integer

UNDERFLOW = 2.0**-1022
"""Above the absolute error of any one operation whose result underflows."""


def smallest_eigenvalue_bound(matrix: Tensor) -> float | None:
    """Return a proven lower end, at most 0, of the least eigenvalue; None if Cholesky finds no proof.

    Args:
        matrix: Hermitian (n, n) or (batch, n, n), float64 or complex128; its lower triangle is read.
    """
    size = matrix.shape[-1]
    if not bool(torch.isfinite(torch.view_as_real(matrix) if matrix.is_complex() else matrix).all()):
        return None
    factor, info = torch.linalg.cholesky_ex(matrix)
    if bool((info != 0).any()) or not bool(torch.isfinite(factor.abs()).all()):
        return None
    share = accumulated((10 if matrix.is_complex() else 1) * (size + 2))
    trace = torch.diagonal(matrix.real if matrix.is_complex() else matrix, dim1=-2, dim2=-1).sum(-1).max()
    return -(share / (1.0 - share) * float(trace) * (1.0 + accumulated(size + 8)) + size * UNDERFLOW)


def largest_eigenvalue_bound(gram: Tensor, error: float, estimate: float | None = None) -> float:
    """Return a proven upper end of λ_max(G) for every Hermitian G ⪰ 0 with ‖G − gram‖₂ ≤ error.

    Args:
        gram: (n, n) or a batch of them; for a batch the bound holds for each.
        error: a proven bound of the distance of `gram` to the matrix that is meant.
        estimate: about λ_max, where the search for τ starts; default: computed.

    Returns:
        τ + rounding terms, where τ is the first of estimate·(1 + δ·8^j) that Cholesky proves; inf if
        `gram` holds inf or NaN.
    """
    start = _largest_eigenvalue(gram) if estimate is None else estimate
    if not math.isfinite(start):
        return math.inf
    start = max(start, error, UNDERFLOW)
    closest = (1e-11 if gram.shape[-1] <= _SMALL else 1e-9) if _is_sharp(gram) else 1e-3
    for power in range(60):
        level = start * (1.0 + closest * 8.0**power)
        if (bound := _prove_level(gram, level)) is not None:
            return bound + error * (1.0 + 4.0 * UNIT)
    return math.inf


def _prove_level(gram: Tensor, level: float) -> float | None:
    check_time()
    shifted = gram.neg()
    diagonal = torch.diagonal(shifted, dim1=-2, dim2=-1)
    diagonal += level
    lowest = smallest_eigenvalue_bound(shifted)
    if lowest is None:
        return None
    rounding = UNIT * float(diagonal.abs().max())  # of the subtraction level − G[i,i]
    return (level - lowest + rounding) * (1.0 + 8.0 * UNIT)


def _is_sharp(gram: Tensor) -> bool:
    """Return whether `_largest_eigenvalue` is precise: one matrix, or small ones."""
    return gram.dim() == 2 or gram.shape[-1] <= _SMALL


def _largest_eigenvalue(gram: Tensor) -> float:
    """Return about λ_max; from below or above, only a place to start."""
    if not bool(torch.isfinite(gram.abs()).all()):
        return math.nan
    if not _is_sharp(gram):
        return _power_iteration(gram)
    if gram.shape[-1] <= _SMALL or gram.is_complex():
        return float(torch.linalg.eigvalsh(gram)[..., -1].max())
    from scipy.sparse.linalg import ArpackError, eigsh  # imported here: scipy takes half a second

    start = np.random.default_rng(0).standard_normal(gram.shape[-1])
    try:
        return float(eigsh(gram.numpy(), 1, v0=start, tol=_TOLERANCE, return_eigenvectors=False)[0])
    except ArpackError:
        return float(torch.linalg.eigvalsh(gram)[-1])


def _power_iteration(gram: Tensor) -> float:
    """Return the largest Rayleigh quotient over a batch of Hermitian matrices, to two or three digits."""
    norms = _iterate(gram, 10)
    return float(_iterate(gram[norms.topk(min(4, len(norms))).indices], 150).max())


def _iterate(gram: Tensor, iterations: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(gram.shape[-1], 1, generator=generator, dtype=torch.float64).to(gram.dtype)
    vector = vector.expand(len(gram), -1, 1)
    norms = vector.real.new_zeros(len(gram))
    for _ in range(iterations):
        check_time()
        image = gram @ vector
        norms = image.norm(dim=(-2, -1))
        vector = image / norms.clamp_min(UNDERFLOW)[:, None, None]
    return norms


def gram_error(depth: int, absolute_square: float, size: int) -> float:
    """Return a bound of ‖fl(AᵀA) − AᵀA‖₂: γ_depth·‖|A|‖₂² plus what underflow can do.

    Args:
        depth: how many roundings one entry of the computed Gram matrix has gone through, at most.
        absolute_square: an upper end of ‖|A|‖₂².
        size: the number of rows and columns of the Gram matrix.
    """
    return multiply_up(accumulated(depth), absolute_square) * (1.0 + 4.0 * UNIT) + size * depth * UNDERFLOW
