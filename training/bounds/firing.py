"""The threshold as a differentiable operation: spikes forwards, the surrogate's slope backwards."""

from typing import Any

import torch
from torch import Tensor

from ...models.dynamics import Dynamics


def fire(potential: Tensor, dynamics: Dynamics) -> Tensor:
    """Return 1 where a potential fires and 0 elsewhere, with the surrogate for its derivative."""
    return _Threshold.apply(potential, dynamics)  # pyright: ignore[reportReturnType]


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
