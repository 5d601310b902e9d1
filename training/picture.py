"""A run as a picture: loss, accuracies or errors, and ε over epochs, as SVG that any browser shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .history import EpochMetrics

WIDTH, HEIGHT = 720, 250
PANELS = ((56, 326), (410, 690))
"""The left and right ends of both panels."""
TOP, BOTTOM = 34, 204
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Colours that colour-blind readers tell apart; lines differ in their dashes, too."""


@dataclass(frozen=True)
class Curve:
    """One line of the picture: a value for each epoch, or None, and what stands for the panel's upper end."""

    name: str
    values: tuple[float | None, ...]
    top: float
    panel: int
    colour: str
    dashes: str = ""


def picture(history: Sequence[EpochMetrics]) -> str:
    """Return the SVG: on the left the loss, on the right clean and robust accuracy and, where it is told, ε."""
    curves = _curves(history)
    real = history[-1].rmse is not None
    ends = ("validation, RMSE", f"{curves[1].top:.3g}") if real else ("validation, %", "100")
    parts = [*_panel(0, "loss", f"{curves[0].top:.3g}"), *_panel(1, *ends)]
    parts += [_drawn(curve) for curve in curves]
    parts += [
        _text(PANELS[1][0] + 90 * place, 20, curve.name, curve.colour) for place, curve in enumerate(curves[1:])
    ]
    parts.append(_text(PANELS[0][0], HEIGHT - 8, f"epochs 1 to {len(history)}", GREY))
    last = history[-1]
    clean = f"RMSE {last.rmse:.4g}" if real else f"clean {100 * (last.clean_accuracy or 0.0):.1f} %"
    told = f"loss {last.loss:.4g}, {clean} after {len(history)} epochs"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    style = 'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    return f'{head} aria-label="{escape(told)}" {style}{"".join(parts)}</svg>\n'


def _curves(history: Sequence[EpochMetrics]) -> list[Curve]:
    losses = tuple(metrics.loss for metrics in history)
    clean = tuple(metrics.clean_accuracy for metrics in history)
    robust = tuple(metrics.robust_accuracy for metrics in history)
    sizes = tuple(metrics.terms.get("epsilon") for metrics in history)
    errors = tuple(metrics.rmse for metrics in history)
    found = [Curve("loss", losses, _greatest(losses), 0, GREY)]
    if any(error is not None for error in errors):
        worst = tuple(metrics.certified_rmse for metrics in history)
        top = max(_greatest(errors), _greatest([value for value in worst if value is not None]))
        found += [Curve("RMSE", errors, top, 1, BLUE), Curve("certified", worst, top, 1, ORANGE, "7 3")]
    else:
        found += [Curve("clean", clean, 1.0, 1, BLUE), Curve("robust", robust, 1.0, 1, ORANGE, "7 3")]
    if any(sizes):
        found.append(Curve(f"ε up to {_greatest(sizes):.3g}", sizes, _greatest(sizes), 1, GREY, "2 3"))
    return found


def _greatest(values: Sequence[float | None]) -> float:
    """Return the greatest value above 0, or 1."""
    return max((value for value in values if value is not None and value > 0.0), default=1.0)


def _panel(place: int, name: str, top: str) -> list[str]:
    left, right = PANELS[place]
    frame = f'<path d="M{left} {TOP}V{BOTTOM}H{right}" fill="none" stroke="{GREY}"/>'
    ends = [_text(left - 44, TOP + 10, top, GREY), _text(left - 16, BOTTOM, "0", GREY)]
    return [frame, *ends, _text(left, BOTTOM + 18, name, "#222")]


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}">{escape(text)}</text>'


def _drawn(curve: Curve) -> str:
    """Return a line through the values that there are, and a point at each."""
    left, right = PANELS[curve.panel]
    step = (right - left) / max(1, len(curve.values) - 1)
    points = [
        (left + step * place, BOTTOM - (BOTTOM - TOP) * min(max(value / curve.top, 0.0), 1.0))
        for place, value in enumerate(curve.values)
        if value is not None
    ]
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f'fill="none" stroke="{curve.colour}" stroke-width="2" stroke-dasharray="{curve.dashes}"'
    dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{curve.colour}"/>' for x, y in points)
    return f'<polyline points="{told}" {style}/>{"".join(dots)}'
