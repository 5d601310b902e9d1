"""Numbers that are the same bit for bit on every machine: Python's generator and sums of float64 in order."""

import hashlib
import random
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from spikecert import Share, SpikingNetwork

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
GRAIN = 8
"""Of whole networks, how many units a weight of 1 is."""


def bells(draw: random.Random, shape: Sequence[int], spread: float) -> Tensor:
    """Return numbers of standard deviation `spread`: three uniform ones each, added up."""
    each = [spread * (2.0 * (draw.random() + draw.random() + draw.random()) - 3.0) for _ in range(prod(shape))]
    return torch.tensor(each, dtype=torch.float64).reshape(tuple(shape))


def uniform(draw: random.Random, shape: Sequence[int]) -> Tensor:
    """Return numbers in [0, 1), thousandths."""
    each = [draw.randrange(1000) / 1000 for _ in range(prod(shape))]
    return torch.tensor(each, dtype=torch.float64).reshape(tuple(shape))


def fill(network: SpikingNetwork, seed: str, gain: float, whole: bool) -> None:
    """Draw weights of standard deviation gain/√inputs, biases, and what batch norms counted, in order.

    Args:
        network: float64; changed in place.
        seed: what the numbers go by.
        gain: how large weights are.
        whole: whether they are rounded to whole numbers, `GRAIN` units each.
    """
    draw = random.Random(seed)
    for module in network.modules():
        if isinstance(module, WEIGHTED):
            fan = module.weight[0].numel()
            _set(module.weight, bells(draw, module.weight.shape, gain / fan**0.5), whole)
            if module.bias is not None:
                _set(module.bias, bells(draw, module.bias.shape, 0.2), whole)
        elif isinstance(module, NORMS) and module.running_var is not None:
            module.running_var.copy_(0.25 + uniform(draw, module.running_var.shape))
        elif isinstance(module, Share):
            module.share.data.fill_(0.75)


@torch.no_grad()
def level(network: SpikingNetwork, inputs: Tensor) -> None:
    """Move the last biases, in 64ths, so that no class is far ahead of the others on average over `inputs`."""
    ending = network.layers[-1]
    if isinstance(ending, nn.Linear) and ending.bias is not None:
        ending.bias -= (network(inputs).mean(0) * 64).round() / 64


def _set(parameter: Tensor, numbers: Tensor, whole: bool) -> None:
    parameter.data.copy_((numbers * GRAIN).round() if whole else numbers)


def digest(network: SpikingNetwork, *others: Tensor) -> str:
    """Return a digest of a network's numbers, and of tensors besides: half of what is kept depends on them."""
    found = hashlib.sha256()
    for name, tensor in (*sorted(network.state_dict().items()), *((str(k), x) for k, x in enumerate(others))):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]
