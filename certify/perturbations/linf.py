"""The ℓ∞ ball."""

from dataclasses import dataclass

from .balls import Ball
from .boxes import BoxSet


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
