"""How many nodes, or samples, to bound at once where there is a deadline: as many as fit into the time left."""

import time

FIRST = 32
"""Nodes of the first batch: what a node takes is not known yet."""
LEAST = 2
"""Nodes of a batch: both children of one."""
SHARE = 0.5
"""Of the time that is left, what the next batch may take: nodes differ."""


class Pace:
    """What a node took so far.

    Args:
        deadline: `time.perf_counter()` at which to stop, or None.
        first, least: how many are in the first batch, and at least in others.
    """

    def __init__(self, deadline: float | None, first: int = FIRST, least: int = LEAST) -> None:
        self._deadline, self._first, self._least = deadline, first, least
        self._each: float | None = None

    def fits(self, wanted: int) -> int:
        """Return how many of the `wanted` nodes to take next, at least `least`."""
        if self._deadline is None:
            return wanted
        if self._each is None:
            return min(wanted, self._first)
        left = max(0.0, self._deadline - time.perf_counter())
        return min(wanted, max(self._least, int(SHARE * left / max(self._each, 1e-9))))

    @property
    def late(self) -> bool:
        """Return whether the least batch would take more time than is left."""
        if self._deadline is None or self._each is None:
            return False
        return self._least * self._each > self._deadline - time.perf_counter()

    def note(self, nodes: int, seconds: float) -> None:
        """Note what so many nodes took; the slower of the last two batches counts."""
        each, before = seconds / max(nodes, 1), self._each
        self._each = each if before is None else max(each, 0.5 * before)
