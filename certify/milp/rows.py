"""Rows of a property as expressions of a program, and the greatest of several as a variable of its own.

The run's outputs lie within `slack` of the program's, so a row k·y + e·x + o of the run lies within Σ|k|·slack of
its expression, and what float64 loses of its sums beside. With t ≥ v_r for all rows r, the least t over the
program is the least of max_r v_r.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from ..questions.rows import RowGoal
from .encoding import Encoding
from .program import Expressions, Model, stacked

FLOAT_ERROR = 2.0**-40
"""What float64 may lose of an expression's own sums, relative to its moduli: n·u for 8,192 terms."""


def row_expressions(goal: RowGoal, label: int, rows: list[int], encoding: Encoding) -> tuple[Expressions, float]:
    """Return some rows of one question, and how far the run's may be from them."""
    weight = goal.outputs[label, rows].numpy(force=True)
    found = encoding.logits.image(sparse.csr_array(weight), goal.offset[label, rows].numpy(force=True))
    paid = np.abs(weight) @ encoding.slack
    size = np.abs(weight) @ _reach(encoding.logits, encoding.model)
    if goal.inputs is not None:
        on_inputs = goal.inputs[label, rows].flatten(1).numpy(force=True)
        entries = stacked(list(encoding.inputs))
        found = found + entries.image(sparse.csr_array(on_inputs), 0.0)
        size = size + np.abs(on_inputs) @ _reach(entries, encoding.model)
    moduli = size + np.abs(goal.offset[label, rows].numpy(force=True))
    return found, float((paid + FLOAT_ERROR * moduli).max())


def _reach(expressions: Expressions, model: Model) -> np.ndarray:
    """Return the sum of moduli that each expression is at most made of."""
    most = np.maximum(np.abs(model.lower), np.abs(model.upper))[: expressions.columns]
    return abs(expressions.matrix) @ most + np.abs(expressions.constant)


def greatest(encoding: Encoding, rows: Expressions) -> tuple[Encoding, Expressions]:
    """Return the program with a variable t that is at least each of some rows, and t."""
    model, count = encoding.model, len(encoding.model.lower)
    matrix = sparse.csr_array(
        (rows.matrix.data, rows.matrix.indices, rows.matrix.indptr), (len(rows.constant), count)
    )
    most = 2.0 * float(_reach(rows, model).max()) + 1.0
    above = sparse.hstack([-matrix, np.ones((len(rows.constant), 1))])
    zero = sparse.csr_array((len(model.row_lower), 1))
    wider = Model(
        np.append(model.lower, -most),
        np.append(model.upper, most),
        np.append(model.integer, False),
        sparse.csr_array(sparse.vstack([sparse.hstack([model.rows, zero]), above])),
        np.concatenate([model.row_lower, rows.constant]),
        np.concatenate([model.row_upper, np.full(len(rows.constant), np.inf)]),
    )
    unit = sparse.csr_array(([1.0], ([0], [count])), shape=(1, count + 1))
    return replace(encoding, model=wider), Expressions(unit, np.zeros(1))
