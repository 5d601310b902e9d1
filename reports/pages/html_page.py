"""A record as one HTML file: no script, no request, light and dark, on paper and on a phone.

Small pictures of inputs as PNG data, so that a page needs no other file.
"""

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from ...asking import Threat
from ...files import FileKind
from ...reports import figures
from ..pages import wording
from ..records.categories import categories, slices
from ..records.records import ModelRecord, Record
from ..records.schema import Counterexample
from .advice import advice
from .claims import claims
from .wording import code_page, page


def picture(values: Sequence[float], shape: Sequence[int], low: float, high: float) -> str | None:
    """Return a data URI of `values` as a picture, dark at `low`, light at `high`; None if they are no image.

    Args:
        values: flattened, one grey channel or three colour channels.
        shape: (n²,), (height, width), (1, height, width) or (3, height, width).
        low, high: the values shown as 0 and 255.
    """
    size = _size(shape)
    if size is None or not high > low:
        return None
    channels, height, width = size
    levels = [round(255 * min(max((value - low) / (high - low), 0.0), 1.0)) for value in values]
    area = height * width
    pixels = [levels[c * area + place] for place in range(area) for c in range(channels)]
    return "data:image/png;base64," + base64.b64encode(_png(bytes(pixels), channels, height, width)).decode()


def change(counterexample: Counterexample) -> tuple[float, ...]:
    """Return the perturbation itself: perturbed minus clean."""
    return tuple(
        after - before for after, before in zip(counterexample.perturbed, counterexample.clean, strict=True)
    )


def _size(shape: Sequence[int]) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of an image, or None."""
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (1, side, side) if side * side == shape[0] and side > 1 else None
    if len(shape) == 2:
        return 1, shape[0], shape[1]
    if len(shape) == 3 and shape[0] in (1, 3):
        return shape[0], shape[1], shape[2]
    return None


def _png(pixels: bytes, channels: int, height: int, width: int) -> bytes:
    stride = channels * width
    lines = b"".join(b"\0" + pixels[row * stride : (row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


TEMPLATE = FileKind("template", "a file of this package", most=2**20)
TEMPLATES = (
    "report.html",
    "head.html",
    "accuracy.html",
    "charts/accuracy.svg",
    "levels.html",
    "categories.html",
    "summary.html",
    "charts/sandwich.svg",
    "charts/growth.svg",
    "activity.html",
    "recording.html",
    "comparison.html",
    "leaderboard.html",
    "loop.html",
    "explained.html",
    "builds/difference.html",
    "style.css",
)


def to_html(record: Record) -> str:
    """Return the report as the text of one self-contained page."""
    claimed = claims(record.threat)
    return page_of(
        "report.html",
        record.threat,
        record=record,
        verdict=wording.verdict(record),
        over=wording.over(record.threat),
        outcome_heads=wording.outcome_heads(record.threat),
        essentials=wording.essentials(record),
        categories=categories(record.threat),
        conditions=wording.conditions(record),
        norm=record.threat.words,
        axis=record.threat.sign,
        epsilons="; ".join(map(record.threat.text, record.threat.epsilons)),
        panels=figures.panels(record),
        levels=figures.level_charts(record),
        frame=frame(),
        sandwiches=figures.sandwiches(record),
        radii_note=claimed.radii,
        radii_conditions=wording.radii_conditions(record),
        no_radii=wording.no_radii(record.threat),
        hardest_note=claimed.hardest,
        charts=figures.growths(record),
        growth_note=wording.GROWTH_NOTE,
        meanings=wording.meanings(record),
        covered=claimed.covered,
        uncovered=claimed.uncovered,
        limits=wording.LIMITS,
        repeat=wording.repetition(record),
        assumptions=wording.assumptions(record),
        sources=wording.sources(record),
        with_gains=[model for model in record.models if model.gains is not None],
        gains_caption=wording.GAINS_CAPTION,
        gains_note=wording.GAINS_NOTE,
        advice=advice(record),
        of_events=record.threat.of_events,
    )


def page_of(template: str, threat: Threat | None, **content: Any) -> str:
    """Return a template of this folder filled with `content` and the style of all pages; a threat for its ε."""
    found = _environment(threat).get_template(template)
    return found.render(style=Markup(_template("style.css")), **content)


def frame() -> dict[str, int]:
    """Return the geometry of the pictures of accuracy."""
    names = ("WIDTH", "HEIGHT", "LEFT", "RIGHT", "TOP", "BOTTOM")
    return {name.lower(): getattr(figures, name) for name in names}


@cache
def _template(name: str) -> str:
    return TEMPLATE.text(Path(__file__).parent / "templates" / name)


def _environment(threat: Threat | None) -> Environment:
    sources = {name: _template(name) for name in TEMPLATES}
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        finalize=page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "at": lambda value: f"{value:.1f}",
        "tied": _tied,
        "percent": wording.percent,
        "code": code_page,
        "measured": lambda value: "–" if value is None else f"{value:.4f}",
        "scene": figures.scene,
        "ties_found": wording.ties_found,
        "norms": wording.gain_norms,
        "gain": wording.gain_text,
        "ends": wording.norm_ends,
        "seconds": _seconds,
        "radius_seconds": _radius_seconds,
        "sketch": wording.sketch,
    }
    if threat is not None:
        filters |= {
            "slices": lambda point: slices(point, threat),
            "unbroken": lambda model: wording.unbroken(model, threat),
            "outcome": wording.outcome,
            "epsilon": threat.text,
            "distance": lambda epsilon: wording.distance_text(threat, epsilon),
            "recording": lambda case: figures.recording(case) if threat.of_events else None,
            "short": threat.short,
            "signs_found": lambda model: wording.signs_found(model, threat),
            "pictures": lambda case: _pictures(case, threat),
        }
    environment.filters.update(filters)
    return environment


def _tied(text: str) -> str:
    """Keep "T = 8" and "84.0 %" on one line."""
    return text.replace(" = ", "\u00a0=\u00a0").replace(" %", "\u00a0%")


def _seconds(model: ModelRecord, source: str, epsilon: float) -> str:
    seconds = model.seconds.get(f"{source} at {epsilon:g}")
    return "–" if seconds is None else f"{seconds:.2f}"


def _radius_seconds(model: ModelRecord) -> str:
    seconds = None if model.radii is None else model.seconds.get(f"radius ({model.radii.verifier})")
    return "–" if seconds is None else f"{seconds:.2f}"


def _pictures(counterexample: Counterexample, threat: Threat) -> list[tuple[str, str, str]]:
    """Return (name, data URI, note) of sample, change and result; nothing for inputs that are no picture."""
    lower, upper = threat.lower, threat.upper
    if threat.of_events:
        return []
    difference = change(counterexample)
    largest = max(map(abs, difference)) or 1.0
    shown = (
        ("sample", picture(counterexample.clean, counterexample.shape, lower, upper), ""),
        (
            "perturbation",
            picture(difference, counterexample.shape, -largest, largest),
            f"±{largest:.3g}, stretched",
        ),
        ("result", picture(counterexample.perturbed, counterexample.shape, lower, upper), ""),
    )
    still = threat.still  # the network alone is another one
    return [(name, source, note) for name, source, note in shown[: 1 if still else 3] if source is not None]
