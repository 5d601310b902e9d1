"""Lower gains of the simplified perturbation dynamics, as a term of the loss."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...analysis import layer_operators
from ...analysis.differentiable import end_to_end, layer_estimates
from ...analysis.differentiable.norms import check_pair
from ...models.constants import at_least, positive, settle, unless_none
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from .base import Loss
from .memory import Remembering
from .schedules import Weight, as_weight, full

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
