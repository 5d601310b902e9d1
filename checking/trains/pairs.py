"""F9b: two neurons of a layer that subtracts together: how many spikes one has less than the other, at the most.

Counts that are bounded one by one forget that both neurons read the same spikes. Here a cell holds intervals of Y
and u (cells.py) for neuron y and for neuron k at once, and at each step L_y − L_k is known to lie in [p, q].
Spikes (s_y, s_k) need L_y in [a, b] and L_k in [c, e], by the cell and by what fires; the strip cuts that to

    [max(a, c + p), min(b, e + q)]  and  [max(c, a − q), min(e, b − p)],

and the step exists iff both are left. Every run stays in a path of cells: the least N_y − N_k over them is a lower
bound. More than side² cells merge, by equal parts of the range of either Y, into their hulls.
"""

import numpy as np

from ..numbers.fixed import Ends
from ..work import spend
from .cells import ExactDrive, grouped, hulls, merged_bins

STEP = 6144
"""Operations that a step takes whatever there is: some hundred of numpy's calls."""
CELL = 16
"""Operations that a cell takes at a step."""

PAIRS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The spikes (s_y, s_k) of a step."""

Cell = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Least Y_y, Y_k, u_y, u_k, (4, C); the greatest, (4, C); and the least N_y − N_k that leads there, (C,)."""


def fewest_ahead(drive: ExactDrive, pair: tuple[int, int], strip: Ends, side: int) -> int | None:
    """Return a lower bound of N_y − N_k, or None where the pair has no run.

    Args:
        drive: of the layer.
        pair: y and k.
        strip: what L_y − L_k lies between, (T,) each.
        side: of the square of cells.
    """
    start = np.zeros((4, 1), dtype=np.int64)
    cells = start, start, start[0]
    for t in range(drive.lower.shape[1]):
        spend(STEP + CELL * len(cells[2]))
        parts = [_moved(cells, drive, pair, strip, t, spikes) for spikes in PAIRS]
        lower, upper, ahead = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        cells = _merged(lower, upper, ahead, side)
    return int(cells[2].min()) if len(cells[2]) else None


def _moved(
    cells: Cell, drive: ExactDrive, pair: tuple[int, int], strip: Ends, t: int, spikes: tuple[int, int]
) -> Cell:
    """Return what cells become by a step with the spikes (s_y, s_k)."""
    rows, spike = list(pair), np.array(spikes)[:, None]
    least, most = drive.decay.times(cells[0][:2], cells[1][:2])
    low, high = drive.decay.times(cells[0][2:], cells[1][2:])
    low, high = low + drive.low[rows, t, None], high + drive.high[rows, t, None]
    low = np.where(spike, np.maximum(low, drive.perhaps), low)
    high = np.where(spike, high, np.minimum(high, drive.surely))
    lower = np.maximum(drive.lower[rows, t, None], low + least)
    upper = np.minimum(drive.upper[rows, t, None], high + most)
    lower, upper = _cut(lower, upper, strip[0][t], strip[1][t])
    least, most = least + spike * drive.drop[0], most + spike * drive.drop[1]
    bottom = np.maximum(lower - most, low - spike * drive.drop[1])
    top = np.minimum(upper - least, high - spike * drive.drop[0])
    least, most = np.maximum(least, lower - top), np.minimum(most, upper - bottom)
    there = ((low <= high) & (lower <= upper) & (bottom <= top) & (least <= most)).all(0)
    if drive.allowed is not None:
        there &= drive.allowed[rows, t, list(spikes)].all()
    ends = np.concatenate((least, bottom))[:, there], np.concatenate((most, top))[:, there]
    return *ends, cells[2][there] + (spikes[0] - spikes[1])


def _cut(lower: np.ndarray, upper: np.ndarray, p: int, q: int) -> Ends:
    (a, c), (b, e) = lower, upper
    return (
        np.stack((np.maximum(a, c + p), np.maximum(c, a - q))),
        np.stack((np.minimum(b, e + q), np.minimum(e, b - p))),
    )


def _merged(lower: np.ndarray, upper: np.ndarray, ahead: np.ndarray, side: int) -> Cell:
    owner = np.zeros(len(ahead), dtype=np.int64)
    order, starts = grouped(owner, merged_bins(owner, lower[:2] + upper[:2], side), side)
    if len(starts) == 0:
        return lower, upper, ahead
    return *hulls(lower[:, order], upper[:, order], starts), np.minimum.reduceat(ahead[order], starts)
