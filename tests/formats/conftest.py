"""Networks and properties that several files ask about."""

import pytest
import torch

from spikecert.models import LIF, SpikingNetwork, mlp
from support.command_line import run

__all__ = ["run"]


def small(num_steps: int = 3, sizes: tuple[int, ...] = (2, 8, 3), **settings: str) -> SpikingNetwork:
    torch.manual_seed(18)
    network = mlp(sizes, num_steps, LIF(decay=0.9, threshold=0.3), **settings)  # pyright: ignore[reportArgumentType]
    for layer in network.layers:
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data *= 4.0
    return network.eval()


@pytest.fixture
def network() -> SpikingNetwork:
    return small()
