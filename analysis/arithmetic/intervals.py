"""A closed interval that is proven to hold a real number.

Directed rounding: 50-digit decimals rounded one way, and float results that lie on the proven side.

`decimal` rounds add, subtract, multiply and divide correctly in the direction of its context, whatever the number
of digits of the operands, so a chain of monotone operations in `UP` ends above the real result. Its square
root always rounds to nearest, so `sqrt_up` takes the next decimal above.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
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


UP = Context(prec=50, rounding=ROUND_CEILING, Emin=-999_999, Emax=999_999)
DOWN = Context(prec=50, rounding=ROUND_FLOOR, Emin=-999_999, Emax=999_999)

UNIT = 2.0**-53
"""u, the unit roundoff of float64."""


def sqrt_up(value: Decimal) -> Decimal:
    """Return a decimal of at least √value; exactly 0 for 0."""
    if value == 0:
        return Decimal(0)
    return UP.next_plus(UP.sqrt(value))


def float_up(value: Decimal) -> float:
    """Return the least float that is at least `value`.

    >>> float_up(Decimal("0.1")) >= 0.1
    True
    """
    result = float(value)
    if math.isinf(result):
        return result
    return result if Decimal(result) >= value else math.nextafter(result, math.inf)


def float_down(value: Decimal) -> float:
    """Return the greatest float that is at most `value`."""
    return -float_up(-value)


def add_up(*values: float) -> float:
    """Return a float of at least the sum of nonnegative floats."""
    return float_up(_sum(values))


def multiply_up(*values: float) -> float:
    """Return a float of at least the product of nonnegative floats; 0·inf is 0."""
    if 0.0 in values:
        return 0.0
    if math.inf in values:
        return math.inf
    product = Decimal(1)
    for value in values:
        product = UP.multiply(product, Decimal(value))
    return float_up(product)


def root_up(value: float) -> float:
    """Return a float of at least √value."""
    return value if value in (0.0, math.inf) else float_up(sqrt_up(Decimal(value)))


def root_down(value: float) -> float:
    """Return a float of at most √value."""
    if value in (0.0, math.inf):
        return value
    return float_down(DOWN.next_minus(DOWN.sqrt(Decimal(value))))


def accumulated(operations: float) -> float:
    """Return an upper end of γₙ = nu/(1−nu), the relative error of n roundings.

    References: higham2002accuracy
    """
    product = operations * UNIT
    if not 0 <= product < 0.25:
        raise ValueError(f"operations: got {operations}, expected fewer than 2^51")
    return product / (1.0 - product) * (1.0 + 8.0 * UNIT)


def _sum(values: tuple[float, ...]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = UP.add(total, Decimal(value))
    return total
