"""A small module of each library that fires on random inputs."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def strong() -> Callable[[int, int], nn.Linear]:
    """Return a function that makes a dense layer with large weights."""
    torch.manual_seed(0)

    def make(inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        layer.weight.data.mul_(4.0)
        return layer

    return make


@pytest.fixture
def sample() -> torch.Tensor:
    """Return inputs, (6, 16)."""
    return torch.rand(6, 16, generator=torch.Generator().manual_seed(1))
