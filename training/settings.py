"""The settings of a training run, checked, with the tables of optimisers and learning-rate schedules."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..models.constants import at_least, nonnegative, positive, real, settle, unless_none
from ..models.validation import check_choice
from .augmenting.augmentation import Augmentation
from .augmenting.event_augmentation import EventAugmentation
from .retraction import Retraction
from .starts.local_fields import LocalFields


@dataclass(frozen=True)
class Settings:
    """Everything that `fit` is told besides network, data and objective; see there."""

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    momentum: float
    weight_decay: float
    schedule: str
    seed: int
    augmentation: Augmentation | EventAugmentation | None = None
    after_step: Retraction | LocalFields | None = None
    precision: str = "full"
    steps_at_once: int | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        settle(self, at_least(1), "epochs", "batch_size", "accumulate")
        settle(self, positive, "learning_rate")
        settle(self, nonnegative, "weight_decay")
        settle(self, unless_none(at_least(1)), "steps_at_once")
        settle(self, at_least(0), "seed")
        settle(self, real, "momentum")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum: got {self.momentum!r}, expected a number in [0, 1)")
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)


def _sgd(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def _adam(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)


@dataclass(frozen=True)
class _OptimizerKind:
    make: Callable[[nn.Module, Settings], torch.optim.Optimizer]
    learning_rate: float


PRECISIONS = ("full", "bfloat16")

OPTIMIZERS: dict[str, _OptimizerKind] = {
    "sgd": _OptimizerKind(_sgd, learning_rate=0.1),
    "adam": _OptimizerKind(_adam, learning_rate=1e-3),
}

SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "cosine": lambda done, steps, epochs: _cosine(done / (steps * epochs)),
    "cosine-epochs": lambda done, steps, epochs: _cosine(done // steps / epochs),
    "constant": lambda done, steps, epochs: 1.0,
}
"""From the steps done, the steps of an epoch and the epochs to the factor of the learning rate."""


def _cosine(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))


def default_learning_rate(optimizer: str) -> float:
    """Return the learning rate that an optimiser starts from when none is given.

    Raises:
        ValueError: for an unknown optimiser.
    """
    check_choice("optimizer", optimizer, OPTIMIZERS)
    return OPTIMIZERS[optimizer].learning_rate


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters of `network`."""
    return OPTIMIZERS[settings.optimizer].make(network, settings)
