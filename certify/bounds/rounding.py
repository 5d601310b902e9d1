"""How far floating-point arithmetic may stray: what makes a verdict hold for the network as it runs.

With unit roundoff u, a dot product of n terms computed in any order of summation, with or without fused
multiply-add, errs by at most γ_n·Σ|w||x|, γ_n = n·u/(1 − n·u) (Higham, 2002, section 3.1). Each bound is
computed in float64 and widened by that error twice over: once for the network's run in its own dtype, and
four times for float64's own rounding in the bound.
"""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rounding:
    """The floating-point type that a network runs in, as constants of the error analysis."""

    dtype: torch.dtype

    @property
    def unit(self) -> float:
        """Return u_run + 4·u_64: the relative error of one operation, in the run and in the bound."""
        return torch.finfo(self.dtype).eps / 2 + 4 * torch.finfo(torch.float64).eps / 2

    @property
    def smallest(self) -> float:
        """Return an absolute error that covers underflow of one step, flushing to zero included."""
        return 8 * torch.finfo(self.dtype).tiny

    @property
    def largest(self) -> float:
        """Return the magnitude above which the run may overflow."""
        return torch.finfo(self.dtype).max / 8

    def gamma(self, terms: int) -> float:
        """Return γ_terms for the run and the bound together.

        Raises:
            OverflowError: where terms·u ≥ 1/2: nothing can be said of so long a sum.
        """
        product = (terms + 2) * self.unit
        if product >= 0.5:
            raise OverflowError(f"terms: a sum of {terms} terms in {self.dtype} has no useful error bound")
        return product / (1.0 - product)


def above(value: float) -> float:
    """Return `value` moved up by four units in the last place."""
    return value + 4 * math.ulp(value)


def below(value: float) -> float:
    """Return `value` moved down by four units in the last place."""
    return value - 4 * math.ulp(value)
