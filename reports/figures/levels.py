"""Accuracy at one ε as bars: what attacks leave, what is proved, and what lies between."""

from dataclasses import dataclass

from ..records.records import ModelRecord, Record


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
