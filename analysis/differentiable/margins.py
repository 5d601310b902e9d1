"""Margin over gain: each membrane's distance to its threshold, in units of the input perturbation that closes it.

While a neuron's clean and perturbed trains agree, its potential moves by at most reach·‖δ‖ for an input change δ:

* first layer, direct coding: the current moves by the constant W_j·δ, so reach[t] = |α_t|·‖W_j‖_*, with ‖·‖_* the
  dual norm and α_t = Σ λ^(t−k)·a[k] over the steps since the last reset. This is exact, and the least
  |v_j[t] − θ|/reach[t] over neurons and steps is the pattern-preserving radius (`pattern_radius`);
* else ‖Δs‖_p of what the layer reads, times ‖W_j‖_*, times the gain g_t since the last reset: for ℓ2
  g_t² = Σ (λ^(t−k)·a[k])², for ℓ∞ g_t = Σ λ^(t−k)·|a[k]|. For the input ‖Δs‖ is ‖δ‖ (of a sequence with direct
  coding: √T·‖δ‖ in ℓ2); for spikes it is that of the *surrogate network* (`chain`), since no gain bounds a spike's
  change: a scale to train by, and no bound.

With a soft reset nothing is erased: α and g sum over all steps.

Layer gains and their chain from the input to the logits, differentiable.

The simplified dynamics of one layer have ‖ε‖_q ≤ G·‖Δs‖_p, G = ‖H·diag(a)‖_{p→q}·‖W‖_{p→q}. A chain needs a link
from ε to the next Δs, which a threshold does not give. So end to end the number is about the *surrogate network*,
in which each threshold is a function of slopes in [0, L], L the greatest slope of the layer's surrogate:

    e_input = 1,   e_k = L_k·G_k·‖(e_j for the signals j that layer k reads)‖_p

without a residual sum the plain product. It bounds nothing of the spiking network.

Gains of one neuron's simplified dynamics, differentiable in decay and input scale.

The map w ↦ ε over T steps is M = H·diag(a), H[t,k] = λ^(t−k) for k ≤ t. All nine induced norms of |M| have closed
forms (see `analysis.neuron_gains`), but ℓ2→ℓ2: the greatest singular value of the T × T matrix.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import LIF, SpikingNetwork, Trace
from ...models.validation import check_choice
from ..operators import INPUT, LayerOperator
from .norms import operator_norm, row_norms

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


@dataclass(frozen=True)
class LayerEstimate:
    """One layer's gain with its gradient; behind the last neuron the readout, whose neuron gain is 1.

    Attributes:
        name: the path of the neuron in the network, or "readout".
        operator_norm: ‖W‖_{p→q}; for ℓ2→ℓ2 a lower end.
        neuron_gain: ‖H·diag(a)‖_{p→q}.
        slope: L of the layer's surrogate; 1 for the readout.
        sources: the signals that it reads: −1 the input, k the spikes of spiking layer k.
    """

    name: str
    operator_norm: Tensor
    neuron_gain: Tensor
    slope: float
    sources: tuple[int, ...]

    @property
    def gain(self) -> Tensor:
        """Return the product of both."""
        return self.operator_norm * self.neuron_gain


def layer_estimates(
    operators: Sequence[LayerOperator],
    num_steps: int,
    input_norm: str = "l2",
    output_norm: str = "l2",
    vectors: MutableMapping[str, Tensor] | None = None,
    iterations: int = 1,
) -> tuple[LayerEstimate, ...]:
    """Return the gain of each spiking layer in execution order, then that of the readout if it is affine.

    Args:
        operators: of `layer_operators(network, shape, live=True)`.
        num_steps: T.
        input_norm, output_norm, vectors, iterations: as in `operator_norm`.
    """
    return tuple(_estimate(item, num_steps, input_norm, output_norm, vectors, iterations) for item in operators)


def _estimate(
    operator: LayerOperator,
    num_steps: int,
    input_norm: str,
    output_norm: str,
    vectors: MutableMapping[str, Tensor] | None,
    iterations: int,
) -> LayerEstimate:
    norm = operator_norm(operator, input_norm, output_norm, vectors, iterations)
    neuron, sources = operator.layer, tuple(operator.sources)
    if neuron is None:
        return LayerEstimate(operator.name, norm, torch.ones_like(norm), 1.0, sources)
    scale = scale_of(neuron, num_steps, norm)
    gain = neuron_gain(neuron.share, scale, input_norm, output_norm)
    return LayerEstimate(operator.name, norm, gain, neuron.dynamics.surrogate.steepest, sources)


def scale_of(neuron: LIF, num_steps: int, like: Tensor) -> Tensor:
    """Return a, ones where the neuron has none."""
    scale = neuron.scale(num_steps)
    return like.new_ones(num_steps) if scale is None else scale


def amplification(layers: Sequence[LayerEstimate], norm: str) -> Mapping[int, Tensor]:
    """Return e of each signal: the gain of the surrogate network from its input to that layer's output.

    Args:
        layers: with equal input and output norm.
        norm: that norm.
    """
    found = {INPUT: torch.ones_like(layers[0].gain)}
    for index, layer in enumerate(layers):
        found[index] = layer.slope * layer.gain * joined(found, layer.sources, norm)
    return found


def joined(sizes: Mapping[int, Tensor], sources: Sequence[int], norm: str) -> Tensor:
    """Return the norm of stacked signals from those of its parts."""
    parts = [sizes[index] for index in sources]
    return parts[0] if len(parts) == 1 else torch.linalg.vector_norm(torch.stack(parts), ORDERS[norm])


def end_to_end(layers: Sequence[LayerEstimate], norm: str = "l2") -> Tensor:
    """Return the surrogate network's gain from the input sequence to the last layer's output, a scalar."""
    return amplification(layers, norm)[len(layers) - 1]


NORMS = ("l2", "linf")


def layer_margins(
    network: SpikingNetwork,
    operators: Sequence[LayerOperator],
    trace: Trace,
    norm: str = "l2",
    vectors: MutableMapping[str, Tensor] | None = None,
    most: int | None = None,
) -> tuple[Tensor, ...]:
    """Return |v − θ|/reach of each layer that fires, (T, batch, neurons), in units of the input norm.

    Args:
        network: the network of the trace.
        operators: of `layer_operators(network, shape, live=True)`.
        trace: of clean inputs.
        norm: "l2" or "linf", of the input perturbation.
        vectors: as in `operator_norm`.
        most: layers, from the first; None for all.
    """
    check_choice("norm", norm, NORMS)
    firing = len(network.neurons) - network.reads_potentials
    count = firing if most is None else min(most, firing)
    chain = _PerturbationSizes(network, norm, {} if vectors is None else vectors, count)
    return tuple(chain.margins(k, operators[k], trace) for k in range(count))


class _PerturbationSizes:
    """Carry the size of a unit perturbation from layer to layer."""

    def __init__(
        self, network: SpikingNetwork, norm: str, vectors: MutableMapping[str, Tensor], count: int
    ) -> None:
        self.network, self.norm, self.vectors, self.count = network, norm, vectors, count
        repeated = network.encoding == "direct" and norm == "l2"
        self.moved = {INPUT: torch.tensor(network.num_steps**0.5 if repeated else 1.0)}

    def margins(self, index: int, operator: LayerOperator, trace: Trace) -> Tensor:
        """Return |v − θ|/reach of one layer, and note how far its output moves."""
        potentials, neuron = trace.potentials[index].flatten(2), self.network.neurons[index]
        scale = scale_of(neuron, self.network.num_steps, potentials)
        constant = self.network.encoding == "direct" and tuple(operator.sources) == (INPUT,)
        size = potentials.new_ones(()) if constant else joined(self.moved, tuple(operator.sources), self.norm)
        kind = "constant" if constant else self.norm
        spikes = trace.spikes[index].detach().flatten(2)
        held = _held(spikes, scale, neuron.share, neuron.dynamics.reset, kind)
        reach = size * held * row_norms(operator, 2 if self.norm == "l2" else 1)
        if index + 1 < self.count:
            self.moved[index] = self._output(operator, neuron, scale, size, constant)
        distance = (potentials - neuron.dynamics.threshold).abs()
        return distance / reach.clamp_min(torch.finfo(reach.dtype).tiny)

    def _output(self, operator: LayerOperator, neuron: LIF, scale: Tensor, size: Tensor, constant: bool) -> Tensor:
        """Return the size of the layer's output in the surrogate network."""
        decay, slope = neuron.share, neuron.dynamics.surrogate.steepest
        norm = operator_norm(operator, self.norm, self.norm, self.vectors)
        gain = neuron_gain(decay, scale, self.norm, self.norm)
        if constant:
            gain = constant_response(decay, scale, self.norm)
        return slope * norm * gain * size


def _held(spikes: Tensor, scale: Tensor, decay: float | Tensor, reset: str, norm: str) -> Tensor:
    """Return |α_t| ("constant") or g_t ("l2", "linf") over the steps since each neuron's last reset, (T, …)."""
    factors = scale
    if norm == "l2":
        decay, factors = decay**2, scale.square()
    elif norm == "linf":
        factors = scale.abs()
    total, held = torch.zeros_like(spikes[0]), []
    for spike, factor in zip(spikes, factors, strict=True):
        total = decay * total + factor
        held.append(total)
        if reset == "zero":
            total = total * (1.0 - spike)
    values = torch.stack(held)
    return values.clamp_min(torch.finfo(values.dtype).tiny).sqrt() if norm == "l2" else values.abs()
