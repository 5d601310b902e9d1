"""Sets of values: a box per sample, optionally cut with a Euclidean ball and with a budget of flips."""

from dataclasses import dataclass

from torch import Tensor

from .flips import Flips


@dataclass(frozen=True)
class Box:
    """{x : lower ≤ x ≤ upper}, and ‖x − center‖₂ ≤ ball per sample where a ball is given, and at most so many
    flips from the events `center` where a budget is given.

    Attributes:
        lower, upper: float64, (batch, ...) or (rows, batch, ...).
        center: the ball's center, with the shape of `lower`, or None.
        ball: its radius, one number or (rows,), or None.
        flips: the budget, or None; it needs a center, the events (or what the rows make of them).
    """

    lower: Tensor
    upper: Tensor
    center: Tensor | None = None
    ball: Tensor | None = None
    flips: Flips | None = None

    def __getitem__(self, row: int) -> "Box":
        """Return the box of one row, without its ball and its budget."""
        return Box(self.lower[row], self.upper[row])

    @property
    def middle(self) -> Tensor:
        """Return (lower + upper)/2."""
        return (self.lower + self.upper) * 0.5

    @property
    def radius(self) -> Tensor:
        """Return (upper − lower)/2."""
        return (self.upper - self.lower) * 0.5

    @property
    def magnitude(self) -> Tensor:
        """Return max |x| over the box."""
        return self.lower.abs().maximum(self.upper.abs())

    def scaled(self, factors: Tensor) -> "Box":
        """Return the box of factors[k]·x for each k: (batch, ...) → (k, batch, ...)."""
        factors = factors.reshape(-1, *([1] * self.lower.dim()))
        one, other = factors * self.lower, factors * self.upper
        return Box(one.minimum(other), one.maximum(other))

    def intersection(self, other: "Box") -> "Box":
        """Return the box of what lies in both; empty where an end passes the other."""
        return Box(self.lower.maximum(other.lower), self.upper.minimum(other.upper))

    def __add__(self, other: "Box") -> "Box":
        """Return the box of x + y for independent x and y."""
        return Box(self.lower + other.lower, self.upper + other.upper)
