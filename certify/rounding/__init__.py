"""How far floating-point arithmetic may stray: of one operation, of recursions, of sums, and of readouts.

Each allowance is stated, proved and computed here and nowhere else in the library; what checks proofs, and the
kernels in C, keep their own on purpose.
"""

from .readouts import integration_slack, reading_slack, vanished
from .recursion import (
    StateSlack,
    around,
    check_potential,
    filter_error,
    filtered_size,
    power_sum,
    recursion_slack,
    state_slack,
    step_error,
    tie,
)
from .sums import (
    lost_products,
    over_rows,
    over_time,
    own_error,
    product_error,
    sum_magnitude,
    sum_slack,
    weighted_slack,
    widened,
)
from .units import Rounding, above, below, euclidean

__all__ = [
    "Rounding",
    "StateSlack",
    "above",
    "around",
    "below",
    "check_potential",
    "euclidean",
    "filter_error",
    "filtered_size",
    "integration_slack",
    "lost_products",
    "over_rows",
    "over_time",
    "own_error",
    "power_sum",
    "product_error",
    "reading_slack",
    "recursion_slack",
    "state_slack",
    "step_error",
    "sum_magnitude",
    "sum_slack",
    "tie",
    "vanished",
    "weighted_slack",
    "widened",
]
