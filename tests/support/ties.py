"""A network whose classes tie."""

import torch
from torch import nn

from spikecert import LIF, SpikingNetwork


def tied_network(second: float = 1.0) -> SpikingNetwork:
    """Return two inputs' network of three classes: 0 and 1 count the same on every input, 2 never fires.

    Args:
        second: what the weights of class 1 are multiplied by.
    """
    layer = nn.Linear(2, 3)
    layer.weight.data = torch.tensor([[4.0, 4.0], [4.0 * second, 4.0 * second], [-1.0, -1.0]])
    layer.bias.data.zero_()
    return SpikingNetwork(layer, LIF(decay=0.5), num_steps=4).eval()
