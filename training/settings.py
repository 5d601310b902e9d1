"""The settings of a training run, checked, with the tables of optimisers and learning-rate schedules."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ..models.chips import ChipWeights
from ..models.constants import at_least, nonnegative, positive, real, settle, unless_none
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .augmenting.augmentation import Augmentation
from .augmenting.event_augmentation import EventAugmentation
from .retraction import Retraction
from .starts.local_fields import LocalFields


@dataclass(frozen=True)
class Settings:
    """How a network is trained: all that decides what comes out besides network, data and objective.

    Attributes:
        epochs: passes over the train split.
        batch_size: the most samples a step; an epoch's batches are of nearly equal size.
        learning_rate: at the start; default .1 for "sgd", .001 for "adam".
        optimizer: "sgd" (with momentum) or "adam" (weight decay decoupled).
        momentum: of "sgd".
        weight_decay: of all parameters.
        schedule: "cosine" (to zero over the run, step by step), "cosine-epochs" (one rate through an epoch, as the
            paper's authors have it), "held-cosine" (held over the first 60 % of the run, then to zero) or
            "constant".
        seed: of the order of the samples, of the perturbations and of the augmentation.
        augmentation: what is done to each batch before the objective sees it: `Augmentation()` of images,
            `EventAugmentation()` of recordings.
        after_step: what is done to the weights after each step, such as `Retraction(beta)` or `LocalFields()`.
        precision: "full" (the network's own), or "bfloat16" for matrix products and convolutions in training
            (membranes stay in float32, validation in full).
        steps_at_once: keep the activations of so many steps, not of all T, and run each part again in the backward
            pass: memory for time. Passes that need all currents (MS-MPPD with ρ > 0) don't get smaller.
        accumulate: work on each batch in so many parts, one after another, whose gradients add up to those of the
            whole but for rounding: less memory. Batch norm and rate codes, which need the whole, are refused.
        through: `ChipWeights(target, bits)`: losses, gradients and validation are of the values that a chip holds
            in the place of weights and biases; None: of the weights themselves.

    Raises:
        ValueError, TypeError: for a setting out of range.

    >>> Settings(optimizer="adam").rate
    0.001
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float | None = None
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    seed: int = 0
    augmentation: Augmentation | EventAugmentation | None = None
    after_step: Retraction | LocalFields | None = None
    precision: str = "full"
    steps_at_once: int | None = None
    accumulate: int = 1
    through: ChipWeights | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(1), "epochs", "batch_size", "accumulate")
        settle(self, unless_none(positive), "learning_rate")
        settle(self, nonnegative, "weight_decay")
        settle(self, unless_none(at_least(1)), "steps_at_once")
        settle(self, at_least(0), "seed")
        settle(self, real, "momentum")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum: got {self.momentum!r}, expected a number in [0, 1)")
        if self.through is not None and type(self.through) is not ChipWeights:
            raise TypeError(f"through: got {type(self.through).__name__}, expected ChipWeights or None")
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)

    @property
    def rate(self) -> float:
        """Return the learning rate at the start."""
        return OPTIMIZERS[self.optimizer].learning_rate if self.learning_rate is None else self.learning_rate


def _sgd(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def _adam(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)


@dataclass(frozen=True)
class _OptimizerKind:
    make: Callable[[nn.Module, Settings], torch.optim.Optimizer]
    learning_rate: float


PRECISIONS = ("full", "bfloat16")

HELD = 0.6
"""The share of a run over which "held-cosine" keeps the learning rate."""

OPTIMIZERS: dict[str, _OptimizerKind] = {
    "sgd": _OptimizerKind(_sgd, learning_rate=0.1),
    "adam": _OptimizerKind(_adam, learning_rate=1e-3),
}

SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "cosine": lambda done, steps, epochs: _cosine(done / (steps * epochs)),
    "cosine-epochs": lambda done, steps, epochs: _cosine(done // steps / epochs),
    "held-cosine": lambda done, steps, epochs: _cosine(max(0.0, done / (steps * epochs) - HELD) / (1.0 - HELD)),
    "constant": lambda done, steps, epochs: 1.0,
}
"""From the steps done, the steps of an epoch and the epochs to the factor of the learning rate."""


def _cosine(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))


@contextmanager
def weights_of(network: SpikingNetwork, settings: Settings) -> Iterator[None]:
    """Give `network` the weights that losses are of, for a while."""
    if settings.through is None:
        yield
        return
    with settings.through.of(network):
        yield


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters of `network`."""
    return OPTIMIZERS[settings.optimizer].make(network, settings)
