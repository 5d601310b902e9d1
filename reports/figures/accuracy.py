"""Geometry of the accuracy-over-ε picture: plain numbers that a template draws as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...asking import Threat
from ..records.records import ModelRecord, Record
from ..records.rows import Tally

WIDTH, HEIGHT = 512, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 326, 18, 272
LABEL_SPACING = 15.0
LABEL_LENGTH = 22
TICK_SPACING = 38.0
SHAPES = ("circle", "diamond", "triangle", "square")


@dataclass(frozen=True)
class Mark:
    """One marker, with the value that it stands for."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Series:
    """One line: css class, marker shape, direct label, the place of the label, its markers."""

    style: str
    shape: str
    label: str
    label_y: float
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """Return the SVG points of the line."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


@dataclass(frozen=True)
class Panel:
    """The picture of one model: ticks, the band of undecided samples, the lines."""

    key: str
    name: str
    summary: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    band: str
    band_label: tuple[float, float] | None
    focus_x: float
    series: tuple[Series, ...]


def panels(record: Record) -> tuple[Panel, ...]:
    """Return one panel a model, all with the same axes."""
    return tuple(_panel(record, model, f"panel{place}") for place, model in enumerate(record.models))


def _panel(record: Record, model: ModelRecord, key: str) -> Panel:
    epsilons = record.threat.epsilons
    largest = epsilons[-1]
    upper = [(_x(p.epsilon, largest), _y(p.unbroken, p.samples)) for p in model.points]
    lower = [(_x(p.epsilon, largest), _y(p.certified_by_any, p.samples)) for p in model.points]
    return Panel(
        key=key,
        name=model.name,
        summary=_summary(model, record.threat),
        x_ticks=_x_ticks(record.threat),
        y_ticks=tuple((_y(value, 100), f"{value} %") for value in (0, 25, 50, 75, 100)),
        band=" ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)]),
        band_label=_band_label(upper, lower),
        focus_x=_x(record.focus, largest),
        series=_spread(_series(model, record.threat)),
    )


def _series(model: ModelRecord, threat: Threat) -> list[Series]:
    points, samples, largest = model.points, model.points[0].samples, threat.epsilons[-1]
    clean = points[0].clean
    start = _mark(threat, 0.0, clean, samples)
    marks = (start, _mark(threat, largest, clean, samples))
    series = [Series("clean", "none", "clean", marks[-1].y, marks)]
    for place, name in enumerate(model.attacks):
        counts = [point.robust[name] for point in points]
        marks = (start, *_marks(points, counts, threat))
        series.append(
            Series(f"attack{place % 3}", SHAPES[-1 - place % 4], _label("robust", name), marks[-1].y, marks)
        )
    for place, name in enumerate(model.verifiers):
        counts = [point.certified[name] for point in points]
        marks = _marks(points, counts, threat)
        series.append(
            Series(f"verifier{place % 4}", SHAPES[place % 4], _label("proved", name), marks[-1].y, marks)
        )
    return series


def _label(kind: str, name: str) -> str:
    """Return a direct label that fits beside the plot; the marks' titles hold all of a longer one."""
    text = f"{kind}: {name}"
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"


def _marks(points: Sequence[Tally], counts: Sequence[int], threat: Threat) -> tuple[Mark, ...]:
    return tuple(
        _mark(threat, point.epsilon, count, point.samples) for point, count in zip(points, counts, strict=True)
    )


def _mark(threat: Threat, epsilon: float, count: int, samples: int) -> Mark:
    text = f"ε = {threat.short(epsilon) if epsilon else 0}: {100 * count / samples:.1f} %"
    return Mark(_x(epsilon, threat.epsilons[-1]), _y(count, samples), text)


def _x(epsilon: float, largest: float) -> float:
    return LEFT + (RIGHT - LEFT) * epsilon / largest


def _y(part: float, whole: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * part / whole


def _x_ticks(threat: Threat) -> tuple[tuple[float, str], ...]:
    """Label ε from the largest down, leaving out what would overlap."""
    ticks: list[tuple[float, str]] = []
    for epsilon in reversed(threat.epsilons):
        x = _x(epsilon, threat.epsilons[-1])
        if x - LEFT >= TICK_SPACING and (not ticks or ticks[-1][0] - x >= TICK_SPACING):
            ticks.append((x, threat.short(epsilon)))
    return ((float(LEFT), "0"), *reversed(ticks))


def _band_label(
    upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]
) -> tuple[float, float] | None:
    """Return the place of the word in the band: where it is thickest, if it is thick enough to hold it."""
    x, top, bottom = max(
        ((x, top, bottom) for (x, top), (_, bottom) in zip(upper, lower, strict=True)),
        key=lambda place: place[2] - place[1],
    )
    if bottom - top < 40 or len(upper) < 2:
        return None
    return min(max(x, LEFT + 60), RIGHT - 44), (top + bottom) / 2 + 4


def _spread(series: Sequence[Series]) -> tuple[Series, ...]:
    """Move direct labels apart so that none overlaps, keeping their order and staying inside the picture."""
    order = sorted(range(len(series)), key=lambda place: (series[place].label_y, place))
    places = [series[place].label_y for place in order]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + LABEL_SPACING)
    places[-1] = min(places[-1], float(BOTTOM))
    for k in range(len(places) - 2, -1, -1):
        places[k] = min(places[k], places[k + 1] - LABEL_SPACING)
    moved = dict(zip(order, places, strict=True))
    return tuple(
        Series(line.style, line.shape, line.label, moved[place], line.marks) for place, line in enumerate(series)
    )


def _summary(model: ModelRecord, threat: Threat) -> str:
    """Return the picture in words, for those who can't see it."""
    first, last = model.points[0], model.points[-1]
    text = f"{model.name}: clean accuracy {_percent(first.clean, first.samples)}. "
    for point in (first, last) if len(model.points) > 1 else (first,):
        robust = ", ".join(f"{_percent(n, point.samples)} under {name}" for name, n in point.robust.items())
        proved = ", ".join(f"{_percent(n, point.samples)} by {name}" for name, n in point.certified.items())
        text += f"At ε = {threat.short(point.epsilon)}: robust {robust or 'not attacked'}; "
        text += f"proved {proved or 'nothing tried'}; {_percent(point.undecided, point.samples)} undecided. "
    return text.strip()


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
