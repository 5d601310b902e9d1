"""Tubes: in which boxes a loop is after 0, 1, 2, … steps, from a box of starts, n ≤ 3.

States lie in cells of a lattice, k·size to (k + 1)·size along each state. R_0 are the cells that meet the starts,
and R_{k+1} those that meet the image of a cell of R_k: the next state of one in a cell is in that cell's image, so
the state after k steps is in a cell of R_k, and, for k > 0, within the hull of the images of R_{k−1}.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .sampled import NEAR, SampledLoop

MOST_CELLS = 2**20
"""Of one step."""
FARTHEST = 2**20
"""Cells from 0."""


@dataclass(frozen=True, eq=False)
class Tube:
    """Where a loop is step by step.

    Attributes:
        lower, upper: (steps + 1, n): after k steps each state is between row k of both.
        cells: how many cells hold it, (steps + 1,).
    """

    lower: np.ndarray
    upper: np.ndarray
    cells: tuple[int, ...]

    def holds(self, state: int, lower: float, upper: float, first: int, last: int) -> bool:
        """Return whether one state is proven to be in [lower, upper] after each of `first` to `last` steps."""
        span = slice(first, last + 1)
        return bool((self.lower[span, state] >= lower).all() and (self.upper[span, state] <= upper).all())


def tube(loop: SampledLoop, lower: np.ndarray, upper: np.ndarray, steps: int, size: np.ndarray) -> Tube:
    """Return the tube of some steps.

    Args:
        loop: of at most three states.
        lower, upper: of the starts, (n,).
        steps: how many.
        size: of the cells, (n,).

    Raises:
        ValueError: where cells are too many, or states too far.
    """
    ends = [lower[None]], [upper[None]]
    found = _cells(lower[None] / size, upper[None] / size)
    counts = [len(found)]
    for _ in range(steps):
        low, high = loop.images((found + 0.5) * size, size / 2)
        ends[0].append(low.min(0, keepdims=True))
        ends[1].append(high.max(0, keepdims=True))
        found = _cells(low / size, high / size)
        counts.append(len(found))
    return Tube(np.concatenate(ends[0]), np.concatenate(ends[1]), tuple(counts))


def _cells(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the cells that meet boxes, (cells, n) of whole numbers, each once."""
    if (
        not (np.isfinite(low).all() and np.isfinite(high).all())
        or max(np.abs(low).max(), np.abs(high).max()) > FARTHEST
    ):
        raise ValueError(f"size: got cells of which states are more than {FARTHEST} from 0, expected greater ones")
    first, last = (np.floor(low - NEAR).astype(np.int64), np.floor(high + NEAR).astype(np.int64))
    spans = (last - first).max(0) + 1
    if np.prod(spans.astype(float)) * len(first) > 64 * MOST_CELLS:
        raise ValueError(f"size: got cells of which a step needs more than {MOST_CELLS}, expected greater ones")
    parts = list[np.ndarray]()
    for offset in itertools.product(*map(range, map(int, spans))):
        places = first + np.asarray(offset)
        parts.append(places[(places <= last).all(axis=1)])
    found = np.unique(np.concatenate(parts), axis=0)
    if len(found) > MOST_CELLS:
        raise ValueError(
            f"size: got cells of which a step needs {len(found)}, expected greater ones: {MOST_CELLS} at most"
        )
    return found


def checked_size(size: Sequence[float], states: int) -> np.ndarray:
    """Return sizes of cells.

    Raises:
        ValueError: for another number of them.
    """
    found = np.asarray(size, dtype=np.float64)
    if found.shape != (states,) or not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError(f"size: got {size!r}, expected {states} positive numbers, one a state")
    return found
