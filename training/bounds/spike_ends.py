"""Ends of potentials and spikes of a layer, step by step: by compiled kernels on the CPU, else by torch's
operations.

`ends.c` and `coupled.c` do the same as `membrane_ends`, forwards and backwards.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...certify.bounds.intervals import after_reset
from ...certify.bounds.signals.membrane import scaled_spread
from ...certify.bounds.signals.windows import Box
from ...kernels import CompiledMembrane
from ...kernels.membrane import MembraneLayer
from ...models.dynamics import Dynamics
from ...models.elements.neurons import LIF
from ...models.elements.varied import Fires
from ...models.running.compiled import covers, kernel_for, layer_of


def spike_ends(
    neuron: LIF, currents: Box, num_steps: int, coupled: bool = False, filtered: Box | None = None
) -> Box:
    """Return the spikes that must be and those that may be, (T, batch, ...).

    Args:
        neuron: of the layer.
        currents: their ends, (T, batch, ...), or (1, batch, ...) if they are constant.
        num_steps: T.
        coupled: whether each end pays for the other's spikes, too: of neurons that subtract, without a scale.
        filtered: of coupled ends, what comes in over time, (T, batch, ...), where more is known than the steps.
    """
    ends, scale = torch.stack((currents.lower, currents.upper)), neuron.scale(num_steps)
    kernel = kernel_for(ends, scale)
    if kernel is None or filtered is not None or not covers(neuron.dynamics):
        _, (must, may) = _membrane(currents, neuron, num_steps, coupled, filtered)
    else:
        layer = layer_of(ends[0], neuron.dynamics, num_steps)
        must, may = _Compiled.apply(ends, scale, layer, kernel, coupled)  # type: ignore[misc]
    return Box(must, may)


def potential_ends(neuron: LIF, currents: Box, num_steps: int) -> Box:
    """Return the ends of potentials before the reset, (T, batch, ...)."""
    (low, high), _ = _membrane(currents, neuron, num_steps, False)
    return Box(low, high)


def fire(potential: Tensor, dynamics: Dynamics) -> Tensor:
    """Return 1 where a potential fires and 0 elsewhere, with the surrogate for its derivative."""
    return Fires.apply(potential, potential.new_tensor(dynamics.threshold), dynamics)  # type: ignore[return-value]


def valued(x: Tensor, value: Tensor) -> Tensor:
    """Return a value with the gradient of x."""
    return value + (x - x.detach())


def _membrane(
    currents: Box, neuron: LIF, num_steps: int, coupled: bool, filtered: Box | None = None
) -> tuple[Tensor, Tensor]:
    """Return the ends of potentials and of spikes, each (2, T, batch, ...), for those of currents."""
    dynamics, scale = neuron.dynamics, neuron.scale(num_steps)
    if scale is not None:
        currents = scaled_spread(currents.spread, scale).box
    drives = torch.stack((currents.lower, currents.upper))
    entering = drives if filtered is None else torch.stack((filtered.lower, filtered.upper))
    own = left = torch.zeros_like(drives[:, 0])
    potentials, spikes, limits = [], [], (dynamics.threshold, dynamics.threshold)
    shape = (2, num_steps, *drives.shape[2:])
    for drive, enters in zip(drives.expand(shape).unbind(1), entering.expand(shape).unbind(1), strict=True):
        potential = torch.add(drive, left, alpha=dynamics.decay)
        if coupled:
            own = torch.add(enters, own, alpha=dynamics.decay)
            potential = torch.stack((potential[0].maximum(own[0]), potential[1].minimum(own[1])))
        spike = fire(potential, dynamics)
        own = torch.sub(own, spike.flip(0), alpha=dynamics.drop) if coupled else own
        left = after_reset(potential, spike, dynamics.reset, limits, dynamics.drop)
        potentials.append(potential)
        spikes.append(spike)
    return torch.stack(potentials, 1), torch.stack(spikes, 1)


class _Compiled(torch.autograd.Function):
    """(currents (2, T or 1, batch, ...), input_scale, layer, kernel, coupled) → spikes (2, T, batch, ...)."""

    @staticmethod
    def forward(
        ctx: Any,
        currents: Tensor,
        scale: Tensor | None,
        layer: MembraneLayer,
        kernel: CompiledMembrane,
        coupled: bool,
    ) -> Tensor:
        """Run the recursion on both ends."""
        spikes = currents.new_empty((2, layer.steps, *currents.shape[2:]))
        if coupled:
            kernel.coupled_forward(layer, currents, spikes)
        else:
            kernel.ends_forward(layer, currents, scale, spikes)
        ctx.save_for_backward(currents, scale)
        ctx.layer, ctx.kernel, ctx.coupled = layer, kernel, coupled
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of currents and input scale, through the surrogate."""
        currents, scale = ctx.saved_tensors
        grad, found = grad.contiguous(), torch.empty_like(currents)
        grad_scale = None if scale is None else torch.zeros_like(scale)
        if ctx.coupled:
            ctx.kernel.coupled_backward(ctx.layer, currents, grad, found)
        else:
            ctx.kernel.ends_backward(ctx.layer, currents, scale, grad, (found, grad_scale))
        return found, grad_scale, None, None, None
