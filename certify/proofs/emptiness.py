"""Prices that prove a leaf to be empty: the multipliers of a linear program, which the checker does not trust."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog

from ...checking.bound import Question
from ...checking.exact import Dyadic

SCALES = (1e2, 1e4, 1e6, 1.0)


def empty_prices(question: Question, allowed: np.ndarray) -> Iterator[np.ndarray]:
    """Yield prices for each scale, or nothing where the leaf's currents leave an input, (n,) float32.

    The program min t subject to low − t ≤ W·x + b ≤ high + t over the box has t > 0 iff no input has the currents
    of the leaf's rows; its multipliers y then give Σ y·(W·x + b − end) ≥ t on the whole box.
    """
    if not allowed.any(1).all():
        return
    first = question.network.affine[0]
    weight, bias = _floats(first.weight), _floats(first.bias)
    low = np.where(allowed, _floats(question.rows[0]), np.inf).min(1) - bias
    high = np.where(allowed, _floats(question.rows[1]), -np.inf).max(1) - bias
    size = np.abs(weight).sum(1, keepdims=True) + 1e-12
    whole = np.vstack([weight, -weight]) / np.vstack([size, size])
    limit = np.concatenate([high, -low]) / np.concatenate([size, size])[:, 0]
    program = linprog(
        np.append(np.zeros(weight.shape[1]), 1.0),
        A_ub=np.hstack([whole, -np.ones((len(whole), 1))]),
        b_ub=limit,
        bounds=[*zip(_floats(question.low), _floats(question.high), strict=True), (-1.0, None)],
        method="highs",
    )
    if program.status != 0 or program.x[-1] <= 0:
        return
    above, below = np.split(-program.ineqlin.marginals / np.concatenate([size, size])[:, 0], 2)
    for scale in SCALES:
        yield ((above - below) * scale).astype(np.float32)


def _floats(values: Dyadic) -> np.ndarray:
    return np.array([float(int(x) / (1 << values.shift)) for x in values.ints.flat]).reshape(values.shape)
