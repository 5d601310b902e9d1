"""The reference that the models are held against: one small autograd operation a step, nothing shared or fused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import LIF, Dynamics, Residual, SpikingNetwork

Reference = Callable[..., Any]


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, potential: Tensor, dynamics: Dynamics) -> Tensor:  # pyright: ignore
        ctx.save_for_backward(potential)
        ctx.dynamics = dynamics
        fired = potential >= dynamics.threshold if dynamics.fires_at == ">=" else potential > dynamics.threshold
        return fired.to(potential.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore
        (potential,) = ctx.saved_tensors
        return grad * ctx.dynamics.surrogate.derivative(potential - ctx.dynamics.threshold), None


def step_by_step(
    current: Tensor, scale: Tensor | None, dynamics: Dynamics, num_steps: int
) -> tuple[Tensor, Tensor]:
    """Return potentials and spikes of the plain recursion of the theory."""
    residue = torch.zeros_like(current[0])
    amount = dynamics.threshold if dynamics.reset_amount is None else dynamics.reset_amount
    potentials, spikes = [], []
    for t in range(num_steps):
        drive = current[t if len(current) > 1 else 0]
        potential = dynamics.decay * residue + (drive if scale is None else scale[t] * drive)
        spike: Any = _Spike.apply(potential, dynamics)
        residue = {
            "zero": potential * (1 - spike),
            "subtract": potential - amount * spike,
            "none": potential,
        }[dynamics.reset]
        potentials.append(potential)
        spikes.append(spike)
    return torch.stack(potentials), torch.stack(spikes)


def layer_by_layer(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    """Return the logits: every layer runs at every step, and the readout comes last."""
    steps = network.num_steps
    signal = torch.stack([inputs] * steps) if network.encoding == "direct" else inputs.transpose(0, 1)
    for k, layer in enumerate(network.layers):
        if network.readout == "potential" and k == len(network.layers) - 1:
            assert isinstance(layer, LIF)
            return step_by_step(signal, layer.scale(steps), layer.dynamics, steps)[0][-1]
        signal = _apply(layer, signal, steps)
    return signal.mean(0)


def _apply(layer: nn.Module, signal: Tensor, steps: int) -> Tensor:
    if isinstance(layer, LIF):
        return step_by_step(signal, layer.scale(steps), layer.dynamics, steps)[1]
    if isinstance(layer, Residual):
        branch = shortcut = signal
        for inner in layer.branch:
            branch = _apply(inner, branch, steps)
        for inner in layer.shortcut:
            shortcut = _apply(inner, shortcut, steps)
        return branch + shortcut
    return layer(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])


@pytest.fixture
def reference_neuron() -> Reference:
    """Return the plain recursion: (current, scale, dynamics, num_steps) -> potentials, spikes."""
    return step_by_step


@pytest.fixture
def reference_logits() -> Reference:
    """Return the plain network: (network, inputs) -> logits."""
    return layer_by_layer
