"""A spiking controller that is linear up to stairs: u = φ(Kx)."""

import torch
from torch import nn

from ...models.constants import at_least
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork
from .given import rows_of


def controller(K: object, hidden: int = 32) -> SpikingNetwork:
    """Return a network of one step that gives each of its inputs back, in stairs: |y − z| ≤ 1/hidden on [−1, 1].

    Neuron k = 1..h of input j fires iff z_j ≥ −1 + (2k − 1)/h, and y_j = −1 + (2/h)·(how many do): z_j lies at
    most 1/h from the middle of its stair. So with z = Kx/r as what it sees, `ClosedLoop(controller(K), A, B, C=K,
    scale=r, gain=r)` has an error gain of about r/h wherever |Kx| ≤ r, for any number of states.
    The float32 run rounds z and the sums; what that adds is in the error gain that the loop proves.

    Args:
        K: the linear controller, (m, n): the network has m inputs and outputs.
        hidden: h, neurons for each input of the plant.

    Raises:
        TypeError, ValueError: for what is no matrix of finite numbers, or no number of neurons.

    >>> controller([[-1.0, -1.7]], hidden=4)(torch.tensor([[-1.0], [0.0], [0.3]])).flatten().tolist()
    [-1.0, 0.0, 0.5]
    """
    inputs, count = len(rows_of("K", K)), at_least(1)("hidden", hidden)
    first, last = nn.Linear(inputs, inputs * count), nn.Linear(inputs * count, inputs)
    each, stairs = torch.eye(inputs), torch.ones(count, 1)
    first.weight.data = torch.kron(each, stairs)
    first.bias.data = (2.0 - (2.0 * torch.arange(1, count + 1) - 1.0) / count).repeat(inputs)
    last.weight.data = torch.kron(each, stairs.T) * (2.0 / count)
    last.bias.data.fill_(-1.0)
    return SpikingNetwork(first, LIF(decay=0.0), last, num_steps=1).eval()
