"""What a readout's arithmetic may stray by.

A mean over time of a sum that is bounded already is one division, and its ends a few sums: 16u·|z| cover them. Of
potentials the run's recursion takes 2T + 2 roundings, powers of λ rounded to its dtype T more, and a sum over time
T more: γ_{4T+8}·Σ|row|·max|x|, and what underflows, at most T times in each of T potentials. A maximum never
rounds.
"""

from typing import TypeVar

from torch import Tensor

from .sums import weighted_slack
from .units import Rounding

Number = TypeVar("Number", float, Tensor)


def reading_slack(magnitude: Number, rounding: Rounding) -> Number:
    """Return 16u·|z|, what reading a sum over time adds to each end."""
    return 16 * rounding.unit * magnitude


def integration_slack(magnitude: Tensor, weight: Tensor | float, num_steps: int, rounding: Rounding) -> Tensor:
    """Return how far the run's potentials, or their sum, may be from the sums of its own x, Σ|row| = `weight`."""
    return weighted_slack(magnitude * weight, num_steps, rounding) + vanished(num_steps, rounding)


def vanished(num_steps: int, rounding: Rounding) -> float:
    """Return what underflows in T potentials of up to T terms."""
    return rounding.smallest * num_steps**2
