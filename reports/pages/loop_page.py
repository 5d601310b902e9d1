"""A controller in closed loop as one HTML page: what is proven for all time, in words, a picture and a table.

Geometry of a loop's phase picture: where runs start, where they end, and simulated ones, in two states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...analysis.loops import KeptStability, PracticalStability
from ..figures.sandwich import ticks
from ..records.radii import rounded_down, rounded_up
from .html_page import page_of

NOTE = (
    "The proof is about every run in real arithmetic of the plant, for all time, whatever disturbance, noise and "
    "change of the plant act within their bounds. The network is the one that runs, with each rounding of its "
    "dtype. Runs in the picture were simulated."
)


def to_html(
    found: PracticalStability | KeptStability,
    box: Sequence[float],
    runs: np.ndarray,
    names: Sequence[str],
    conditions: Sequence[tuple[str, str]],
    command: str,
) -> str:
    """Return the page.

    Args:
        found: the proof, or why there is none.
        box: the region that was asked about, one radius a state.
        runs: simulated states, (steps + 1, runs, n).
        names: of the states.
        conditions: pairs of words, shown as they are.
        command: that gives the page again.
    """
    states = len(names)
    pairs = [(0, 0)] if states == 1 else [(i, i + 1) for i in range(0, states - 1, 2)]
    if states > 1 and states % 2:
        pairs.append((states - 2, states - 1))
    return page_of(
        "loop.html",
        None,
        proved=found.proved,
        verdict=verdict(found, names),
        note=NOTE,
        charts=[phase(found, box, runs, names, pair) for pair in pairs],
        frame={key.lower(): globals()[key] for key in ("WIDTH", "HEIGHT", "LEFT", "RIGHT", "TOP", "BOTTOM")},
        rows=rows(found, box, runs, names),
        rounds=[
            (
                ", ".join(map(rounded_up, one.box)),
                ", ".join(map(rounded_up, one.error)),
                ", ".join(f"{value:.4g}" for value in one.attained),
                ", ".join(map(rounded_up, one.limit)),
            )
            for one in found.rounds
        ],
        conditions=conditions,
        command=command,
    )


def verdict(found: PracticalStability | KeptStability, names: Sequence[str]) -> str:
    """Return what is proven in one sentence."""
    if not found.proved:
        return f"Nothing is proven of this loop: {found.why}."
    starts, ends = (
        ", ".join(f"|{name}| ≤ {told(value)}" for name, value in zip(names, box, strict=True))
        for told, box in ((rounded_down, found.initial), (rounded_up, found.ultimate))
    )
    return f"Every run that starts in {starts} stays in the box for ever, and ends in {ends}."


HEADS = ("state", "box", "starts in", "ends in", "simulated: greatest", "simulated: at the end")


def rows(
    found: PracticalStability | KeptStability, box: Sequence[float], runs: np.ndarray, names: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return one row a state: its radius in each box, and what runs reached, ever and in their last tenth."""
    greatest, last = np.abs(runs).max((0, 1)), np.abs(runs[-max(1, len(runs) // 10) :]).max((0, 1))
    return [
        (
            name,
            f"{box[i]:.6g}",
            rounded_down(found.initial[i]) if found.proved else "–",
            rounded_up(found.ultimate[i]) if found.proved else "–",
            f"{greatest[i]:.4g}",
            f"{last[i]:.4g}",
        )
        for i, name in enumerate(names)
    ]


WIDTH, HEIGHT = 560, 420
LEFT, RIGHT, TOP, BOTTOM = 62, 546, 14, 372
DRAWN = 24
"""Runs that are drawn; more would hide each other."""
Place = Callable[[np.ndarray, tuple[float, float]], np.ndarray]
BEYOND = 1.06
"""The axes reach so many times the box."""


@dataclass(frozen=True)
class PhaseBox:
    """A box of states: its corner and its size in the picture, and words for it."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class PhaseChart:
    """The picture of two states; of a single one over steps, where there is no other.

    Attributes:
        boxes: of the region that runs never leave, of the starts and of the ends; the first alone without a proof.
        runs: paths of runs, the first half of them from the edge of the starts.
        starts: where they begin.
    """

    summary: str
    across: str
    up: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    boxes: tuple[PhaseBox, ...]
    runs: tuple[str, ...]
    starts: tuple[tuple[float, float], ...]


def phase(
    found: PracticalStability | KeptStability,
    box: Sequence[float],
    runs: np.ndarray,
    names: Sequence[str],
    pair: tuple[int, int],
) -> PhaseChart:
    """Return the picture.

    Args:
        found: what is proven.
        box: the region that was asked about, one radius a state.
        runs: states, (steps + 1, runs, n).
        names: of the states.
        pair: which two of them; of a single state both are 0, and steps go across.
    """
    i, j = pair
    alone = i == j
    edges = [max(both) for both in zip(box, found.region or box, strict=True)]
    across = len(runs) - 1 if alone else BEYOND * edges[i]
    scales = (0.0 if alone else -across, max(across, 1)), (-BEYOND * edges[j], BEYOND * edges[j])
    spots = runs[:, :DRAWN].copy()
    points = np.stack(
        [np.arange(len(runs))[:, None] + 0 * spots[:, :, 0] if alone else spots[:, :, i], spots[:, :, j]]
    )
    drawn = np.stack([_x(points[0], scales[0]), _y(points[1], scales[1])])
    radii = (
        [(found.region, "runs never leave this box")] if found.proved else [(box, "the box that was asked about")]
    )
    if found.proved:
        radii += [(found.initial, "runs that start here"), (found.ultimate, "where they end")]
    boxes = tuple(_box(scales, alone, one[i], one[j], text) for one, text in radii)
    told = ", ".join(f"{one.text}" for one in boxes)
    return PhaseChart(
        summary=f"{drawn.shape[2]} simulated runs over {len(runs) - 1} steps; boxes: {told}",
        across="step" if alone else names[i],
        up=names[j],
        x_ticks=_ticks(scales[0], _x),
        y_ticks=_ticks(scales[1], _y),
        boxes=boxes,
        runs=tuple(_path(drawn[0, :, run], drawn[1, :, run]) for run in range(drawn.shape[2])),
        starts=tuple((float(x), float(y)) for x, y in drawn[:, 0].T),
    )


def _box(scales: tuple[tuple[float, float], ...], alone: bool, across: float, up: float, text: str) -> PhaseBox:
    low, high = (scales[0][0], scales[0][1]) if alone else (-across, across)
    left, right = (float(_x(np.asarray(end), scales[0])) for end in (low, high))
    top, bottom = (float(_y(np.asarray(end), scales[1])) for end in (up, -up))
    return PhaseBox(left, top, right - left, bottom - top, text)


def _ticks(scale: tuple[float, float], place: Place) -> tuple[tuple[float, str], ...]:
    values = ticks(scale[1])
    both = sorted({*values, *(-value for value in values if scale[0] < 0)})
    return tuple((float(place(np.asarray(value), scale)), f"{value:g}") for value in both)


def _x(value: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    return (LEFT + (RIGHT - LEFT) * (value - scale[0]) / (scale[1] - scale[0])).clip(-9999, 9999)


def _y(value: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    return (BOTTOM - (BOTTOM - TOP) * (value - scale[0]) / (scale[1] - scale[0])).clip(-9999, 9999)


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
