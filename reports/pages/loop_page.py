"""A controller in closed loop as one HTML page: what is proven for all time, in words, a picture and a table."""

from collections.abc import Sequence

import numpy as np

from ...analysis.loops import KeptStability, PracticalStability
from ..figures import phase
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
        charts=[phase.phase(found, box, runs, names, pair) for pair in pairs],
        frame={key.lower(): getattr(phase, key) for key in ("WIDTH", "HEIGHT", "LEFT", "RIGHT", "TOP", "BOTTOM")},
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
