"""The ℓ∞ ball."""

from dataclasses import dataclass

from torch import Tensor

from .balls import Ball
from .boxes import BoxSet
from .rounding import sum_up


@dataclass(frozen=True)
class LInf(BoxSet, Ball):
    """{x̃ : ‖x̃ − x‖∞ ≤ ε, lower ≤ x̃ ≤ upper}.

    >>> LInf(8 / 255).norm
    'linf'
    """

    @property
    def norm(self) -> str:
        """Return "linf"."""
        return "linf"

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the greatest difference of a feature, rounded up."""
        one, other = candidates.double(), inputs.double()
        return sum_up(one, -other).maximum(sum_up(other, -one)).flatten(1).amax(1)
