"""Lower gains of the simplified perturbation dynamics, as a term of the loss.

Keep every membrane far from its threshold, in units of the perturbation that can reach it.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...analysis import layer_operators
from ...analysis.differentiable import end_to_end, layer_estimates, layer_margins
from ...analysis.differentiable.norms import check_pair
from ...models.constants import at_least, positive, settle, unless_none
from ...models.elements.neurons import Run, fires
from ...models.networks import SpikingNetwork, Trace
from ...models.running.running import run_layers
from ...models.validation import check_choice, check_inputs
from ..perturbations import evaluation_mode
from .base import Loss, Weight, as_weight, full
from .ms_mppd import firing_layers
from .plain_losses import Remembering

LAYERS = ("all", "last", "end-to-end")


@dataclass(frozen=True)
class GainPenalty(Remembering):
    """L = weight · mean over layers of φ(G),  G = ‖H·diag(a)‖_{p→q}·‖W‖_{p→q},  φ(G) = log G or G.

    G is the layer's gain of the simplified dynamics that `gain` proves: H holds λ^(t−k), a the input scale, W the
    affine layers in front of the neuron (dense, convolution, average pool, residual sums; batch norm as in
    evaluation mode, its statistics held). An ℓ2 norm of W is a quotient ‖W·v‖/‖v‖ of a power iteration, a lower
    end of the norm; v is kept from step to step, starts from a fixed seed, and goes into `fit`'s checkpoints. With
    a target, φ(G) − φ(target) counts only where it is positive. The term uses no data: add it to one that does.

    Args:
        weight: ≥ 0, or a schedule.
        layers: "all" or "last": spiking layers; "end-to-end": the gain of the surrogate network (thresholds of
            slope at most the surrogate's steepest) from input to logits, without residual sums the product of all
            gains, slopes and the readout's norm. Of the spiking network it bounds nothing.
        input_norm, output_norm: p and q: l2→l2, linf→linf, l1→l1 or l2→linf; equal for "end-to-end".
        log: φ = log, which weighs layers alike.
        target: the gain below which a layer costs nothing, or None.
        iterations: of the power iteration in each step.

    Raises:
        ValueError: for a weight, target or number of iterations out of range, an unknown choice or pair of norms.

    >>> GainPenalty(0.1).layers
    'all'

    References: theorem "layer-gain"
    """

    targets: ClassVar[str] = "any"

    weight: Weight = 0.1
    layers: str = "all"
    input_norm: str = "l2"
    output_norm: str = "l2"
    log: bool = True
    target: float | None = None
    iterations: int = 1

    def __post_init__(self) -> None:
        settle(self, as_weight, "weight")
        check_choice("layers", self.layers, LAYERS)
        check_pair(self.input_norm, self.output_norm)
        if self.layers == "end-to-end" and self.input_norm != self.output_norm:
            got = f"{self.input_norm} and {self.output_norm}"
            raise ValueError(f'input_norm, output_norm: got {got}, expected equal norms with "end-to-end"')
        settle(self, unless_none(positive), "target")
        settle(self, at_least(1), "iterations")

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the penalty, with the term "gain" (the mean of φ(G), or how far it is above the target)."""
        with torch.autocast(inputs.device.type, enabled=False):  # a power iteration in bfloat16 has no digits left
            gains = self.gains(network, tuple(inputs.shape[2 if network.timed else 1 :]))
        sizes = self._size(gains)
        if self.target is not None:
            sizes = (sizes - self._size(gains.new_tensor(self.target))).clamp_min(0.0)
        value = sizes.mean()
        return Loss(full(self.weight) * value, {"gain": value.detach()})

    def gains(self, network: SpikingNetwork, input_shape: tuple[int, ...]) -> Tensor:
        """Return the gains that are penalised, (layers,) or (1,), differentiable.

        Args:
            network: any network with a spiking layer.
            input_shape: of one sample at one step.
        """
        operators = layer_operators(network, input_shape, live=True)
        if self.layers != "end-to-end":
            neurons = [item for item in operators if item.rule is not None]
            operators = tuple(neurons[-1:] if self.layers == "last" else neurons)
        vectors = self.memory.of(network)
        norms = (self.input_norm, self.output_norm)
        estimates = layer_estimates(operators, network.num_steps, *norms, vectors, self.iterations)
        if not estimates:
            raise ValueError("network: got no spiking layer, expected one for the gain penalty")
        if self.layers == "end-to-end":
            return end_to_end(estimates, self.input_norm).reshape(1)
        return torch.stack([layer.gain for layer in estimates])

    def _size(self, gains: Tensor) -> Tensor:
        return gains.clamp_min(torch.finfo(gains.dtype).tiny).log() if self.log else gains


MARGIN_LAYERS = ("first", "all")
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
        check_choice("layers", self.layers, MARGIN_LAYERS)

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
    holds = (any(map(fires, layer.modules())) for layer in network.layers)
    end = next(index for index, found in enumerate(holds, 1) if found)
    runs: list[Run] = []
    signal = run_layers(network.layers[:end], network.encode(inputs), network.num_steps, runs.append)
    potentials, spikes = (tuple(getattr(run, name) for run in runs) for name in ("potentials", "spikes"))
    return Trace((), potentials, spikes, signal)
