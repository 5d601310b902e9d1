"""Balls of one radius in some norm."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ...models.constants import nonnegative, settle
from .ranged import RangedSet, settle_range


@dataclass(frozen=True)
class Ball(RangedSet):
    """All inputs within `epsilon` of a sample, in some norm, that also lie in [lower, upper].

    Args:
        epsilon: the radius ε ≥ 0, in the units of the inputs; one number (`PixelBox` takes one per feature).
        lower, upper: the range of valid inputs.

    Raises:
        TypeError: for anything but numbers.
        ValueError: for ε < 0, NaN, inf or numbers beyond float64, or lower > upper.
    """

    epsilon: float
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, nonnegative, "epsilon")
        settle_range(self)

    @property
    def extent(self) -> float:
        """Return ε."""
        return self.epsilon

    @abstractmethod
    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return, per sample, the least float64 ε whose ball holds the candidate, (batch,); exactly."""
