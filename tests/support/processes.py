"""Which processes there are, as Linux tells it."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def _alive() -> Iterator[tuple[int, int]]:
    """Yield each living process and its parent; one that has ended and was not asked for yet is not living."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has ended since
            continue
        if state not in "ZX":
            yield int(place.name), int(parent)


def children() -> list[int]:
    """Return the processes that this one started and that are alive."""
    return [pid for pid, parent in _alive() if parent == os.getpid()]


def marked(mark: str) -> list[int]:
    """Return the living processes that have `mark`, as "NAME=value", in their environment."""
    return [pid for pid, _ in _alive() if mark.encode() in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def soon(holds: Callable[[], bool], seconds: float) -> bool:
    """Return whether something holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
