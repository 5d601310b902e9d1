"""What a split would decide: `ranges.c`, over sets that are boxes.

A split confines one current more, which narrows all others; where that leaves fewer rows, it decides spikes. What
they are worth together, on the worse side above all, is what a split is worth: chosen so, a hard sample takes a
fifth of the nodes. Bounds of both children at their parent's prices choose alike; this takes a hundredth of their
time. It chooses, and proves nothing.
"""

import torch
from torch import Tensor

from ....kernels.ranges import Adam, CutRows, ranges_kernel
from ...bounds.trains.forms import TrainRows
from .first_layer import FirstLayer

MOST_NUMBERS = 2**20
"""Cuts, possible or not, that are looked at at once."""
SPARED = 1e-3
"""What a side is worth that decides nothing, as a share of the most that any side of the node decides."""


def best_cuts(
    layer: FirstLayer,
    samples: Tensor,
    found: TrainRows,
    split: Tensor,
    chosen: Tensor,
    score: Tensor,
    weights: Tensor,
    adam: Adam,
) -> tuple[Tensor, Tensor] | None:
    """Return the cut of each node that is worth most, neuron and row, (N,) each; None where no kernel says so.

    Args:
        layer: of the samples.
        samples: of each node, (N,).
        found: the rows that each node has, (N, n).
        split: which neurons its decisions restrict, (N, n) of bool.
        chosen: which may be cut, and are looked at, (N, n) of bool.
        score: what it is worth to decide all of a neuron, (N, n).
        weights: of each neuron, what experience says, (N, n).
        adam: how multipliers are sought.
    """
    if layer.packed is None:
        return None
    rows, ends, best = cut_rows(found, score), found.currents, list[Tensor]()
    count = len(rows.low)
    for part in torch.arange(len(samples)).split(max(1, MOST_NUMBERS // (count * split.shape[1]))):
        given = (tensor[part] for tensor in (samples, ends.lower, ends.upper, split, chosen))
        sides = ranges_kernel().foresee(layer.packed, tuple(given), rows.of(part), adam)
        worth = _worth(*sides) * weights[part, :, None]
        place = torch.arange(count)
        inside = (rows.first[part, :, None] <= place) & (place < rows.last[part, :, None])
        best.append(torch.where(inside & chosen[part, :, None], worth, -1.0).flatten(1).argmax(1))
    places = torch.cat(best)
    return places // count, places % count


def _worth(*sides: Tensor) -> Tensor:
    """Return what cuts are worth, given what either side decides: their product, each (N, n, R)."""
    below, above = (side.nan_to_num(0.0, 0.0, 0.0) for side in sides)
    spared = SPARED * below.maximum(above).amax((1, 2), keepdim=True)
    return (below + spared) * (above + spared)


def cut_rows(found: TrainRows, score: Tensor) -> CutRows:
    """Return rows as the kernel reads them, a neuron's `score`, (N, n), shared out to its open spikes."""
    table = found.table
    opened = 2.0 * table.ranges.radius.sum(0)
    worth = score / opened[found.first, found.last].clamp_min(1.0)
    return CutRows(found.first, found.last, worth, table.lower, table.upper, opened)
