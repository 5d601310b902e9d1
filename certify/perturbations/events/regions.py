"""Which entries of an event recording may change: a block of them, or a mask."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ....models.constants import whole

Interval = tuple[int, int]

AXES = {"steps": 0, "polarities": -3, "rows": -2, "columns": -1}
"""The axis of a recording (T, polarities, rows, columns) that each interval is about."""


@dataclass(frozen=True)
class EventRegion:
    """A block of a recording (T, polarities, rows, columns): along each axis all, or those from first to last − 1.

    A recording without pixels, (T, features), has steps and columns only.

    Args:
        steps, polarities, rows, columns: (first, last) with 0 ≤ first < last, or None for all.

    Raises:
        TypeError: for ends that are no integers.
        ValueError: for an interval that holds nothing.

    >>> EventRegion(steps=(0, 2), polarities=(1, 2)).mask((3, 2, 1, 1)).flatten().tolist()
    [False, True, False, True, False, False]
    """

    steps: Interval | None = None
    polarities: Interval | None = None
    rows: Interval | None = None
    columns: Interval | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            interval = getattr(self, field.name)
            if interval is not None:
                object.__setattr__(self, field.name, _interval(field.name, interval))

    def mask(self, shape: tuple[int, ...]) -> Tensor:
        """Return which entries of a recording of this shape lie in the block, of bool.

        Raises:
            ValueError: for a recording that lacks an axis, or ends before the block does.
        """
        if len(shape) < 2:
            raise ValueError(f"where: got a region for samples of shape {shape}, expected recordings (T, ...)")
        inside = torch.ones(shape, dtype=torch.bool)
        for name, axis in AXES.items():
            if (interval := getattr(self, name)) is not None:
                inside &= _along(name, interval, axis, shape)
        return inside


def _interval(name: str, interval: object) -> Interval:
    """Return an interval of plain integers."""
    if not isinstance(interval, tuple | list) or len(interval) != 2:
        raise TypeError(f"{name}: got {interval!r}, expected two integers (first, last)")
    first, last = (whole(name, end) for end in interval)
    if not 0 <= first < last:
        raise ValueError(f"{name}: got {(first, last)}, expected 0 ≤ first < last")
    return first, last


def _along(name: str, interval: Interval, axis: int, shape: tuple[int, ...]) -> Tensor:
    """Return what lies in an interval of one axis, as a mask that broadcasts to `shape`."""
    first, last = interval
    if axis != 0 and len(shape) <= -axis:
        raise ValueError(f"{name}: got recordings of shape {shape}, expected (T, polarities, rows, columns)")
    if last > shape[axis]:
        raise ValueError(f"{name}: got {interval}, expected at most the recording's {shape[axis]} {name}")
    places = torch.arange(shape[axis])
    inside = (places >= first) & (places < last)
    return inside.view(-1, *([1] * (len(shape) - 1 if axis == 0 else -axis - 1)))
