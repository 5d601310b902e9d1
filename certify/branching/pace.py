"""How many nodes to bound at once where there is a deadline: no more than fit into what is left of the time."""

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
    """

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._each: float | None = None

    def fits(self, wanted: int) -> int:
        """Return how many of the `wanted` nodes to take next, at least `LEAST`."""
        if self._deadline is None:
            return wanted
        if self._each is None:
            return min(wanted, FIRST)
        left = max(0.0, self._deadline - time.perf_counter())
        return int(max(float(LEAST), min(float(wanted), SHARE * left / max(self._each, 1e-9))))

    @property
    def late(self) -> bool:
        """Return whether the least batch would take more time than is left."""
        if self._deadline is None or self._each is None:
            return False
        return LEAST * self._each > self._deadline - time.perf_counter()

    def note(self, nodes: int, seconds: float) -> None:
        """Note what so many nodes took; the slower of the last two batches counts."""
        each, before = seconds / max(nodes, 1), self._each
        self._each = each if before is None else max(each, 0.5 * before)
