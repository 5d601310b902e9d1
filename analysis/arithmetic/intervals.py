"""A closed interval that is proven to hold a real number."""

import math
from dataclasses import dataclass
from functools import partial

from ...models.constants import real, settle


@dataclass(frozen=True)
class Interval:
    """Two floats with lower ≤ x ≤ upper for the real number x that the interval is about.

    Args:
        lower: a proven lower end.
        upper: a proven upper end; inf where there is none.

    Raises:
        ValueError: for NaN, or ends in the wrong order.

    >>> Interval(1.0, 2.0).contains(1.5)
    True
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "lower", "upper")
        if not self.lower <= self.upper:
            raise ValueError(f"upper: got {self.upper!r}, expected a number of at least lower = {self.lower!r}")

    @property
    def width(self) -> float:
        """Return upper − lower."""
        return 0.0 if self.lower == self.upper else self.upper - self.lower

    @property
    def relative_width(self) -> float:
        """Return (upper − lower) / upper, 0 for the interval [0, 0]."""
        if self.width == 0.0:
            return 0.0
        return self.width / self.upper if math.isfinite(self.upper) else math.inf

    def contains(self, value: float) -> bool:
        """Return whether lower ≤ value ≤ upper."""
        return self.lower <= value <= self.upper
