"""What a training perturbation is: a rule that moves inputs, seeded, and leaves the network as it was."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ...models.constants import real, settle
from ...models.networks import SpikingNetwork
from ..generators import draw_like


@dataclass(frozen=True)
class Perturber(ABC):
    """A rule x ↦ x̃ that training applies to its inputs. A subclass writes only `perturb`."""

    def __call__(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return perturbed inputs, detached; the network's modes and gradients stay as they were.

        Args:
            network: the network under training; evaluation mode holds while it is attacked.
            inputs: (batch, ...).
            labels: (batch,).
            generator: the source of all randomness, on any device, or None for torch's global one.
        """
        with evaluation_mode(network):
            return self.perturb(network, inputs, labels, generator).detach()

    @abstractmethod
    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return the perturbed inputs; called with `network` in evaluation mode."""


@contextmanager
def evaluation_mode(network: SpikingNetwork) -> Iterator[None]:
    """Hold every module of `network` in evaluation mode, and give each its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def noise_like(inputs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal noise, drawn as `draw_like` does."""
    return draw_like(torch.randn, inputs, generator)


def uniform_like(inputs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return uniform noise in [−1, 1), drawn as `draw_like` does."""
    return draw_like(torch.rand, inputs, generator).mul_(2.0).sub_(1.0)


class _Ranged(Protocol):
    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...


def settle_range(owner: _Ranged) -> None:
    """Convert both ends of a range to floats, ±inf among them; raise unless they are numbers, lower < upper."""
    settle(owner, partial(real, finite=False), "lower", "upper")
    if not owner.lower < owner.upper:
        raise ValueError(f"lower: got {owner.lower!r} with upper {owner.upper!r}, expected lower < upper")
