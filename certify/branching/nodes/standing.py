"""How a search stands, as figures for people who wait."""

import time
from collections.abc import Callable, Mapping

from .frontier import Frontier

Told = Callable[[Mapping[str, float]], None]
"""Called with the newest figures by name."""


def unheard(figures: Mapping[str, float]) -> None:
    """Tell nobody: the default."""


def standing(frontier: Frontier, deadline: float | None, batches: int) -> dict[str, float]:
    """Return the least bound, nodes so far, open ones, their depth, memory, and what is left of the time.

    Args:
        frontier: whose last `note` is told.
        deadline: `time.perf_counter()` at which the search stops; without one nobody knows how long it takes.
        batches: bytes of the batches that are bounded at once.
    """
    known = frontier.known
    found = {
        "bound": float(known.bound.min()),
        "nodes": float(known.nodes.sum()),
        "open": float(len(frontier.pool) + len(frontier.waiting) + sum(map(len, frontier.flying))),
        "depth": float(frontier.pool.deepest),
        "memory": float(frontier.pool.bytes + batches),
    }
    left = {} if deadline is None else {"left": max(0.0, deadline - time.perf_counter())}
    return found | left
