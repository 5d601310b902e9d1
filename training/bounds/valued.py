"""A value with the gradient of another."""

from typing import Any

import torch
from torch import Tensor


class Valued(torch.autograd.Function):
    """(x, value) → the value, with the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor) -> Tensor:
        """Return the value."""
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Hand the gradient on."""
        return grad, None
