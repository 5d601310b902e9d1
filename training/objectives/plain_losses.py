"""Losses of the clean inputs: cross-entropy, squared errors and Huber's.

What an objective carries from step to step: warm-started vectors, for each network that it trains.

Whether the one-sided gradient of L_MS points where L_MS falls, and how large the currents have become.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, huber_loss, mse_loss

from ...models.constants import positive, settle
from ...models.networks import SpikingNetwork
from .base import Loss, Objective
from .ms_mppd import MSMPPD, firing_layers


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


class Memory:
    """Named tensors for each network, forgotten with it; a copy or a pickle starts empty."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[SpikingNetwork, dict[str, Tensor]] = WeakKeyDictionary()

    def of(self, network: SpikingNetwork) -> dict[str, Tensor]:
        """Return the tensors kept for `network`, to be read and changed."""
        return self._kept.setdefault(network, {})

    def __reduce__(self) -> tuple[type["Memory"], tuple[()]]:
        """Return how to make an empty one."""
        return (Memory, ())


@dataclass(frozen=True)
class Remembering(Objective):
    """An objective with vectors that `fit` keeps in its checkpoints; they are no part of what the objective is."""

    memory: Memory = field(default_factory=Memory, kw_only=True, repr=False, compare=False)

    def remembered(self, network: SpikingNetwork) -> Mapping[str, Tensor]:
        """Return the tensors kept for `network`."""
        return self.memory.of(network)

    def remember(self, network: SpikingNetwork, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `remembered` returned in an earlier run."""
        self.memory.of(network).update(tensors)


def alignment(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    objective: MSMPPD,
    generator: torch.Generator | None = None,
) -> float | None:
    """Return the cosine between the gradient that training follows and the true gradient of L_MS.

    Training holds the clean current fixed (stopgrad); the true gradient lets it move too (`two_sided`). Where the
    cosine is below 0, a small step down the one raises L_MS. Both are over all parameters, in training mode.

    Args:
        network: stays as it is, the statistics of its batch norms included.
        inputs, labels: the batch.
        objective: its perturbation, norm, layers and batch statistics are taken.
        generator: of the perturbation.

    Returns:
        The cosine, or None where a gradient is 0.
    """
    trained = copy.deepcopy(network).train()
    perturbed = objective.perturbation(trained, inputs, labels, generator)
    sides = [replace(objective, rho=1.0, two_sided=two_sided) for two_sided in (False, True)]
    one, true = (_gradient(trained, side.stability(trained, inputs, perturbed)) for side in sides)
    size = float(one.norm()) * float(true.norm())
    return float(one @ true) / size if size > 0 else None


def _gradient(network: SpikingNetwork, value: Tensor) -> Tensor:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.double().flatten() for gradient in found])


def rms_current(network: SpikingNetwork, inputs: Tensor) -> float:
    """Return √(mean I²) of the last layer that fires, over time, samples and neurons, in its present mode."""
    place = len(firing_layers(network)) - 1
    with torch.no_grad():
        currents, _ = network.currents(inputs)
    return float(currents[place].double().square().mean().sqrt())
