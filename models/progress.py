"""How long work tells its caller where it is: callbacks, so that the library itself never prints."""

from collections.abc import Callable, Mapping

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""

Figures = Callable[[str, Mapping[str, float]], None]
"""Called with (what is being done, its newest figures by name), such as the loss."""


def silent(label: str, done: int, total: int) -> None:
    """Report nothing: the default."""


def no_figures(label: str, figures: Mapping[str, float]) -> None:
    """Report nothing: the default."""
