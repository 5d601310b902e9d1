"""Cross-entropy on the clean inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...models.networks import SpikingNetwork
from .base import Loss, Objective


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """L = CE(f(x), y).

    >>> CrossEntropy() + CrossEntropy()
    Sum(objectives=(CrossEntropy(), CrossEntropy()))
    """

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return CE(f(x), y) as total and as the term "cross_entropy"."""
        value = cross_entropy(network(inputs), labels)
        return Loss(value, {"cross_entropy": value.detach()})
