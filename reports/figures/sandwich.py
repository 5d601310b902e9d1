"""Geometry of the sandwich of radii: samples sorted by where they break, with proven and attacked ends."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..records.radii import RadiusTable, SampleRadius, rounded_down, rounded_up
from ..records.records import ModelRecord, Record

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 546, 18, 272
MARKED = 60
"""Beyond so many samples marks would hide each other, and only lines are drawn."""


SMALLEST, LARGEST = 1e-9, 1e9
"""Of an axis."""


@dataclass(frozen=True)
class RadiusBar:
    """One sample: its place, both ends, whether they meet, whether anything broke it, and words for it."""

    x: float
    lower: float
    upper: float
    exact: bool
    attacked: bool
    text: str


@dataclass(frozen=True)
class SandwichChart:
    """The picture of one model."""

    key: str
    name: str
    summary: str
    caption: str
    y_ticks: tuple[tuple[float, str], ...]
    focus_y: float | None
    band: str
    lower_line: str
    upper_line: str
    marked: bool
    brackets: tuple[RadiusBar, ...]


def sandwiches(record: Record) -> tuple[SandwichChart, ...]:
    """Return one picture for each model that has radii, all with the same scale."""
    tables = [(model, model.radii) for model in record.models if model.radii is not None]
    if not tables:
        return ()
    top = max(_top(table) for _, table in tables)
    return tuple(
        _sandwich(record, model, table, top, f"sandwich{place}") for place, (model, table) in enumerate(tables)
    )


def _sandwich(record: Record, model: ModelRecord, table: RadiusTable, top: float, key: str) -> SandwichChart:
    samples = table.ordered()
    step = (RIGHT - LEFT) / len(samples)
    lower = [_y(sample.lower, top) for sample in samples]
    upper = [_y(sample.upper, top) for sample in samples]
    summary = summary_of(table)
    return SandwichChart(
        key=key,
        name=model.name,
        summary=f"{model.name}: {summary}",
        caption=summary,
        y_ticks=tuple((_y(value, top), f"{value:g}") for value in ticks(top)),
        focus_y=_y(record.focus, top) if record.focus <= top else None,
        band=_closed(lower, upper, step),
        lower_line=_steps(lower, step),
        upper_line=_steps(upper, step),
        marked=len(samples) <= MARKED,
        brackets=tuple(
            RadiusBar(
                LEFT + (place + 0.5) * step,
                lower[place],
                upper[place],
                sample.exact,
                sample.attacked,
                _told(sample),
            )
            for place, sample in enumerate(samples)
        ),
    )


def summary_of(table: RadiusTable) -> str:
    """Return the picture in words."""
    count, (low, high) = len(table.samples), table.medians
    unbroken = sum(not sample.attacked for sample in table.samples)
    text = f"{count} samples, {table.exact} of them exact up to {table.tolerance:g}. Median: proved up to "
    text += f"{rounded_down(low)}, broken at {rounded_up(high)}."
    return text if not unbroken else f"{text} Nothing broke {unbroken}: their upper ends are cut off at the top."


def _told(sample: SampleRadius) -> str:
    end = f"broken at {rounded_up(sample.upper)}" if sample.attacked else "not broken by any input tried"
    exact = ", exact" if sample.exact else ""
    return f"sample {sample.index} (label {sample.label}): proved up to {rounded_down(sample.lower)}, {end}{exact}"


def _top(table: RadiusTable) -> float:
    ends = [sample.upper for sample in table.samples if sample.attacked]
    ends += [sample.lower for sample in table.samples]
    return scale(ends)


def scale(values: Sequence[float]) -> float:
    """Return the top of an axis that holds the values; huge and tiny ones are cut off there."""
    largest = max(values, default=0.0)
    return min(max(1.08 * largest, SMALLEST), LARGEST) if largest > 0 else 1.0


def ticks(top: float) -> tuple[float, ...]:
    """Return round values from 0 to `top`, five to nine of them.

    >>> ticks(0.11)
    (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
    """
    unit = 10.0 ** math.floor(math.log10(top))
    step = next(unit * share for share in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if top / (unit * share) <= 8)
    return tuple(round(place * step, 12) for place in range(math.floor(top / step + 1e-9) + 1))


def _y(value: float, top: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * min(value / top, 1.0)


def _steps(heights: Sequence[float], step: float) -> str:
    """Return an SVG path that stays at each sample's height over the sample's width."""
    path = f"M{LEFT} {heights[0]:.1f}"
    for place, height in enumerate(heights):
        path += f"V{height:.1f}H{LEFT + (place + 1) * step:.1f}"
    return path


def _closed(lower: Sequence[float], upper: Sequence[float], step: float) -> str:
    """Return the SVG path around the area between two lines of steps."""
    back = ""
    for place in range(len(lower) - 1, -1, -1):
        back += f"V{lower[place]:.1f}H{LEFT + place * step:.1f}"
    return f"{_steps(upper, step)}{back}Z"
