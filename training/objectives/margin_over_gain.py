"""Keep every membrane far from its threshold, in units of the perturbation that can reach it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...analysis import layer_operators
from ...analysis.differentiable import layer_margins
from ...models.constants import settle
from ...models.elements.neurons import LIF, Run
from ...models.networks import SpikingNetwork, Trace
from ...models.running.running import run_layers
from ...models.validation import check_choice, check_inputs
from ..perturbations import evaluation_mode
from .base import Loss
from .memory import Remembering
from .ms_mppd import firing_layers
from .schedules import Weight, as_weight, full

LAYERS = ("first", "all")
NORMS = ("l2", "linf")


@dataclass(frozen=True)
class MarginOverGain(Remembering):
    """L = weight · mean over layers, steps, samples and neurons of max(0, 1 − m/ε),  m = |v[t] − θ|/reach[t].

    v is the clean run's potential, and reach[t] how far a unit perturbation of the input can move it while no
    train changes: m is the perturbation's size at which this membrane may cross its threshold at step t.

    * First layer, direct coding: reach[t] = |α_t|·‖W_j‖_*, exact; α_t = Σ λ^(t−k)·a[k] since the last reset, ‖·‖_*
      the dual norm (ℓ1 for linf). The least m over neurons and steps is the pattern-preserving radius, see
      `pattern_radius`.
    * Deeper layers: reach[t] = g_t·‖W_j‖_*·Π_{i<k} L_i·G_i. Since the last reset, g_t² = Σ λ^{2(t−k)}·a[k]² (ℓ2),
      g_t = Σ λ^(t−k)·|a[k]| (ℓ∞); G_i is the gain of an earlier layer (of the first: that of an input constant
      over time), L_i its surrogate's steepest slope. That chain is about the surrogate network: no bound.

    Potentials come from one more pass over the layers asked for, on clean inputs in evaluation mode. They, the
    rows' norms and the chain carry gradients. It makes "gain" certificates (F4) and pattern-preserving radii grow.

    Args:
        weight: ≥ 0, or a schedule.
        epsilon: ε > 0, or a schedule: the perturbation that membranes should withstand, in the norm of the input.
        norm: "l2" or "linf", of the input perturbation.
        layers: "first" or "all".

    Raises:
        ValueError: for a number out of range or an unknown choice.

    >>> MarginOverGain(1.0, epsilon=0.1).norm
    'l2'

    References: theorem "l2-margin"
    """

    weight: Weight = 1.0
    epsilon: Weight = 0.1
    norm: str = "l2"
    layers: str = "first"

    def __post_init__(self) -> None:
        settle(self, as_weight, "weight", "epsilon")
        if not full(self.epsilon) > 0:
            raise ValueError(f"epsilon: got {self.epsilon!r}, expected a positive finite number")
        check_choice("norm", self.norm, NORMS)
        check_choice("layers", self.layers, LAYERS)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the penalty, with the terms "margin" (the mean hinge) and "radius" (the mean of the least m)."""
        margins = self.margins(network, inputs)
        epsilon = max(full(self.epsilon), math.ulp(0.0))
        value = torch.stack([(1.0 - margin / epsilon).relu().mean() for margin in margins]).mean()
        radius = margins[0].detach().amin((0, 2)).mean()
        return Loss(full(self.weight) * value, {"margin": value.detach(), "radius": radius})

    def margins(self, network: SpikingNetwork, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return m of each layer asked for, (T, batch, neurons), differentiable.

        Args:
            network: any network with a layer that fires.
            inputs: clean, (batch, ...).
        """
        firing_layers(network)
        operators = layer_operators(network, tuple(inputs.shape[2 if network.timed else 1 :]), live=True)
        with evaluation_mode(network):
            trace = _first_layer(network, inputs) if self.layers == "first" else network.trace(inputs)
        count = 1 if self.layers == "first" else None
        with torch.autocast(inputs.device.type, enabled=False):  # norms in bfloat16 have no digits left
            return layer_margins(network, operators, trace, self.norm, self.memory.of(network), count)


def _first_layer(network: SpikingNetwork, inputs: Tensor) -> Trace:
    """Return the trace of a pass that ends behind the module with the first spiking layer."""
    check_inputs(network, inputs)
    holds = (any(isinstance(part, LIF) for part in layer.modules()) for layer in network.layers)
    end = next(index for index, found in enumerate(holds, 1) if found)
    runs: list[Run] = []
    signal = run_layers(network.layers[:end], network.encode(inputs), network.num_steps, runs.append)
    potentials, spikes = (tuple(getattr(run, name) for run in runs) for name in ("potentials", "spikes"))
    return Trace((), potentials, spikes, signal)
