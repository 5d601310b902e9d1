"""A network whose neurons do what they say: what checks of neurons of your own hold the run against."""

import copy

from torch import nn

from ..models.elements.layers import Residual
from ..models.elements.neurons import DLIF, LIF
from ..models.elements.varied import VariedLIF
from ..models.networks import SpikingNetwork


def as_stated(network: SpikingNetwork) -> SpikingNetwork:
    """Return a copy with a plain layer of the stated constants and input scale in place of each spiking layer.

    Bounds and gains refuse a neuron that runs code of its own. A check takes it at its word, and checks that.
    """
    stated = copy.deepcopy(network)
    _replace(stated.layers, network.num_steps)
    return stated


def _replace(layers: nn.ModuleList, num_steps: int) -> None:
    for index, layer in enumerate(layers):
        if isinstance(layer, Residual):
            _replace(layer.branch, num_steps)
            _replace(layer.shortcut, num_steps)
        elif isinstance(layer, LIF):
            layers[index] = _plain(layer, num_steps)


def _plain(layer: LIF, num_steps: int) -> LIF:
    if isinstance(layer, VariedLIF):
        shared = layer.shared
        return VariedLIF(
            layer.decay, layer.threshold, shared.reset, shared.fires_at, shared.surrogate, layer.reset_amount
        )
    d, scale = layer.dynamics, layer.scale(num_steps)
    constants = (d.decay, d.threshold, d.reset, d.fires_at, d.surrogate, d.reset_amount)
    if scale is None:
        return LIF(*constants)
    plain = DLIF(num_steps, *constants)
    plain.input_scale.data = scale.detach().clone()
    return plain
