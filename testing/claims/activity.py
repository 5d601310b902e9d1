"""Networks whose spikes are neither none nor all: where nothing or all fires, most false claims hold."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from hypothesis import assume
from torch import Tensor, nn

from ...models.elements.layers import walk
from ...models.elements.neurons import LIF
from ...models.linear_maps import affine_types
from ...models.networks import SpikingNetwork
from ..networks import features_of, networks
from ..neurons import SEEDS, st

FACTORS = (1.0, 2.0, 0.5, 4.0, 0.25, 8.0, 0.125, 16.0)
"""By which weights in front of a layer are tried: powers of 2, which leave a grid a grid."""
PROBES = 8
"""Inputs at which an active network is active, if the caller names none."""


def activated(
    network: SpikingNetwork, inputs: Tensor, signs: Sequence[float] = (1.0, -1.0)
) -> SpikingNetwork | None:
    """Return a copy with weights scaled, layer by layer, so that some spikes of each layer come and some don't.

    Args:
        network: any network.
        inputs: at which it is run; some spikes are of all steps, neurons and samples.
        signs: what factors are multiplied by; (1,) keeps the signs of weights.

    Returns:
        The copy, or None where no factor that is tried does it.
    """
    scaled = copy.deepcopy(network)
    affine: list[nn.Module] = []
    index = 0
    for layer in walk(scaled.layers):
        if type(layer) in affine_types():
            affine.append(layer)
        elif isinstance(layer, LIF):
            if not _activate(scaled, affine, index, inputs, signs):
                return None
            affine, index = [], index + 1
    return scaled


@torch.no_grad()
def _activate(
    network: SpikingNetwork, affine: Sequence[nn.Module], index: int, inputs: Tensor, signs: Sequence[float]
) -> bool:
    """Scale the parameters in front of spiking layer `index`; say whether it is active then."""
    values = [parameter for layer in affine[-1:] for parameter in layer.parameters()]
    kept = [value.clone() for value in values]
    for factor in (sign * size for size in FACTORS for sign in signs):
        for value, before in zip(values, kept, strict=True):
            value.copy_(before * factor)
        spikes = network.trace(inputs).spikes[index]
        if 0 < float(spikes.mean()) < 1:
            return True
    return False


@st.composite
def active_networks(draw: st.DrawFn, nonnegative: bool = False, **wanted: Any) -> SpikingNetwork:
    """Return a dense network of which each layer fires somewhere, and not everywhere, on random inputs.

    Args:
        nonnegative: whether no weight of it is below 0.
        wanted: as of `networks`.
    """
    network = draw(networks(**wanted))
    steps = (network.num_steps,) if network.timed else ()
    generator = torch.Generator().manual_seed(draw(SEEDS))
    probes = torch.rand((PROBES, *steps, *features_of(network)), generator=generator).to(network.dtype)
    return made_active(network, probes.round() if network.timed else probes, nonnegative)


def made_active(network: SpikingNetwork, inputs: Tensor, nonnegative: bool = False) -> SpikingNetwork:
    """Return a network made active at some inputs; examples where that can't be are not drawn."""
    if nonnegative:
        network = copy.deepcopy(network)
        for name, parameter in network.named_parameters():
            if name.endswith("weight"):
                parameter.data = parameter.data.abs()
    found = activated(network, inputs, (1.0,) if nonnegative else (1.0, -1.0))
    assume(found is not None)
    assert found is not None
    return found
