"""Networks to attack, shared by the tests of attacks."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikecert.models import LIF, SpikingNetwork, mlp


@dataclass(frozen=True)
class Subject:
    """A network with samples that it classifies as `labels`."""

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor


def random_subject(dtype: torch.dtype = torch.float32, encoding: str = "direct", seed: int = 0) -> Subject:
    """Return a random 12-10-4 network with 16 samples; a quarter of the features lie on the ends of [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    network = mlp((12, 10, 4), num_steps=4, neuron=LIF(decay=0.9), encoding=encoding)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.7
    network = network.to(dtype).eval()
    shape = (16, 12) if encoding == "direct" else (16, 4, 12)
    inputs = torch.rand(shape, generator=generator, dtype=dtype)
    inputs = ((inputs - 0.5) * 1.3 + 0.5).clamp(0, 1) if encoding == "direct" else (inputs > 0.6).to(dtype)
    with torch.no_grad():
        return Subject(network, inputs, network(inputs).argmax(1))


def silent_subject() -> Subject:
    """Return a network in which no neuron comes near its threshold: every surrogate gradient is exactly 0."""
    first, last = nn.Linear(6, 5), nn.Linear(5, 3)
    network = SpikingNetwork(first, LIF(), last, num_steps=4).eval()
    for parameter in network.parameters():
        parameter.data = torch.zeros_like(parameter)
    first.bias.data -= 5.0
    last.bias.data = torch.tensor([1.0, 0.0, -1.0])
    return Subject(network, torch.full((3, 6), 0.5), torch.zeros(3, dtype=torch.int64))


@pytest.fixture(scope="session")
def digits() -> Subject:
    """Return a 64-32-10 network, trained for a few seconds on digits, with 60 test samples."""
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    inputs, labels = torch.tensor(data / 16, dtype=torch.float32), torch.tensor(target)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(1))
    inputs, labels = inputs[order], labels[order]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = mlp((64, 32, 10), num_steps=4, neuron=LIF(decay=0.9))
        optimizer = torch.optim.Adam(network.parameters(), 5e-3)
        for _ in range(8):
            for batch in torch.randperm(1297).split(64):
                loss = F.cross_entropy(network(inputs[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return Subject(network.eval(), inputs[1297:1357], labels[1297:1357])
