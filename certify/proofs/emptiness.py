"""Prices that prove a leaf to be empty: the multipliers of a linear program, which the checker does not trust."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from ...checking.bound import Question
from ...checking.exact import Dyadic
from ...checking.graph import Through

SCALES = (1e2, 1e4, 1e6, 1.0)


def empty_prices(question: Question, allowed: np.ndarray) -> Iterator[np.ndarray]:
    """Yield prices for each scale, or nothing where the leaf's currents leave an input, (n,) float32.

    The program min t subject to low − t ≤ W·x + b ≤ high + t over the box has t > 0 iff no input has the currents
    of the leaf's rows; its multipliers y then give Σ y·(W·x + b − end) ≥ t on the whole box.
    """
    if not allowed.any(1).all():
        return
    weight, bias = _currents(question)
    low = np.where(allowed, _floats(question.first.low), np.inf).min(1) - bias
    high = np.where(allowed, _floats(question.first.high), -np.inf).max(1) - bias
    size = np.abs(weight).sum(1, keepdims=True) + 1e-12
    ends = question.inputs.low, question.inputs.high
    whole = np.vstack([weight, -weight]) / np.vstack([size, size])
    limit = np.concatenate([high, -low]) / np.concatenate([size, size])[:, 0]
    program = linprog(
        np.append(np.zeros(weight.shape[1]), 1.0),
        A_ub=np.hstack([whole, -np.ones((len(whole), 1))]),
        b_ub=limit,
        bounds=[*zip(*(_floats(end).ravel() for end in ends), strict=True), (-1.0, None)],
        method="highs",
    )
    if program.status != 0 or program.x[-1] <= 0:
        return
    above, below = np.split(-program.ineqlin.marginals / np.concatenate([size, size])[:, 0], 2)
    for scale in SCALES:
        yield ((above - below) * scale).astype(np.float32)


def _currents(question: Question) -> tuple[np.ndarray, np.ndarray]:
    """Return the first currents as W, (n, m), and b, (n,), about."""
    graph, chain = question.graph, []
    place = graph.nodes[graph.spiking[0]].source  # pyright: ignore[reportAttributeAccessIssue]
    while isinstance(node := graph.nodes[place], Through):
        chain.append(node.affine)
        place = node.source
    weight, bias = np.eye(graph.widths[0]), np.zeros(graph.widths[0])
    for affine in reversed(chain):
        matrix = affine.matrix
        entries = _floats(Dyadic(matrix.ints, matrix.shift))
        sparse = csr_matrix((entries, (matrix.row, matrix.column)), shape=matrix.shape)
        weight, bias = sparse @ weight, sparse @ bias + _floats(affine.bias).ravel()
    return weight, bias


def _floats(values: Dyadic) -> np.ndarray:
    return np.array([float(int(x) / (1 << values.shift)) for x in values.ints.flat]).reshape(values.shape)
