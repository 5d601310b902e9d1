"""Losses of the clean inputs: cross-entropy, squared errors and Huber's."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, huber_loss, mse_loss

from ...models.constants import positive, settle
from ...models.networks import SpikingNetwork
from .base import Loss, Objective


@dataclass(frozen=True)
class MSE(Objective):
    """L = the mean of (f(x)_j − t_j)² over samples and outputs."""

    targets: ClassVar[str] = "numbers"

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the mean squared error as total and as the term "mse"."""
        value = mse_loss(network(inputs), labels)
        return Loss(value, {"mse": value.detach()})


@dataclass(frozen=True)
class Huber(Objective):
    """L = the mean of h(f(x)_j − t_j), h(e) = e²/2 for |e| ≤ width and width·(|e| − width/2) beyond.

    A target that is far off pulls by its side alone, not by how far it is.

    Args:
        width: positive, in units of the targets.

    References: huber1964robust
    """

    targets: ClassVar[str] = "numbers"

    width: float = 1.0

    def __post_init__(self) -> None:
        settle(self, positive, "width")

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return Huber's loss as total and as the term "huber"."""
        value = huber_loss(network(inputs), labels, delta=self.width)
        return Loss(value, {"huber": value.detach()})


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
