"""Weights from which a network without batch norm begins to fire in every layer."""

import torch
from torch import Tensor, nn

from ...models.constants import positive, real
from ...models.elements.layers import MAX_POOLS, WEIGHTED
from ...models.elements.learned_decay import PLIF
from ...models.elements.neurons import DLIF, LIF
from ...models.linear_maps import affine_types
from ...models.networks import SpikingNetwork

SAMPLES = 512
"""The images that currents are measured on."""
NEURONS = (LIF, DLIF, PLIF)
"""Those of one threshold a layer, and nothing between them and their currents."""
LEAST = 1e-6
"""Currents that differ less have no scale."""


@torch.no_grad()
def start_firing(network: SpikingNetwork, images: Tensor, mean: float = 0.3, spread: float = 0.5) -> None:
    """Scale weights and set biases, in place, layer by layer: each channel's current gets mean·θ and spread·θ.

    With torch's default weights, integrate-and-fire neurons are silent from the second layer on, and neither
    spikes nor bounds have gradients there. Mean and standard deviation are over images, places and steps.

    Args:
        network: a chain in which each neuron has one layer with weights and bias right in front of it; those that
            training keeps, as an `Encoder`'s, stay as they are.
        images: (samples, ...), the first 512 count.
        mean, spread: in thresholds.

    Raises:
        ValueError: for another network, or a number out of range.

    >>> from spikecert import dataset, mlp
    >>> network = mlp((64, 16, 10))
    >>> start_firing(network, dataset("digits").train.inputs)
    >>> bool(network.trace(dataset("digits").train.inputs[:20]).spikes[0].any())
    True

    References: mishkin2016all
    """
    mean, spread = real("mean", mean), positive("spread", spread)
    sample = images[:SAMPLES].to(network.device, network.dtype)
    for place, (layer, neuron) in enumerate(_pairs(network)):
        if not layer.weight.requires_grad:
            continue
        bias = layer.bias
        assert isinstance(bias, Tensor)
        current = network.trace(sample).currents[place].transpose(0, 2).flatten(1)
        width = current.std(1, correction=0)
        scale = torch.where(width > LEAST, spread * neuron.dynamics.threshold / width, 1.0)
        layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
        bias.copy_(mean * neuron.dynamics.threshold - scale * (current.mean(1) - bias))


def _pairs(network: SpikingNetwork) -> list[tuple[nn.Linear | nn.Conv1d | nn.Conv2d, LIF]]:
    """Return each layer with weights and the neuron that it drives, which stands right behind it."""
    pairs, before = [], None
    for module in network.layers:
        if type(module) in NEURONS:
            if not isinstance(before, WEIGHTED) or before.bias is None:
                raise ValueError(_refusal(module))
            pairs.append((before, module))
        elif not isinstance(module, (*WEIGHTED, *MAX_POOLS)) and not _plain(module):
            raise ValueError(_refusal(module))
        before = module
    return pairs  # type: ignore[return-value]


def _plain(module: nn.Module) -> bool:
    """Return whether a module is an affine layer that nothing is learned of."""
    return isinstance(module, affine_types()) and not any(True for _ in module.parameters())


def _refusal(module: nn.Module) -> str:
    kind = type(module).__name__
    return f"network: got {kind}, expected a chain: one layer with weights and bias right in front of each neuron"
