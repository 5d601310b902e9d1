"""Induced norms of the operator in front of a spiking layer, differentiable in its weights.

ℓ2→ℓ2  ‖A·v‖₂ at the unit vector v of a power iteration on AᵀA: never above the norm, and with v warm-started from
       the last training step near it. Its gradient at fixed v is that of the norm once v has converged.
ℓ∞→ℓ∞  the greatest row sum of |A|;  ℓ1→ℓ1  the greatest column sum of |A|;  ℓ2→ℓ∞  the greatest row norm.
"""

from collections.abc import Callable, MutableMapping

import torch
from torch import Tensor

from ..operators import LayerOperator
from .rows import column_sums, dtype_of, row_norms

COLD = 30
"""Iterations from a random start; warm-started vectors need one or two."""


def operator_norm(
    operator: LayerOperator,
    input_norm: str = "l2",
    output_norm: str = "l2",
    vectors: MutableMapping[str, Tensor] | None = None,
    iterations: int = 1,
) -> Tensor:
    """Return ‖A‖_{p→q} of a live operator as a scalar; for ℓ2→ℓ2 a lower end of it.

    Args:
        operator: one of `layer_operators(network, shape, live=True)`.
        input_norm, output_norm: one of `NORM_PAIRS`.
        vectors: where the power iteration's vector is taken from and left, by the operator's name; one that is not
            there, or of another size, is started from a fixed seed.
        iterations: of the power iteration.

    Raises:
        ValueError: for another pair of norms.
    """
    check_pair(input_norm, output_norm)
    if (input_norm, output_norm) != ("l2", "l2"):
        return _SUMS[input_norm, output_norm](operator)
    return _spectral(operator, {} if vectors is None else vectors, iterations)


def check_pair(input_norm: str, output_norm: str) -> None:
    """Raise ValueError unless the pair of norms is known."""
    if (input_norm, output_norm) not in NORM_PAIRS:
        known = ", ".join("→".join(pair) for pair in NORM_PAIRS)
        raise ValueError(f"input_norm, output_norm: got {input_norm}→{output_norm}, expected one of {known}")


def _spectral(operator: LayerOperator, vectors: MutableMapping[str, Tensor], iterations: int) -> Tensor:
    like = dtype_of(operator)
    vector = vectors.get(operator.name)
    if vector is None or len(vector) != operator.columns:
        vector, iterations = _random(operator.columns), max(iterations, COLD)
    vector = vector.to(like)
    with torch.no_grad():
        for _ in range(iterations):
            vector = _normalised(operator.adjoint(operator.apply(vector[None]))[0], vector)
    vectors[operator.name] = vector
    return torch.linalg.vector_norm(operator.apply(vector[None]))


def _random(size: int) -> Tensor:
    vector = torch.randn(size, generator=torch.Generator().manual_seed(0))
    return vector / vector.norm()


def _normalised(vector: Tensor, before: Tensor) -> Tensor:
    """Return the unit vector, or the one before where the operator sends it to 0."""
    size = torch.linalg.vector_norm(vector)
    return torch.where(size > 0, vector / size.clamp_min(torch.finfo(size.dtype).tiny), before)


def _row_sum(operator: LayerOperator) -> Tensor:
    return row_norms(operator, 1).amax()


def _row_norm(operator: LayerOperator) -> Tensor:
    return row_norms(operator, 2).amax()


def _column_sum(operator: LayerOperator) -> Tensor:
    return column_sums(operator).amax()


_SUMS: dict[tuple[str, str], Callable[[LayerOperator], Tensor]] = {
    ("linf", "linf"): _row_sum,
    ("l1", "l1"): _column_sum,
    ("l2", "linf"): _row_norm,
}

NORM_PAIRS = (("l2", "l2"), *_SUMS)
