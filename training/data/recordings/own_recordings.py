"""Recordings of events of one's own, (t, x, y, p) each, binned into frames."""

import math
from collections.abc import Mapping

import numpy as np

from ....files import in_proportion

FIELDS = ("recording", "t", "x", "y", "p")
"""Of each event: the number of its recording, its time from that one's start, its pixel, and its polarity."""
MOST_ENTRIES = 2**33


def binned(
    events: Mapping[str, np.ndarray], count: int, num_steps: int, duration: float | None = None
) -> np.ndarray:
    """Return uint8 frames (count, num_steps, polarities, rows, columns), without the axes that events do not tell.

    An entry is 1 where at least one event of its pixel falls into its bin; the last bin also takes what comes
    after `duration`.

    Args:
        events: arrays of one length: t and x, maybe y and p, and recording where there is more than one.
        count: recordings.
        num_steps: T, the number of bins of equal length.
        duration: what the bins cover together, in the unit of t; None: until the last event of all.

    Raises:
        ValueError: for arrays that do not fit, times that do not count from each recording's start, or more
            entries than a data set may have; its words go on after the file's name.

    >>> binned({"t": np.array([0, 5]), "x": np.array([1, 0])}, 1, 2).tolist()
    [[[0, 1], [1, 0]]]
    """
    sizes = {name: array.shape for name, array in events.items()}
    if not {"t", "x"} <= sizes.keys() or len({*sizes.values()}) > 1 or len(sizes["t"]) != 1 or not sizes["t"][0]:
        raise ValueError(f"holds events of {sizes}, expected t and x, maybe y, p and recording, (events,) each")
    times, of = _times(events["t"]), _whole("recording", events.get("recording", np.zeros(sizes["t"], int)))
    if of.max() >= count or len(np.unique(of)) != count:
        told = f"events of {len(np.unique(of))} recordings up to number {of.max()} for {count} labels"
        raise ValueError(f"holds {told}, expected some of each, numbered from 0 on")
    _check_starts(times, of, count)
    length = float(times.max()) * (1 + 2**-20) if duration is None else duration
    axes = [_whole(name, events[name]) for name in ("p", "y", "x") if name in events]
    shape = tuple(int(axis.max()) + 1 for axis in axes)
    if "p" in events:
        shape = (max(2, shape[0]), *shape[1:])
    most = in_proportion(sum(array.nbytes for array in events.values()), MOST_ENTRIES)
    if count * num_steps * math.prod(shape) > most:
        told = f"{count} recordings of {num_steps} frames of shape {shape}"
        raise ValueError(f"makes {told}, expected at most {most} entries for its events")
    bins = np.minimum(times * (num_steps / (length or 1.0)), num_steps - 1).astype(np.int64)
    frames = np.zeros((count, num_steps, *shape), np.uint8)
    frames[(of, bins, *axes)] = 1
    return frames


def _times(times: np.ndarray) -> np.ndarray:
    found = times.astype(np.float64)
    if not bool(np.isfinite(found).all()) or found.min() < 0:
        raise ValueError("holds times that are negative or no numbers, expected times from each recording's start")
    return found


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iub" or values.min() < 0 or values.max() >= 2**31:
        raise ValueError(f"holds {name} of {values.dtype} from {values.min()}, expected whole numbers from 0 on")
    return values.astype(np.int64)


def _check_starts(times: np.ndarray, of: np.ndarray, count: int) -> None:
    """Raise ValueError where each recording begins later than the longest lasts: times count from elsewhere."""
    first, last = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(first, of, times)
    np.maximum.at(last, of, times)
    if first.min() > (last - first).max():
        told = f"recordings that last {(last - first).max():g} at most and begin at {first.min():g} or later"
        raise ValueError(f"holds {told}, expected times from each recording's start")
