"""Geometry of a counterexample's events: each step's frame, or features over time, and what came, went, moved."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from ..records.schema import Counterexample

WIDTH, GAP, HEAD = 340.0, 8.0, 14.0
ACROSS = 6
"""Frames side by side."""
TALLEST, WIDEST, HIGHEST = 240.0, 26.0, 7.0
LEAST_MARK, TOLD = 5.0, 6


@dataclass(frozen=True)
class EventMark:
    """An event that came ("new") or went ("gone"): its corner and size."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class EventFrame:
    """A grid of entries: where events are in both recordings, as a path of each polarity, and what changed."""

    x: float
    y: float
    width: float
    height: float
    label: str
    events: tuple[str, ...]
    marks: tuple[EventMark, ...]


@dataclass(frozen=True)
class EventScene:
    """The picture of one counterexample's events; `changes` tells the first changes, `more` how many others."""

    height: float
    frames: tuple[EventFrame, ...]
    changed: int
    changes: tuple[str, ...]
    more: int


def recording(case: Counterexample) -> EventScene | None:
    """Return the picture of a counterexample of shape (T, polarities, rows, columns) or (T, features), or None."""
    if len(case.shape) not in (2, 4):
        return None
    frames = tuple(_frames(case)) if len(case.shape) == 4 else (_over_time(case),)
    told = changed_events(case)
    height = max(frame.y + frame.height for frame in frames) + 2
    return EventScene(height, frames, len(told), tuple(told[:TOLD]), max(0, len(told) - TOLD))


def changed_events(case: Counterexample) -> list[str]:
    """Return what became of each event that changed, such as "row 3, column 4, on: from step 1 to step 2"."""
    per_step = math.prod(case.shape[1:])
    changes = sorted((place % per_step, place // per_step, size) for place, size in _differences(case))
    told = []
    for feature, group in groupby(changes, key=lambda change: change[0]):
        moved = [(step, size) for _, step, size in group]
        gone = [step for step, size in moved for _ in range(round(-size))]
        new = [step for step, size in moved for _ in range(round(size))]
        told += [f"{_place(feature, case.shape[1:])}: {_told(*pair)}" for pair in zip_longest(gone, new)]
    return told


def _told(gone: int | None, new: int | None) -> str:
    if gone is None:
        return f"came at step {new}"
    return f"went at step {gone}" if new is None else f"from step {gone} to step {new}"


def _place(feature: int, shape: Sequence[int]) -> str:
    """Return an entry of one step in words; polarity 1 is "on", as event cameras have it."""
    if len(shape) == 1:
        return f"feature {feature}"
    polarity, pixel = divmod(feature, shape[1] * shape[2])
    row, column = divmod(pixel, shape[2])
    names = ("off", "on") if shape[0] == 2 else tuple(f"polarity {k}" for k in range(shape[0]))
    return f"row {row}, column {column}, {names[polarity]}"


def _differences(case: Counterexample) -> Iterator[tuple[int, float]]:
    for place, (before, after) in enumerate(zip(case.clean, case.perturbed, strict=True)):
        if before != after:
            yield place, after - before


def _frames(case: Counterexample) -> Iterator[EventFrame]:
    """Yield a frame for each step, so many side by side."""
    steps, polarities, rows, columns = case.shape
    across = min(ACROSS, steps)
    width = (WIDTH - GAP * (across - 1)) / across
    cell, size = width / columns, rows * columns
    for step in range(steps):
        x = (step % across) * (width + GAP)
        y = (step // across) * (cell * rows + HEAD + GAP) + HEAD
        start = step * polarities * size
        layers = [slice(start + k * size, start + (k + 1) * size) for k in range(polarities)]
        pairs = [(case.clean[part], case.perturbed[part]) for part in layers]
        where = columns, (x, y), (cell, cell)
        events = tuple(_path(_kept(*pair), *where) for pair in pairs)
        marks = tuple(mark for one, other in pairs for mark in _marks(one, other, *where))
        yield EventFrame(x, y, width, cell * rows, f"step {step}", events, marks)


def _over_time(case: Counterexample) -> EventFrame:
    """Return features over time, which runs to the right."""
    steps, features = case.shape
    cell = min(WIDTH / steps, WIDEST), min(TALLEST / features, HIGHEST)
    turned = [
        [values[step * features + feature] for feature in range(features) for step in range(steps)]
        for values in (case.clean, case.perturbed)
    ]
    before, after = turned
    path = _path(_kept(before, after), steps, (0.0, HEAD), cell)
    marks = tuple(_marks(before, after, steps, (0.0, HEAD), cell))
    label = f"{features} features over {steps} steps"
    return EventFrame(0.0, HEAD, cell[0] * steps, cell[1] * features, label, (path,), marks)


def _kept(before: Sequence[float], after: Sequence[float]) -> list[bool]:
    """Return where both recordings have the same events."""
    return [one == other and one > 0 for one, other in zip(before, after, strict=True)]


def _path(kept: Sequence[bool], columns: int, corner: tuple[float, float], cell: tuple[float, float]) -> str:
    """Return rectangles over each run of events in a row."""
    found = []
    for row in range(len(kept) // columns):
        places = enumerate(kept[row * columns : (row + 1) * columns])
        for event, run in groupby(places, key=lambda pair: pair[1]):
            first, *rest = run
            if event:
                x, y, across = corner[0] + first[0] * cell[0], corner[1] + row * cell[1], (1 + len(rest)) * cell[0]
                found.append(f"M{x:.1f} {y:.1f}h{across:.1f}v{cell[1]:.1f}h-{across:.1f}z")
    return "".join(found)


def _marks(
    before: Sequence[float],
    after: Sequence[float],
    columns: int,
    corner: tuple[float, float],
    cell: tuple[float, float],
) -> Iterator[EventMark]:
    """Yield what came and what went, large enough to be seen."""
    width, height = (max(size, LEAST_MARK) for size in cell)
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        if one != other:
            row, column = divmod(place, columns)
            middle = corner[0] + (column + 0.5) * cell[0], corner[1] + (row + 0.5) * cell[1]
            style = "new" if other > one else "gone"
            yield EventMark(middle[0] - width / 2, middle[1] - height / 2, width, height, style)
