"""Geometry of two rasters over another: trains of one layer in two builds, and the spikes that only one has."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 720.0
LEFT, RIGHT, TOP, GAP, FOOT = 62.0, 708.0, 26.0, 40.0, 40.0
ROWS = 40
"""Neurons that are drawn, those whose trains part first of all."""
TALLEST, LEAST = 9.0, 3.0
"""Of a row, and of a mark."""
LABELS = 10
"""Steps and rows that are told, about."""


@dataclass(frozen=True)
class BuildRaster:
    """One build's trains.

    Attributes:
        name: of the build.
        y, height: of its frame.
        rows: (y, text) of the neurons that are told.
        both, alone: paths of the spikes that the other build has too, and of those that it has not.
        missing: paths of where the other one has a spike and this one has none.
    """

    name: str
    y: float
    height: float
    rows: tuple[tuple[float, str], ...]
    both: str
    alone: str
    missing: str


@dataclass(frozen=True)
class RasterChart:
    """The picture of a layer.

    Attributes:
        height: of the whole.
        rasters: A above B.
        steps: (x, text) of the steps that are told.
        parting: (x, y) of the first spike that parts, in both.
        summary: in words.
    """

    height: float
    rasters: tuple[BuildRaster, BuildRaster]
    steps: tuple[tuple[float, str], ...]
    parting: tuple[tuple[float, float], ...]
    summary: str


def raster_chart(
    a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]], neuron: int, step: int, layer: str
) -> RasterChart:
    """Return the picture of spikes by neuron and step.

    Args:
        a, b: of each neuron, its train.
        neuron, step: where trains part first; steps from 1.
        layer: its name.
    """
    rows = drawn_rows(a, b, neuron)
    steps = len(a[0])
    cell = (RIGHT - LEFT) / steps, TALLEST
    height = cell[1] * len(rows)
    tops = TOP, TOP + height + GAP
    pairs = zip(("A", "B"), tops, (a, b), (b, a), strict=True)
    first, second = (_raster(name, top, cell, rows, own, other) for name, top, own, other in pairs)
    place = LEFT + (step - 0.5) * cell[0]
    parting = tuple((place, top + (rows.index(neuron) + 0.5) * cell[1]) for top in tops)
    every = max(1, round(steps / LABELS))
    told = tuple((LEFT + (t - 0.5) * cell[0], str(t)) for t in range(1, steps + 1, every))
    apart = sum(x != y for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))
    shown = "" if len(rows) == len(a) else f", {len(rows)} of its {len(a)} neurons"
    summary = f"Spikes of {layer} in both builds{shown}: {apart} differ, first neuron {neuron} at step {step}."
    return RasterChart(tops[1] + height + FOOT, (first, second), told, parting, summary)


def drawn_rows(a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]], neuron: int) -> list[int]:
    """Return which neurons are drawn: the one that parts first, others that part, others that fire, in order."""

    def rank(row: int) -> int:
        """Return how much there is to see."""
        return 0 if row == neuron else 1 if list(a[row]) != list(b[row]) else 2 if any(a[row]) else 3

    return sorted(sorted(range(len(a)), key=rank)[:ROWS])


def _raster(
    name: str,
    top: float,
    cell: tuple[float, float],
    rows: Sequence[int],
    own: Sequence[Sequence[bool]],
    other: Sequence[Sequence[bool]],
) -> BuildRaster:
    both, alone, missing = [], [], []
    for place, row in enumerate(rows):
        y = top + place * cell[1]
        for t, (mine, theirs) in enumerate(zip(own[row], other[row], strict=True)):
            if mine or theirs:
                (both if mine and theirs else alone if mine else missing).append(
                    _mark(LEFT + t * cell[0], y, cell)
                )
    every = max(1, round(len(rows) / LABELS))
    told = tuple((top + (place + 0.5) * cell[1] + 4, str(rows[place])) for place in range(0, len(rows), every))
    return BuildRaster(name, top, cell[1] * len(rows), told, "".join(both), "".join(alone), "".join(missing))


def _mark(x: float, y: float, cell: tuple[float, float]) -> str:
    width, height = max(LEAST, 0.7 * cell[0]), max(LEAST, 0.72 * cell[1])
    x, y = x + (cell[0] - width) / 2, y + (cell[1] - height) / 2
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
