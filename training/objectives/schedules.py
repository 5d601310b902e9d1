"""Weights that change over a run: accepted wherever an objective takes a weight or an ε."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial

from ...models.constants import real, settle


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
