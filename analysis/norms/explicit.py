"""All nine induced norms of an operator that is small enough to be held, as proven intervals.

    ℓ1→ℓq   the largest ℓq norm of a column       exact
    ℓp→ℓ∞   the largest dual norm of a row        exact
    ℓ2→ℓ2   √λ_max of the Gram matrix             closed by Cholesky (`definite`)
    ℓ∞→ℓ1, ℓ∞→ℓ2, ℓ2→ℓ1                           hard in general: between a local maximum and Hölder's bounds

Hölder's bounds: ‖A‖_{∞→2} ≤ min(‖|A|·1‖₂, √n·‖A‖₂), since |Ax| ≤ |A|·1 and ‖x‖₂ ≤ √n for |x| ≤ 1;
‖A‖_{2→1} is that of Aᵀ; ‖A‖_{∞→1} ≤ min(Σ|A|, √m·‖A‖_{∞→2}).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.deadline import check_time
from ..arithmetic import (
    UNDERFLOW,
    UNIT,
    Interval,
    accumulated,
    largest_eigenvalue_bound,
    multiply_up,
    root_down,
    root_up,
)
from .sums import MatrixSums


@dataclass(frozen=True)
class MatrixProducts:
    """A matrix as a function, for lower ends: ‖Ax‖/‖x‖ is one for any x. `error` is relative to |A||x|."""

    apply: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    columns: int
    error: float
    absolute_rows: float
    absolute_columns: float


def explicit_norm(sums: MatrixSums, linear: MatrixProducts, input_norm: str, output_norm: str) -> Interval:
    """Return the interval of one induced norm from the sums of the matrix."""
    if (input_norm, output_norm) == ("l2", "l2"):
        return spectral_norm(sums, linear)
    if (input_norm, output_norm) in _EXACT:
        return _EXACT[input_norm, output_norm](sums)
    return _hard_norm(sums, linear, input_norm, output_norm)


def spectral_norm(sums: MatrixSums, linear: MatrixProducts) -> Interval:
    """Return σ_max(A): above by a proof about the Gram matrix, below by a Rayleigh quotient."""
    if sums.absolute_rows <= UNDERFLOW:
        return Interval(0.0, root_up(multiply_up(sums.absolute_rows, sums.absolute_columns)))
    assert sums.gram is not None
    upper = root_up(largest_eigenvalue_bound(sums.gram, sums.gram_error))
    vector = top_vector(linear)
    return Interval(min(quotient(linear, vector, "l2", "l2"), upper), upper)


def quotient(linear: MatrixProducts, vector: Tensor, input_norm: str, output_norm: str) -> float:
    """Return a proven lower end of ‖Ax‖_q/‖x‖_p ≤ ‖A‖: the computed one less all that may have been rounded.

    |fl(Ax) − Ax| ≤ γ|A||x| entry by entry, whose ℓ2 norm is at most γ·√(‖A‖₁‖A‖_∞)·‖x‖₂ and likewise for ℓ1, ℓ∞.
    """
    image = linear.apply(vector)
    size = max(len(vector), len(image)) + 8
    absolute = {
        "l1": multiply_up(linear.absolute_columns, _norm(vector, "l1")),
        "l2": multiply_up(
            root_up(multiply_up(linear.absolute_rows, linear.absolute_columns)), _norm(vector, "l2")
        ),
        "linf": multiply_up(linear.absolute_rows, _norm(vector, "linf")),
    }[output_norm]
    lost = linear.error * absolute * (1.0 + accumulated(size)) + size * UNDERFLOW
    length = _norm(vector, input_norm)
    if not length > 0.0:
        return 0.0
    return max(
        0.0, (_norm(image, output_norm) * (1.0 - accumulated(size)) - lost) / length * (1.0 - accumulated(size))
    )


def _norm(vector: Tensor, norm: str) -> float:
    return float(torch.linalg.vector_norm(vector, {"l1": 1, "l2": 2, "linf": float("inf")}[norm]))


def top_vector(linear: MatrixProducts, iterations: int = 60, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return about the top right singular vector, by Lanczos iteration with full orthogonalisation."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(linear.columns, generator=generator, dtype=dtype)
    basis = [start / start.norm()]
    images: list[Tensor] = []
    for _ in range(min(iterations, linear.columns)):
        check_time()
        images.append(linear.adjoint(linear.apply(basis[-1])))
        rest = images[-1].clone()
        for _ in range(2):
            stacked = torch.stack(basis)
            rest -= stacked.T @ (stacked @ rest)
        if not float(rest.norm()) > 1e-10 * float(images[-1].norm()):
            break
        basis.append(rest / rest.norm())
    stacked = torch.stack(basis[: len(images)])
    small = stacked @ torch.stack(images).T
    return stacked.T @ torch.linalg.eigh((small + small.T) / 2).eigenvectors[:, -1]


def _interval(value: float, error: float, relative: float, root: bool = False) -> Interval:
    """Return the interval of an exactly-known quantity: its computed value ± error, both ends rounded outward."""
    low = max(0.0, value * (1.0 - relative) - error - UNDERFLOW)
    high = (value + error) * (1.0 + relative) * (1.0 + 4.0 * UNIT) + (UNDERFLOW if value > 0.0 else 0.0)
    return Interval(root_down(low), root_up(high)) if root else Interval(low, high)


def _sum_interval(values: Tensor, absolute: float, sums: MatrixSums) -> Interval:
    return _interval(float(values.max()), sums.entry_error * absolute, sums.summation)


def _square_interval(values: Tensor, absolute: float, sums: MatrixSums) -> Interval:
    # |ã² − a²| ≤ (2γ+γ²)·p², and the sum of p² over a row is at most its sum squared
    error = (2.0 + sums.entry_error) * sums.entry_error * absolute * absolute
    return _interval(float(values.max()), error, sums.summation, root=True)


def _largest_entry(sums: MatrixSums) -> Interval:
    error = sums.entry_error * min(sums.absolute_rows, sums.absolute_columns)
    return Interval(max(0.0, sums.largest - error), (sums.largest + error) * (1.0 + 4.0 * UNIT))


_EXACT: dict[tuple[str, str], Callable[[MatrixSums], Interval]] = {
    ("l1", "l1"): lambda sums: _sum_interval(sums.columns, sums.absolute_columns, sums),
    ("l1", "l2"): lambda sums: _square_interval(sums.square_columns, sums.absolute_columns, sums),
    ("l1", "linf"): _largest_entry,
    ("l2", "linf"): lambda sums: _square_interval(sums.square_rows, sums.absolute_rows, sums),
    ("linf", "linf"): lambda sums: _sum_interval(sums.rows, sums.absolute_rows, sums),
}


def _hard_norm(sums: MatrixSums, linear: MatrixProducts, input_norm: str, output_norm: str) -> Interval:
    spectral = spectral_norm(sums, linear).upper
    margin = sums.entry_error * len(sums.rows)
    rows, columns = (
        _length(sums.rows, margin * sums.absolute_rows),
        _length(sums.columns, margin * sums.absolute_columns),
    )
    into_l2 = min(rows, multiply_up(root_up(float(len(sums.columns))), spectral))
    from_l2 = min(columns, multiply_up(root_up(float(len(sums.rows))), spectral))
    total = (float(sums.rows.sum()) + len(sums.rows) * sums.entry_error * sums.absolute_rows) * (
        1 + 4 * sums.summation
    )
    upper = {
        ("linf", "l2"): into_l2,
        ("l2", "l1"): from_l2,
        ("linf", "l1"): min(
            total,
            multiply_up(root_up(float(len(sums.rows))), into_l2),
            multiply_up(root_up(float(len(sums.columns))), from_l2),
        ),
    }[input_norm, output_norm]
    lower = quotient(linear, local_maximum(linear, input_norm, output_norm), input_norm, output_norm)
    return Interval(min(lower, upper), upper)


def _length(values: Tensor, error: float) -> float:
    size = accumulated(2 * len(values) + 8)
    return (float(values.norm()) + error) * (1.0 + 4.0 * size) + UNDERFLOW


def local_maximum(linear: MatrixProducts, input_norm: str, output_norm: str, iterations: int = 30) -> Tensor:
    """Return x by the ascent x ← the maximiser of ⟨Aᵀd, x⟩, d the dual vector of Ax: never worse than before."""
    vector = torch.randn(linear.columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(iterations):
        image = linear.apply(vector)
        direction = linear.adjoint(_signs(image) if output_norm == "l1" else image)
        vector = _signs(direction) if input_norm == "linf" else direction
        vector = vector / vector.abs().max().clamp_min(UNDERFLOW)
    return vector


def _signs(vector: Tensor) -> Tensor:
    return torch.where(vector < 0, -1.0, 1.0).to(vector.dtype)
