"""Spikes' ends by compiled kernels (`ends.c`, `coupled.c`), as differentiable operations."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...kernels import CompiledMembrane
from ...models.dynamics import Dynamics
from ...models.running.compiled import layer_of


class SpikeEnds(torch.autograd.Function):
    """(currents (2, T or 1, batch, ...), input_scale, dynamics, num_steps, kernel) → spikes (2, T, batch, ...)."""

    @staticmethod
    def forward(
        ctx: Any,
        currents: Tensor,
        input_scale: Tensor | None,
        dynamics: Dynamics,
        num_steps: int,
        kernel: CompiledMembrane,
    ) -> Tensor:
        """Run the recursion on both ends."""
        currents = currents.contiguous()
        spikes = currents.new_empty((2, num_steps, *currents.shape[2:]))
        layer = layer_of(currents[0], dynamics, num_steps)
        kernel.ends_forward(layer, currents, input_scale, spikes)
        ctx.save_for_backward(currents, input_scale)
        ctx.dynamics, ctx.num_steps, ctx.kernel = dynamics, num_steps, kernel
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of currents and input scale, through the surrogate."""
        currents, input_scale = ctx.saved_tensors
        grad, grad_currents = grad.contiguous(), torch.empty_like(currents)
        grad_scale = None if input_scale is None else torch.zeros_like(input_scale)
        layer = layer_of(currents[0], ctx.dynamics, ctx.num_steps)
        ctx.kernel.ends_backward(layer, currents, input_scale, grad, (grad_currents, grad_scale))
        return grad_currents, grad_scale, None, None, None


class CoupledSpikeEnds(torch.autograd.Function):
    """(currents (2, T or 1, batch, ...), dynamics, num_steps, kernel) → spikes (2, T, batch, ...)."""

    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, dynamics: Dynamics, num_steps: int, kernel: CompiledMembrane
    ) -> Tensor:
        """Run both."""
        currents = currents.contiguous()
        spikes = currents.new_empty((2, num_steps, *currents.shape[2:]))
        kernel.coupled_forward(layer_of(currents[0], dynamics, num_steps), currents, spikes)
        ctx.save_for_backward(currents)
        ctx.dynamics, ctx.num_steps, ctx.kernel = dynamics, num_steps, kernel
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient of the currents, through the surrogate."""
        (currents,) = ctx.saved_tensors
        found = torch.empty_like(currents)
        layer = layer_of(currents[0], ctx.dynamics, ctx.num_steps)
        ctx.kernel.coupled_backward(layer, currents, grad.contiguous(), found)
        return found, None, None, None


def periodic_spikes(currents: Tensor, dynamics: Dynamics, num_steps: int, kernel: CompiledMembrane) -> Tensor:
    """Return `interval_bounds.periodic_ends` of constant currents (2, batch, ...)."""
    currents = currents.contiguous()
    spikes = currents.new_empty((2, num_steps, *currents.shape[1:]))
    layer = layer_of(currents[:1], dynamics, num_steps)
    kernel.periodic_ends(layer, currents, spikes)
    return spikes
