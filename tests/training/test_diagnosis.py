"""Where numbers first were not finite: a current, a potential, or nowhere."""

import math

import pytest
import torch
from torch import nn

from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.training.diagnosis import origin


def broken(layer: int) -> SpikingNetwork:
    """Return a network in which the potentials of one spiking layer fall below all numbers of float32."""
    network = mlp((3, 4, 4, 2), num_steps=3, neuron=LIF(1.0))
    linear = network.layers[2 * layer]
    assert isinstance(linear, nn.Linear)
    linear.weight.data.zero_()
    linear.bias.data.fill_(-3e38)
    return network


@pytest.mark.parametrize(("layer", "name"), [(0, "layers.1"), (1, "layers.3")])
def test_potentials_that_are_infinite_behind_finite_currents_are_named(layer: int, name: str):
    inputs = torch.rand(5, 3)
    told = origin(broken(layer), inputs, lambda: None)
    assert told == f"the potentials of {name} (LIF) are the first that hold NaN or inf"


def test_the_first_current_comes_before_all_potentials():
    network = broken(0)
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    first.weight.data[0, 0] = math.inf
    inputs = torch.rand(5, 3) + 0.1
    told = origin(network, inputs, lambda: network(inputs))
    assert told == "the current out of layers.0 (Linear) is the first that holds NaN or inf"


def test_finite_layers_are_not_blamed():
    network, inputs = mlp((3, 4, 2), num_steps=2), torch.rand(2, 3)
    told = origin(network, inputs, lambda: network(inputs))
    assert told == "the currents and potentials of all layers are finite"
