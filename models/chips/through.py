"""What a chip's build makes of a network's weights, for training through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..merging import NORMS
from ..networks import SpikingNetwork
from .quantizing import WEIGHTS, checked_bits, parts_of, quantization
from .targets import target_of


@dataclass(frozen=True)
class ChipWeights:
    """The values that a chip holds in the place of a network's weights and biases: whole numbers over their scale.

    In training, losses and gradients are taken at these values, and the optimiser moves the real ones by them (the
    straight-through estimate; Bengio et al., 2013): a loss that is certified there is of the values that
    `quantize` makes of the network. Decays and thresholds are not rounded so: choose decays that the chip has,
    such as 7/8.

    Args:
        target, bits: as in `quantize`.

    Raises:
        TypeError, ValueError: for a target that is not known, or bits out of range.

    >>> from spikecert.models import mlp
    >>> network = mlp((2, 2), num_steps=1)
    >>> before = network.layers[0].weight.clone()
    >>> with ChipWeights("q8.8", bits=3).of(network):
    ...     len(network.layers[0].weight.unique()) <= 7
    True
    >>> torch.equal(network.layers[0].weight, before)
    True

    References: bengio2013estimating
    """

    target: str
    bits: int = 8

    def __post_init__(self) -> None:
        target_of(self.target)
        object.__setattr__(self, "bits", checked_bits(self.bits))

    def check(self, network: SpikingNetwork) -> None:
        """Raise ValueError for a network of which the chip has no build, or one with batch norms."""
        for name, module in network.named_modules():
            if isinstance(module, NORMS):
                told = "expected none to train through a chip's weights (spikecert.models.merging.merged folds it)"
                raise ValueError(f"network: {name} is a {type(module).__name__}, {told}")
        quantization(network, self.target, self.bits)

    @contextmanager
    def of(self, network: SpikingNetwork) -> Iterator[None]:
        """Give the network these values for a while; its own come back."""
        kept = [(tensor, tensor.detach().clone()) for tensor in network.parameters()]
        try:
            self._write(network)
            yield
        finally:
            with torch.no_grad():
                for tensor, values in kept:
                    tensor.data.copy_(values)

    @torch.no_grad()
    def _write(self, network: SpikingNetwork) -> None:
        chip = target_of(self.target)
        layers = (layer for layer in network.layers if isinstance(layer, WEIGHTS))
        for layer, part in zip(layers, parts_of(network, chip), strict=True):
            weight, bias = chip.real(part, chip.build(part, self.bits, 1.0))
            _write(layer.weight, weight)
            if layer.bias is not None:
                _write(layer.bias, bias)


def _write(parameter: Tensor, values: Tensor) -> None:
    parameter.data.copy_(values)
