"""A network whose neurons do what they say: what checks of neurons of your own hold the run against."""

import copy

from torch import nn

from ..models.elements.layers import Residual
from ..models.elements.neurons import fires
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
        elif fires(layer):
            layers[index] = layer.stated(num_steps)
