"""Closed and open programs: what a floating-point solver must not decide is left to both sides, or to none.

A **closed** program holds every run of the network: equalities hold up to the run's rounding, silence means
v ≤ θ and a spike v ≥ θ, each up to the run's rounding of θ, and all of it is wider by `CLOSURE`, a hundred times
the solver's own tolerance. Its minimum is a lower bound. An **open** program keeps every potential `OPENING` and
the run's rounding away from θ, so that its solutions replay.
"""

from dataclasses import dataclass

import numpy as np

CLOSURE = 1e-6
OPENING = 1e-6


@dataclass(frozen=True)
class Closing:
    """How far the rows of a program reach.

    Args:
        closed: whether the program is closed; open otherwise.
    """

    closed: bool

    def slack(self, rounding: np.ndarray) -> np.ndarray:
        """Return how far an equality may be missed, given how far runs may miss it."""
        return rounding + CLOSURE if self.closed else np.zeros_like(rounding)

    def tie(self, rounding: np.ndarray) -> np.ndarray:
        """Return how far past its end of an interval a value may lie; below 0 if it must keep away from the end.

        The intervals' own ends are wide enough for the run's rounding already: only an open program asks for it.
        """
        return np.full_like(rounding, CLOSURE) if self.closed else -(rounding + OPENING)
