"""Geometry of theory against measurement: each layer's proven gain, and what perturbations did to the layer."""

from dataclasses import dataclass

from ..records import ModelRecord, Record
from ..schema import GrowthRow
from ..wording import gain_text
from .sandwich import scale, ticks

WIDTH, LEFT, RIGHT, TOP = 560, 168, 546, 14
ROW, FOOT = 30, 40


@dataclass(frozen=True)
class GrowthLine:
    """One layer under one perturbation: x of the measured ratios and of the bound, and words for them."""

    y: float
    label: str
    simplified: float
    exact: float | None
    bound: float | None
    text: str


@dataclass(frozen=True)
class Chart:
    """The picture of one model."""

    key: str
    name: str
    summary: str
    height: float
    bottom: float
    x_ticks: tuple[tuple[float, str], ...]
    rows: tuple[GrowthLine, ...]


def growths(record: Record) -> tuple[Chart, ...]:
    """Return one picture for each model whose growth was measured, each with its own scale."""
    return tuple(_chart(model, f"growth{place}") for place, model in enumerate(record.models) if model.growth)


def _chart(model: ModelRecord, key: str) -> Chart:
    values = [value for row in model.growth for value in (row.bound, row.simplified, row.exact) if value]
    top = scale(values)
    bottom = TOP + ROW * len(model.growth)
    return Chart(
        key=key,
        name=model.name,
        summary=f"{model.name}: " + "; ".join(map(_told, model.growth)),
        height=bottom + FOOT,
        bottom=bottom,
        x_ticks=tuple((_x(value, top), f"{value:g}") for value in ticks(top)),
        rows=tuple(_row(found, TOP + ROW * place, top) for place, found in enumerate(model.growth)),
    )


def _row(found: GrowthRow, y: float, top: float) -> GrowthLine:
    return GrowthLine(
        y=y,
        label=f"{found.layer}, {found.source}",
        simplified=_x(found.simplified, top),
        exact=None if found.exact is None else _x(found.exact, top),
        bound=None if found.bound is None else _x(found.bound, top),
        text=_told(found),
    )


def _told(found: GrowthRow) -> str:
    share = "" if not found.bound else f" ({100 * found.simplified / found.bound:.1f} % of it)"
    return (
        f"{found.layer}, {found.source}: proven at most {gain_text(found.bound)}, measured up to "
        f"{found.simplified:.4f}{share}; trains unchanged in {found.same_trains} of {found.samples} samples"
    )


def _x(value: float, top: float) -> float:
    return LEFT + (RIGHT - LEFT) * min(value / top, 1.0)
