"""Eigenvalue bounds that are true in floating point: a Cholesky factorisation with its rounding bound.

If a floating-point Cholesky factorisation of a Hermitian matrix B runs to its end, B + Δ = RᴴR exactly with
|Δ| ≤ γ|R|ᴴ|R| (γ = γ_{n+1} for real, a constant times it for complex arithmetic, for any order of summation), so
‖Δ‖₂ ≤ γ‖R‖_F² ≤ γ/(1−γ)·tr B, and λ_min(B) ≥ −γ/(1−γ)·tr B. With B = τI − G that is an upper end for λ_max(G).

References: rump2006verification, higham2002accuracy
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.deadline import check_time
from .intervals import UNIT, accumulated, multiply_up

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
