"""Layer gains and their chain from the input to the logits, differentiable.

The simplified dynamics of one layer have ‖ε‖_q ≤ G·‖Δs‖_p, G = ‖H·diag(a)‖_{p→q}·‖W‖_{p→q}. A chain needs a link
from ε to the next Δs, which a threshold does not give. So end to end the number is about the *surrogate network*,
in which each threshold is a function of slopes in [0, L], L the greatest slope of the layer's surrogate:

    e_input = 1,   e_k = L_k·G_k·‖(e_j for the signals j that layer k reads)‖_p

without a residual sum the plain product. It bounds nothing of the spiking network.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import LIF, PLIF
from ..operators import INPUT, LayerOperator
from .neuron import ORDERS, neuron_gain
from .norms import operator_norm


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
    gain = neuron_gain(decay_of(neuron), scale, input_norm, output_norm)
    return LayerEstimate(operator.name, norm, gain, neuron.dynamics.surrogate.steepest, sources)


def decay_of(neuron: LIF) -> float | Tensor:
    """Return λ: of a neuron that learns it as a tensor, else as a number."""
    return neuron.decay if isinstance(neuron, PLIF) else neuron.dynamics.decay


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
