"""What an objective is: a loss with named terms; objectives add up.

Weights that change over a run: accepted wherever an objective takes a weight or an ε.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import partial
from numbers import Real
from typing import ClassVar, Self

import torch
from torch import Tensor

from ...models.constants import real, settle
from ...models.networks import SpikingNetwork
from ..data import Split
from ..evaluation import CertifiedErrors, accuracy
from ..perturbations import Perturber


@dataclass(frozen=True)
class Schedule(ABC):
    """A number for each moment of a run."""

    @abstractmethod
    def at(self, progress: float) -> float:
        """Return the number when the share `progress`, in [0, 1], of the run is done."""

    @property
    @abstractmethod
    def ends(self) -> tuple[float, float]:
        """Return the least and the greatest number of the whole run."""


@dataclass(frozen=True)
class Ramp(Schedule):
    """`start` up to the share `begin` of the run, `stop` from the share `end` on, a straight line between.

    Args:
        start, stop: finite numbers.
        begin, end: 0 ≤ begin ≤ end ≤ 1.

    Raises:
        ValueError: for numbers outside these ranges.

    >>> Ramp(0.0, 1.0, end=0.5).at(0.25)
    0.5
    """

    start: float
    stop: float
    begin: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        settle(self, real, "start", "stop", "begin", "end")
        if not 0.0 <= self.begin <= self.end <= 1.0:
            raise ValueError(f"begin: got {self.begin!r} with end {self.end!r}, expected 0 ≤ begin ≤ end ≤ 1")

    def at(self, progress: float) -> float:
        """Return the number of that moment."""
        if progress >= self.end:
            return self.stop
        risen = max(0.0, progress - self.begin) / (self.end - self.begin) if progress > self.begin else 0.0
        return self.start + risen * (self.stop - self.start)

    @property
    def ends(self) -> tuple[float, float]:
        """Return start and stop in order."""
        return (min(self.start, self.stop), max(self.start, self.stop))


Weight = float | Schedule
"""A number, or one that changes over the run."""


def rising(weight: Weight, ramp: float) -> Schedule:
    """Return the schedule itself, or one that brings a number up from 0 over the first `ramp` of the run."""
    return weight if isinstance(weight, Schedule) else Ramp(0.0, weight, end=ramp)


def full(weight: Weight) -> float:
    """Return the number, or that of the end of the run."""
    return weight.at(1.0) if isinstance(weight, Schedule) else weight


def peak(weight: Weight) -> float:
    """Return the number, or the greatest of the run."""
    return weight.ends[1] if isinstance(weight, Schedule) else weight


def as_weight(name: str, value: object, most: float = math.inf) -> Weight:
    """Return a schedule as it is and a number as a Python float.

    Raises:
        TypeError: for what is neither.
        ValueError: for a number outside [0, most], or a schedule that leaves it.
    """
    weight = value if isinstance(value, Schedule) else _number(name, value)
    least, greatest = weight.ends if isinstance(weight, Schedule) else (weight, weight)
    if not (math.isfinite(greatest) and least >= 0.0 and greatest <= most):
        expected = "a finite number of at least 0" if most == math.inf else f"a number in [0, {most:g}]"
        raise ValueError(f"{name}: got {weight!r}, expected {expected}")
    return weight


as_share = partial(as_weight, most=1.0)
"""`as_weight` within [0, 1]."""


def _number(name: str, value: object) -> float:
    try:
        return real(name, value, finite=False)
    except TypeError as error:
        raise TypeError(f"{error} or a schedule such as Ramp(0, 1)") from None


@dataclass(frozen=True)
class Loss:
    """The loss of one batch, to be differentiated, and its named terms, detached and without weights."""

    total: Tensor
    terms: Mapping[str, Tensor]


@dataclass(frozen=True)
class Objective(ABC):
    """What training minimises. A subclass writes `loss`, and names its perturbation if it has one."""

    targets: ClassVar[str] = "classes"
    """What its labels are: "classes", "numbers", or "any" where it asks none."""

    __array_ufunc__ = None  # a numpy number times an objective asks the objective

    @abstractmethod
    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss of one batch.

        Args:
            network: in training mode or not, as the caller set it; the mode is kept.
            inputs: (batch, ...).
            labels: (batch,).
            generator: the source of all randomness.
        """

    @property
    def attack(self) -> Perturber | None:
        """Return the perturbation under which this objective trains, or None."""
        return None

    def at(self, progress: float) -> Self:
        """Return the objective of the moment at which the share `progress`, in [0, 1), of the run is done.

        Each field that holds a schedule gets its number; a loss asked for without this takes those of the end.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        present = {name: value.at(progress) for name, value in values.items() if isinstance(value, Schedule)}
        return replace(self, **present) if present else self

    def remembered(self, network: SpikingNetwork) -> Mapping[str, Tensor]:
        """Return what this objective carries from step to step for `network`: a checkpoint must hold it."""
        return {}

    def remember(self, network: SpikingNetwork, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `remembered` returned in an earlier run."""
        if tensors:
            raise ValueError(f"tensors: got {', '.join(tensors)}, expected none: this objective carries nothing")

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float | None:
        """Return what runs are picked by: the accuracy on `split` under `attack`, or None without an attack."""
        return None if self.attack is None else accuracy(network, split, self.attack, seed)

    def certified_errors(self, network: SpikingNetwork, split: Split, seed: int) -> CertifiedErrors | None:
        """Return what is proven of errors on `split`, for real targets; None where nothing is."""
        return None

    def __add__(self, other: "Objective") -> "Objective":
        """Return the objective whose loss is the sum of both."""
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum((*parts(self), *parts(other)))

    def __rmul__(self, weight: Weight) -> "Objective":
        """Return the objective with its loss times `weight`, a number of at least 0 or a schedule."""
        known = isinstance(weight, Schedule | Real | Decimal | Tensor)
        return Scaled(weight, self) if known else NotImplemented  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Sum(Objective):
    """The sum of several objectives, made by `+`. A term whose name is taken gets a number."""

    objectives: tuple[Objective, ...]

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the sum of the losses, each part drawing from `generator` in turn."""
        losses = [part.loss(network, inputs, labels, generator) for part in self.objectives]
        terms: dict[str, Tensor] = {}
        for loss in losses:
            for name, value in loss.terms.items():
                terms[_free(name, terms)] = value
        return Loss(torch.stack([loss.total for loss in losses]).sum(), terms)

    @property
    def attack(self) -> Perturber | None:
        """Return the first perturbation among the parts."""
        return next((part.attack for part in self.objectives if part.attack is not None), None)

    def at(self, progress: float) -> Self:
        """Return the sum of the parts as they are at that moment."""
        return replace(self, objectives=tuple(part.at(progress) for part in self.objectives))

    def remembered(self, network: SpikingNetwork) -> Mapping[str, Tensor]:
        """Return what the parts carry, named after their places."""
        kept = [part.remembered(network) for part in self.objectives]
        return {f"{k}.{name}": tensor for k, own in enumerate(kept) for name, tensor in own.items()}

    def remember(self, network: SpikingNetwork, tensors: Mapping[str, Tensor]) -> None:
        """Give each part what is its own."""
        for k, part in enumerate(self.objectives):
            own = {name.partition(".")[2]: t for name, t in tensors.items() if name.partition(".")[0] == str(k)}
            part.remember(network, own)

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float | None:
        """Return that of the last part that has one."""
        found = (part.robust_accuracy(network, split, seed) for part in reversed(self.objectives))
        return next((share for share in found if share is not None), None)

    def certified_errors(self, network: SpikingNetwork, split: Split, seed: int) -> CertifiedErrors | None:
        """Return that of the last part that has one."""
        found = (part.certified_errors(network, split, seed) for part in reversed(self.objectives))
        return next((errors for errors in found if errors is not None), None)


@dataclass(frozen=True)
class Scaled(Objective):
    """A weight times an objective, made by `*`; the terms stay without it.

    >>> from spikecert.training import CrossEntropy
    >>> (0.5 * CrossEntropy()).weight
    0.5
    """

    weight: Weight
    objective: Objective

    def __post_init__(self) -> None:
        settle(self, as_weight, "weight")

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the weighted loss with the objective's terms."""
        loss = self.objective.loss(network, inputs, labels, generator)
        return Loss(full(self.weight) * loss.total, loss.terms)

    @property
    def attack(self) -> Perturber | None:
        """Return that of the objective."""
        return self.objective.attack

    def at(self, progress: float) -> Self:
        """Return weight and objective as they are at that moment."""
        weight = self.weight.at(progress) if isinstance(self.weight, Schedule) else self.weight
        return replace(self, weight=weight, objective=self.objective.at(progress))

    def remembered(self, network: SpikingNetwork) -> Mapping[str, Tensor]:
        """Return what the objective carries."""
        return self.objective.remembered(network)

    def remember(self, network: SpikingNetwork, tensors: Mapping[str, Tensor]) -> None:
        """Give it to the objective."""
        self.objective.remember(network, tensors)

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float | None:
        """Return that of the objective."""
        return self.objective.robust_accuracy(network, split, seed)

    def certified_errors(self, network: SpikingNetwork, split: Split, seed: int) -> CertifiedErrors | None:
        """Return that of the objective."""
        return self.objective.certified_errors(network, split, seed)


def parts(objective: Objective) -> tuple[Objective, ...]:
    """Return the summands of `objective`, itself if it is no sum."""
    return objective.objectives if isinstance(objective, Sum) else (objective,)


def _free(name: str, taken: Mapping[str, Tensor]) -> str:
    numbered = (f"{name}_{k}" for k in range(2, len(taken) + 3))
    return next(candidate for candidate in (name, *numbered) if candidate not in taken)
