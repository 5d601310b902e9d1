"""Which line of the user's code runs an operation or a layer, for refusals."""

import sys
from pathlib import Path
from types import FrameType

INSIDE = frozenset(
    ("torch", "spikecert", "snntorch", "spikingjelly", "norse", "nir", "numpy", "contextlib", "oracles")
)
"""Packages whose frames are passed over."""
DRIVER = "observe"
"""The function that runs modules: who called that is no part of a module."""


def place() -> str:
    """Return file and line of the innermost frame of a user's code, as "mine.py:42"; "" where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if package not in INSIDE:
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        if package == "oracles" and frame.f_code.co_name == DRIVER:
            return ""
        frame = frame.f_back
    return ""


def at(found: str) -> str:
    """Return a place in brackets behind a word, nothing for no place."""
    return f" ({found})" if found else ""
