"""How long work may take: what long computations ask between their steps, and what ends those that do not.

How long work tells its caller where it is: callbacks, so that the library itself never prints.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from .constants import positive, unless_none

Expired = Callable[[], bool]
"""Says whether the time is up."""

LATE = "the time was up"
"""How reasons name a time limit."""
SHARE, GRACE = 0.05, 0.25
"""Work that goes on behind its deadline, to say what it knows, is ended after this share of its time and so many
seconds more."""

_end: ContextVar[float] = ContextVar("end", default=math.inf)


class TimeIsUp(Exception):
    """Work was ended in the middle of a step: nothing is known of what that was to find."""

    def __init__(self) -> None:
        super().__init__(f"{LATE} before a bound was there")


def never() -> bool:
    """Return False: there is no deadline."""
    return False


def checked_timeout(timeout: object) -> float | None:
    """Return None or a number of seconds as a float.

    Raises:
        TypeError, ValueError: unless it is None or a positive, finite number.
    """
    return unless_none(positive)("timeout", timeout)


def until(seconds: float | None, times: int = 1) -> float | None:
    """Return the deadline, a `time.perf_counter()`, so often so many seconds from now; None for no limit."""
    return None if seconds is None else time.perf_counter() + seconds * times


def passed(deadline: float | None) -> bool:
    """Return whether a deadline is over; None never is."""
    return deadline is not None and time.perf_counter() >= deadline


def share(deadline: float | None, parts: int = 1) -> float | None:
    """Return the seconds of each of so many parts of what is left, a millisecond at least in all, or None."""
    return None if deadline is None else max(deadline - time.perf_counter(), 1e-3) / parts


def time_left(deadline: float | None, parts: int) -> float | None:
    """Return when the next of `parts` equal shares of the time ends, or None."""
    now = time.perf_counter()
    return None if deadline is None else now + max(0.0, deadline - now) / parts


@contextmanager
def ending(deadline: float | None, grace: float | None = None) -> Iterator[None]:
    """Have what is computed within end by TimeIsUp soon after `deadline`, a `time.perf_counter()`, or None.

    It ends where it calls `check_time`: a few such calls a second are enough.
    """
    left = 0.0 if deadline is None else max(0.0, deadline - time.perf_counter())
    end = math.inf if deadline is None else deadline + SHARE * left + (GRACE if grace is None else grace)
    token = _end.set(min(end, _end.get()))
    try:
        yield
    finally:
        _end.reset(token)


def check_time() -> None:
    """Raise TimeIsUp where the work that this is part of has taken too long."""
    end = _end.get()
    if end < math.inf and time.perf_counter() >= end:
        raise TimeIsUp


def lasts(seconds: float) -> bool:
    """Return whether the work that this is part of may take so long."""
    return _end.get() - time.perf_counter() >= seconds


Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""

Figures = Callable[[str, Mapping[str, float]], None]
"""Called with (what is being done, its newest figures by name), such as the loss."""


def silent(label: str, done: int, total: int) -> None:
    """Report nothing: the default."""


def no_figures(label: str, figures: Mapping[str, float]) -> None:
    """Report nothing: the default."""
