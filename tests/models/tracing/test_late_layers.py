"""Layers that hear spikes of a step before, of inputs over time: at first steps biases alone have reached them."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert

STEPS = 6


class Late(nn.Module):
    """Spikes of the potential before, as hybrid conversions have them: each layer comes a step later.

    Args:
        layers: how many.
        change: the bias of the last one is times 1 + this at a step.
        at: that step.
        first: its potential begins with this.
    """

    def __init__(self, layers: int, change: float = 0.0, at: int = -1, first: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        sizes = [5, 6, 4, 4][: layers + 1]
        self.each = [nn.Linear(one, other) for one, other in pairwise(sizes)]
        self.layers = nn.ModuleList(self.each)
        for layer in self.each:
            layer.weight.data.mul_(5.0)
        self.read, self.change, self.at, self.first = nn.Linear(sizes[-1], 3), change, at, first

    def forward(self, x: Tensor) -> Tensor:
        potentials = [x.new_zeros(x.shape[1], layer.out_features) for layer in self.each]
        potentials[-1] = potentials[-1] + self.first
        total = x.new_zeros(x.shape[1], 3)
        for t in range(STEPS):
            signal = x[t]
            for place, layer in enumerate(self.each):
                spike = (potentials[place] / 0.7 - 1.0 > 0).to(x.dtype)
                last = place == len(self.each) - 1 and t == self.at
                current = layer(signal) + (self.change * layer.bias if last else 0.0)
                potentials[place] = 0.95 * potentials[place] + current - 0.7 * spike
                signal = spike
            total = total + self.read(signal)
        return total


def sample(count: int = 8, seed: int = 1) -> Tensor:
    return torch.rand(count, STEPS, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("layers", "first"), [(2, 0.0), (3, 0.0), (2, 2.0**-12), (2, 0.25)])
def test_layers_that_biases_alone_have_reached_come_in(layers: int, first: float):
    """A first potential elsewhere is where potentials are counted from, not a rounding."""
    module = Late(layers, first=first)
    network = convert(module, sample(), encoding="none").network
    assert len(network.neurons) > layers
    for seed, scale in enumerate((1.0, 10.0, 1000.0, -3.0)):
        x = scale * sample(250, seed)
        theirs, ours = module(x.transpose(0, 1)), network(x)
        assert torch.allclose(theirs, ours, atol=1e-4)


@pytest.mark.parametrize("change", [2.0**-12, -0.5])
@pytest.mark.parametrize("at", range(STEPS - 1))
def test_a_bias_that_is_another_at_one_step_is_refused(change: float, at: int):
    with pytest.raises(ConversionRefused):
        convert(Late(2, change, at), sample(), encoding="none")


@pytest.mark.parametrize("at", range(STEPS - 1))
def test_roundings_are_those_of_the_type(at: int):
    """What a few roundings in float32 would be is another bias in float64."""
    assert convert(Late(2).double(), sample().double(), encoding="none").check.matches
    with pytest.raises(ConversionRefused):
        convert(Late(2, 2.0**-24, at).double(), sample().double(), encoding="none")
