"""Drop what no counterexample of a node can use.

A node's bound is a sum with one term for each first-layer neuron, the least over its rows. With another row's
term in place of the least, the sum bounds the margin on that part of the node alone. Where it is above `LEVEL` the
part is proven, and the node goes on without it (integer programming's reduced-cost fixing). What a node then says
of its margin holds up to min(bound, `LEVEL`).

The error that the bound allows for covers every such sum, since it counts all terms' moduli at their greatest.
"""

import torch
from torch import Tensor

from ...bounds.prices.prices import Evaluation, PricedProblem
from .decisions import RowRanges

LEVEL = 1e-9
"""Parts with a margin above this are dropped."""


def trim_rows(problem: PricedProblem, prices: list[Tensor], evaluation: Evaluation, rows: RowRanges) -> RowRanges:
    """Return the rows of each node without the proven ones at either end.

    Args:
        problem: about S nodes.
        prices: last layer first.
        evaluation: of `problem` at `prices`.
        rows: of the same nodes.
    """
    layer = problem.layers[-1]
    costs = evaluation.costs[-1].flatten(2)[:, layer.pairs[0], layer.pairs[1]]
    found = layer.priced.trains.rows(costs, prices[-1])
    if found is None:
        return rows
    values, start = found
    without = evaluation.bound[layer.pairs[0]] - values.amin(1)
    needed = (without[:, None] + values <= 2 * LEVEL).to(torch.int8)
    first, last = rows.first.clone(), rows.last.clone()
    lowest, highest = start + needed.argmax(1), start + needed.shape[1] - 1 - needed.flip(1).argmax(1)
    first[layer.pairs] = first[layer.pairs].maximum(lowest.to(first.dtype))
    last[layer.pairs] = last[layer.pairs].minimum(highest.to(last.dtype))
    return RowRanges(first, last)
