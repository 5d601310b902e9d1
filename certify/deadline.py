"""Whether the time is up: what long computations ask between their steps."""

from collections.abc import Callable

Expired = Callable[[], bool]
"""Says whether the time is up."""


def never() -> bool:
    """Return False: there is no deadline."""
    return False
