"""Batch norms merged into the affine layer in front: what a chip holds is one matrix and one bias."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .elements.layers import Residual
from .linear_maps.normalizing import Normalize, scale
from .networks import SpikingNetwork

FORWARD = (nn.Linear, nn.Conv1d, nn.Conv2d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
TAKES_NORM = (*FORWARD, *TRANSPOSED)
"""Affine layers of weights and a bias, by their exact types."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, Normalize)


def merged(network: SpikingNetwork) -> SpikingNetwork:
    """Return a copy in evaluation mode whose batch norms are part of the layer with weights right in front.

    W' = s·W and b' = s·(b − mean) + β, computed in float64 and rounded once to the network's dtype: it computes
    what the network does but for rounding. A norm with anything else in front stays as it is.

    Raises:
        ValueError: for a number beyond the dtype.

    >>> from spikecert.models import LIF
    >>> norm = nn.BatchNorm1d(3)
    >>> found = merged(SpikingNetwork(nn.Linear(4, 3), norm, LIF(), nn.Linear(3, 2), num_steps=5))
    >>> [type(layer).__name__ for layer in found.layers]
    ['Linear', 'LIF', 'Linear']
    """
    found = copy.deepcopy(network).eval()
    found.layers = _without_norms(found.layers)
    return found


def weights_and_biases(network: SpikingNetwork) -> list[str]:
    """Return the names of the parameters that are weights and biases of affine layers."""
    layers = {name for name, layer in network.named_modules() if type(layer) in TAKES_NORM}
    return sorted(name for name, _ in network.named_parameters() if name.rpartition(".")[0] in layers)


def prepares(network: SpikingNetwork, name: str) -> bool:
    """Return whether a layer is no part of what a chip holds: fixed numbers that prepare inputs."""
    return isinstance(network.get_submodule(name), Normalize)


def same_layers(one: SpikingNetwork, other: SpikingNetwork) -> bool:
    """Return whether two networks have layers of the same types in the same order, and the same settings."""
    kinds = [[type(layer) for layer in network.layers.modules()] for network in (one, other)]
    settings = [(network.num_steps, network.encoding, network.readout) for network in (one, other)]
    return kinds[0] == kinds[1] and settings[0] == settings[1]


def greatest_sum(layer: Any, largest: float) -> float:
    """Return the greatest Σ|w|·X + |b| of any output of a layer with weights, for inputs up to X = `largest`."""
    weight = layer.weight.detach().double().abs()
    if isinstance(layer, TRANSPOSED):  # (in, out/groups, *kernel), the inputs group by group
        sums = weight.unflatten(0, (layer.groups, -1)).sum(1).flatten(2).sum(2).flatten()
    else:
        sums = weight.flatten(1).sum(1)
    bias = 0.0 if layer.bias is None else layer.bias.detach().double().abs()
    return float((sums * largest + bias).max())


def _without_norms(layers: nn.ModuleList) -> nn.ModuleList:
    kept: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, Residual):
            layer.branch, layer.shortcut = _without_norms(layer.branch), _without_norms(layer.shortcut)
        if type(layer) in NORMS and kept and type(kept[-1]) in TAKES_NORM:
            _absorb(kept[-1], layer)
        else:
            kept.append(layer)
    return nn.ModuleList(kept)


@torch.no_grad()
def _absorb(layer: Any, norm: Any) -> None:
    """Make a layer's weights and bias those of both."""
    exact = scale(norm).to(torch.float64)
    offset = exact.bias.flatten() + exact.factor * (0.0 if layer.bias is None else layer.bias.double())
    weight = layer.weight.double() * _channels(layer, exact.factor)
    for name, value in (("weight", weight), ("bias", offset)):
        rounded = value.to(layer.weight.dtype)
        if not bool(rounded.isfinite().all()):
            raise ValueError(f"network: a merged {name} is beyond {rounded.dtype}, expected finite numbers")
        setattr(layer, name, nn.Parameter(rounded))


def _channels(layer: Any, factor: Tensor) -> Tensor:
    """Return the factor of each output channel as the layer's weights have them."""
    if isinstance(layer, TRANSPOSED):  # (in, out/groups, *kernel), the inputs group by group
        inputs, sides = layer.in_channels // layer.groups, [1] * len(layer.kernel_size)
        return (
            factor.view(layer.groups, 1, -1)
            .expand(-1, inputs, -1)
            .flatten(0, 1)
            .view(-1, factor.numel() // layer.groups, *sides)
        )
    return factor.view(-1, *([1] * (layer.weight.dim() - 1)))
