"""The threshold as a differentiable operation: spikes forwards, the surrogate's slope backwards."""

from typing import Any

import torch
from torch import Tensor

from ...models.dynamics import Dynamics


def fire(potential: Tensor, dynamics: Dynamics) -> Tensor:
    """Return 1 where a potential fires and 0 elsewhere, with the surrogate for its derivative."""
    return _Threshold.apply(potential, dynamics)  # pyright: ignore[reportReturnType]


def after_reset(low: Tensor, high: Tensor, must: Tensor, may: Tensor, dynamics: Dynamics) -> tuple[Tensor, Tensor]:
    """Return the ends of u after the reset; where a spike only may be, those of both cases together.

    Args:
        low, high: ends of v.
        must, may: the spikes that they fire, 0 or 1, of which gradients go through those that are decided.
        dynamics: the neuron's constants.
    """
    if dynamics.reset == "none":
        return low, high
    theta, drop = dynamics.threshold, dynamics.drop
    if dynamics.reset == "zero":
        decided = low * (1.0 - must), high * (1.0 - may)
        joined = low.clamp_max(0.0), torch.full_like(high, theta)
    else:
        decided = low - drop * must, high - drop * may
        joined = low.clamp_max(theta - drop), (high - drop).clamp_min(theta)
    one, other = (torch.where(must < may, *ends) for ends in zip(joined, decided, strict=True))
    return one, other


class _Threshold(torch.autograd.Function):
    """The threshold, with the surrogate for its derivative."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, dynamics: Dynamics) -> Tensor:
        """Return 1 where the potential fires."""
        ctx.save_for_backward(potential)
        ctx.dynamics = dynamics
        compare = torch.ge if dynamics.fires_at == ">=" else torch.gt
        return compare(potential, dynamics.threshold).to(potential.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient times the surrogate's slope."""
        (potential,) = ctx.saved_tensors
        return grad * ctx.dynamics.surrogate.derivative_(potential - ctx.dynamics.threshold), None
