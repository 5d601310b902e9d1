"""Prices that prove a leaf to be empty: the multipliers of a linear program, which the checker does not trust."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ...checking.certificates.reach import floats
from ...checking.certificates.trials import LeafTrials

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

SCALES = (1e2, 1e4, 1e6, 1.0)
MOST_CUTS = 30
"""Tangents of a ball that are tried."""


def empty_prices(trials: LeafTrials, allowed: np.ndarray) -> Iterator[np.ndarray]:
    """Yield prices for each scale, or nothing where the leaf's currents leave an input, (n,) float32.

    The program min t subject to low − t ≤ W·x + b ≤ high + t over the box has t > 0 iff no input has the currents
    of the leaf's rows; its multipliers y then give Σ y·(W·x + b − end) ≥ t on the whole box. A ball is cut by more
    and more of its tangents.
    """
    if not trials.split_by_rows or trials.currents is None or not allowed.any(1).all():
        return
    (weight, bias), (least, most), inputs = trials.currents, trials.ends, trials.nodes.inputs
    low = np.where(allowed, least, np.inf).min(1) - bias
    high = np.where(allowed, most, -np.inf).max(1) - bias
    size = np.abs(weight).sum(1, keepdims=True) + 1e-12
    rows, limits = np.vstack([weight, -weight]) / np.vstack([size, size]), np.concatenate([high, -low])
    limits, ends = limits / np.concatenate([size, size])[:, 0], (inputs.low, inputs.high)
    bounds = [*zip(*(floats(end).ravel() for end in ends), strict=True), (-1.0, None)]
    cuts: list[tuple[np.ndarray, float]] = []
    for _ in range(1 if inputs.ball is None else MOST_CUTS):
        program = _deepest(rows, limits, bounds, cuts)
        if program.status != 0 or program.x[-1] <= 0:
            return
        above, below = np.split(-program.ineqlin.marginals[: len(rows)] / np.concatenate([size, size])[:, 0], 2)
        for scale in SCALES:
            yield ((above - below) * scale).astype(np.float32)
        if inputs.ball is not None:
            center, radius = (floats(part).ravel() for part in inputs.ball)
            step = program.x[:-1] - center
            if (length := np.linalg.norm(step)) <= radius[0]:
                return
            cuts.append((step / length, float(step / length @ center + radius[0])))


def _deepest(
    rows: np.ndarray,
    limits: np.ndarray,
    bounds: list[tuple[float, float | None]],
    cuts: list[tuple[np.ndarray, float]],
) -> "OptimizeResult":
    """Solve min t subject to rows·x ≤ limits + t, within bounds and cuts."""
    from scipy.optimize import linprog  # imported here: scipy takes half a second

    whole = np.hstack([rows, -np.ones((len(rows), 1))])
    below = [np.append(normal, 0.0) for normal, _ in cuts]
    return linprog(
        np.append(np.zeros(rows.shape[1]), 1.0),
        A_ub=np.vstack([whole, *below]),
        b_ub=np.append(limits, [limit for _, limit in cuts]),
        bounds=bounds,
        method="highs",
    )
