"""F1 as ordered binaries: which row of the train table a constant current lies in.

With rows 0..m reachable, y_1 ≥ y_2 ≥ … ≥ y_m says that the row is at least r iff y_r = 1. The current's ends, and
each spike, are sums of their increments from row to row,

    lower_0 + Σ_r y_r·(lower_r − lower_{r−1}) ≤ I ≤ upper_0 + Σ_r y_r·(upper_r − upper_{r−1}),
    s[t] = s_0[t] + Σ_r y_r·(s_r[t] − s_{r−1}[t]).

For one neuron the relaxation to y ∈ [0, 1] is the convex hull: at a vertex of {chain} × {I between its ends} y is
a vertex of the chain, which is integral.
"""

import numpy as np
from scipy import sparse

from ..bounds.trains.forms import TrainTable
from ..bounds.trains.train_table import TableTrains
from .closing import Closing
from .layer import EncodedLayer, array
from .program import Expressions, Program


def table_spikes(
    found: TableTrains, program: Program, layer: EncodedLayer, closing: Closing
) -> tuple[Expressions, ...]:
    """Add one current and its ordered binaries for each neuron with more than one reachable row."""
    box = layer.current.steps()
    first, last = (rows.flatten().cpu().numpy() for rows in (found.first, found.last))
    trains = array(found.table.trains)
    owner = np.repeat(np.arange(len(first)), last - first)
    row = np.concatenate([np.arange(a + 1, b + 1) for a, b in zip(first, last, strict=True)] or [first])
    binaries = program.binaries(len(owner))
    same = np.flatnonzero(owner[:-1] == owner[1:])  # y_r ≥ y_{r+1} within each neuron
    program.constrain(binaries.taken(same) - binaries.taken(same + 1), lower=0.0)
    if len(owner) > 0:
        ends = array(box.lower.flatten()), array(box.upper.flatten())
        _place(program, layer, closing, binaries, (owner, row, first), (found.table, *ends))
    spread = [_sums(owner, trains[row, t] - trains[row - 1, t], len(first)) for t in range(trains.shape[1])]
    return tuple(binaries.image(weight, trains[first, t]) for t, weight in enumerate(spread))


def _place(
    program: Program,
    layer: EncodedLayer,
    closing: Closing,
    binaries: Expressions,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    known: tuple[TrainTable, np.ndarray, np.ndarray],
) -> None:
    """Tie each open neuron's current to its expression, and its row to its current."""
    (owner, row, first), (table, *box) = rows, known
    lower, upper = _ends(array(table.lower), array(table.upper), closing)
    neurons = np.unique(owner)
    slack, tie = closing.slack(layer.slack), closing.tie(layer.slack)
    low, high = box[0] - slack, box[1] + slack
    current = program.variables(low[neurons], high[neurons])
    program.constrain(layer.steps[0].taken(neurons) - current, -slack[neurons], slack[neurons])
    for ends, sign in ((lower, 1.0), (upper, -1.0)):
        start = np.clip(ends[first] - sign * tie, low, high)
        steps = np.clip(ends[row] - sign * tie[owner], low[owner], high[owner])
        before = np.clip(ends[row - 1] - sign * tie[owner], low[owner], high[owner])
        rise = binaries.image(_sums(owner, steps - before, len(first)), start).taken(neurons)
        program.constrain((current - rise).scaled(sign), lower=0.0)


def _ends(lower: np.ndarray, upper: np.ndarray, closing: Closing) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows' ends; in an open program without what two neighbours share."""
    if closing.closed:
        return lower, upper
    return np.concatenate([lower[:1], upper[:-1]]), np.concatenate([lower[1:], upper[-1:]])


def _sums(owner: np.ndarray, values: np.ndarray, size: int) -> sparse.csr_array:
    """Return the matrix that adds up values·y over the binaries of each neuron, (size, len(owner))."""
    return sparse.csr_array((values, (owner, np.arange(len(owner)))), shape=(size, len(owner)))
