"""Gains of one neuron's simplified dynamics, differentiable in decay and input scale.

The map w ↦ ε over T steps is M = H·diag(a), H[t,k] = λ^(t−k) for k ≤ t. All nine induced norms of |M| have closed
forms (see `analysis.neuron_gains`), but ℓ2→ℓ2: the greatest singular value of the T × T matrix.
"""

import torch
from torch import Tensor

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": torch.inf}
DUALS = {"l1": torch.inf, "l2": 2.0, "linf": 1.0}


def neuron_gain(
    decay: float | Tensor, input_scale: Tensor, input_norm: str = "l2", output_norm: str = "l2"
) -> Tensor:
    """Return ‖H·diag(a)‖_{p→q} over T steps to rounding, a scalar.

    Args:
        decay: λ ∈ [0, 1], a number or a scalar tensor that gradients reach.
        input_scale: a, (T,).
        input_norm, output_norm: p and q, each "l1", "l2" or "linf".

    >>> round(float(neuron_gain(0.9, torch.ones(8))), 5)
    4.11095
    """
    matrix = response(decay, input_scale)
    if input_norm == "l1":
        return torch.linalg.vector_norm(matrix, ORDERS[output_norm], 0).amax()
    if output_norm == "linf":
        return torch.linalg.vector_norm(matrix, DUALS[input_norm], 1).amax()
    if input_norm == "linf":
        return torch.linalg.vector_norm(matrix.sum(1), ORDERS[output_norm])
    if output_norm == "l1":
        return torch.linalg.vector_norm(matrix.sum(0))
    return torch.linalg.matrix_norm(matrix, 2)


def constant_response(decay: float | Tensor, input_scale: Tensor, output_norm: str = "l2") -> Tensor:
    """Return ‖ε‖_q/|w| for a w that is constant over time, ‖H·a‖_q, a scalar."""
    signed = response(decay, input_scale) * input_scale.sign()
    return torch.linalg.vector_norm(signed.sum(1), ORDERS[output_norm])


def response(decay: float | Tensor, input_scale: Tensor) -> Tensor:
    """Return |H·diag(a)|, (T, T).

    >>> response(0.5, torch.ones(2))
    tensor([[1.0000, 0.0000],
            [0.5000, 1.0000]])
    """
    steps = torch.arange(len(input_scale), device=input_scale.device)
    lag = steps[:, None] - steps
    base = decay if isinstance(decay, Tensor) else input_scale.new_tensor(decay)
    powers = base ** lag.clamp_min(0)
    return powers.tril() * input_scale.abs()
