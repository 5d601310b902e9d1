"""Whether the time is up: what long computations ask between their steps."""

import time
from collections.abc import Callable

Expired = Callable[[], bool]
"""Says whether the time is up."""


def never() -> bool:
    """Return False: there is no deadline."""
    return False


def time_left(deadline: float | None, parts: int) -> float | None:
    """Return when the next of `parts` equal shares of the time ends, or None."""
    now = time.perf_counter()
    return None if deadline is None else now + max(0.0, deadline - now) / parts
