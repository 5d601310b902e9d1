"""Sets of values: a box per sample, optionally cut with a Euclidean ball and with a budget of changed events."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..events.budgets import Budget


@dataclass(frozen=True)
class Box:
    """{x : lower ≤ x ≤ upper}, and ‖x − center‖₂ ≤ ball per sample where a ball is given, and at most so
    many changes of the events `center` where a budget is given.

    Attributes:
        lower, upper: (batch, ...) or (rows, batch, ...).
        center: the ball's center, with the shape of `lower`, or None.
        ball: its radius, one number or (rows,), or None.
        budget: of changes, or None; it needs a center, the events (or what the rows make of them).
    """

    lower: Tensor
    upper: Tensor
    center: Tensor | None = None
    ball: Tensor | None = None
    budget: Budget | None = None

    def __getitem__(self, row: int) -> "Box":
        """Return the box of one row, without its ball and its budget."""
        return Box(self.lower[row], self.upper[row])

    @property
    def middle(self) -> Tensor:
        """Return (lower + upper)/2."""
        return (self.lower + self.upper).mul_(0.5)

    @property
    def radius(self) -> Tensor:
        """Return (upper − lower)/2."""
        return (self.upper - self.lower).mul_(0.5)

    @property
    def spread(self) -> "Spread":
        """Return middle and radius."""
        return Spread(self.middle, self.radius)

    @property
    def magnitude(self) -> Tensor:
        """Return max |x| over the box."""
        return self.upper.maximum(-self.lower)

    def outward(self, dtype: torch.dtype) -> "Box":
        """Return a box in `dtype`, float32 or float64, that holds this one; ball and budget are left out.

        Each end rounds to x̂ with |x̂ − x| ≤ u·|x| + 2^−150, and moves out by 4u·|x̂| + 2^−100, which pays for that
        and for the rounding of the move itself. No end becomes subnormal, which products would be slow with.

        >>> box = Box(torch.tensor([0.1], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64))
        >>> bool((box.outward(torch.float32).lower < box.lower) & (box.outward(torch.float32).upper > box.upper))
        True
        """
        lower, upper = self.lower.to(dtype), self.upper.to(dtype)
        return Box(lower - _step(lower), upper + _step(upper))

    def scaled(self, factors: Tensor) -> "Box":
        """Return the box of factors[k]·x for each k: (batch, ...) → (k, batch, ...)."""
        factors = factors.reshape(-1, *([1] * self.lower.dim()))
        one, other = factors * self.lower, factors * self.upper
        return Box(one.minimum(other), one.maximum(other))

    def combined(self, rows: Tensor) -> "Box":
        """Return the box of Σ_t rows[k,t]·x[t] for independent x[t], (k, ...), in the dtype of `rows`."""
        positive, negative = rows.clamp_min(0), rows.clamp_max(0)
        low, high = self.lower.to(rows.dtype), self.upper.to(rows.dtype)
        lower = torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)
        upper = torch.tensordot(positive, high, 1) + torch.tensordot(negative, low, 1)
        return Box(lower, upper)

    def intersection(self, other: "Box") -> "Box":
        """Return the box of what lies in both; empty where an end passes the other."""
        return Box(self.lower.maximum(other.lower), self.upper.minimum(other.upper))

    def __add__(self, other: "Box") -> "Box":
        """Return the box of x + y for independent x and y."""
        return Box(self.lower + other.lower, self.upper + other.upper)


@dataclass(frozen=True)
class Spread:
    """{x : |x − middle| ≤ radius}: a box as its products with W and |W| want it.

    Made from a box, middle and radius carry one rounding each, which the affine layer pays for (see intervals.py).

    Attributes:
        middle, radius: (rows, batch, ...).
    """

    middle: Tensor
    radius: Tensor

    @property
    def box(self) -> Box:
        """Return the ends, each with one rounding."""
        return Box(self.middle - self.radius, self.middle + self.radius)


def _step(ends: Tensor) -> Tensor:
    return ends.abs().mul_(2 * torch.finfo(ends.dtype).eps).add_(2.0**-100)
