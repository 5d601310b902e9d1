"""Charts of a record: growth beside proven gains, and accuracies at one ε.

Geometry of theory against measurement: each layer's proven gain, and what perturbations did to the layer.

Accuracy at one ε as bars: what attacks leave, what is proved, and what lies between.
"""

from dataclasses import dataclass

from ..pages.wording import gain_text
from ..records.records import ModelRecord, Record
from ..records.schema import GrowthRow
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
        rows=tuple(_row(growth, TOP + ROW * place, top) for place, growth in enumerate(model.growth)),
    )


def _row(growth: GrowthRow, y: float, top: float) -> GrowthLine:
    return GrowthLine(
        y=y,
        label=f"{growth.layer}, {growth.source}",
        simplified=_x(growth.simplified, top),
        exact=None if growth.exact is None else _x(growth.exact, top),
        bound=None if growth.bound is None else _x(growth.bound, top),
        text=_told(growth),
    )


def _told(growth: GrowthRow) -> str:
    share = "" if not growth.bound else f" ({100 * growth.simplified / growth.bound:.1f} % of it)"
    return (
        f"{growth.layer}, {growth.source}: proven at most {gain_text(growth.bound)}, measured up to "
        f"{growth.simplified:.4f}{share}; trains unchanged in {growth.same_trains} of {growth.samples} samples"
    )


def _x(value: float, top: float) -> float:
    return LEFT + (RIGHT - LEFT) * min(value / top, 1.0)


@dataclass(frozen=True)
class Level:
    """One bar: its class in the style sheet, its name, start and length in per cent, its words."""

    style: str
    name: str
    start: float
    length: float
    text: str


@dataclass(frozen=True)
class LevelChart:
    """The bars of one model."""

    name: str
    levels: tuple[Level, ...]


def level_charts(record: Record) -> tuple[LevelChart, ...]:
    """Return one chart a model where the record has one ε, and none where there are several: they are lines."""
    if len(record.threat.epsilons) > 1:
        return ()
    return tuple(LevelChart(model.name, _levels(model)) for model in record.models)


def _levels(model: ModelRecord) -> tuple[Level, ...]:
    (point,) = model.points
    whole = point.samples
    attacks = [_level("attacked", f"left by {name}", count, whole, "≤ ") for name, count in point.robust.items()]
    proofs = [_level("proven", f"proved by {name}", count, whole, "≥ ") for name, count in point.certified.items()]
    between = 100 * point.undecided / whole
    start = 100 * point.certified_by_any / whole
    truth = Level("between", "undecided", start, between, f"{between:.1f} %")
    return (_level("clean", "clean", point.clean, whole), *attacks, *proofs, truth)


def _level(style: str, name: str, count: int, whole: int, sign: str = "") -> Level:
    share = 100 * count / whole
    return Level(style, name, 0.0, share, f"{sign}{share:.1f} %")
