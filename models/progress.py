"""How long work tells its caller where it is: a callback, so that the library itself never prints."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""


def silent(label: str, done: int, total: int) -> None:
    """Report nothing: the default."""
