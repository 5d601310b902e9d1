"""The ranges of cells by torch's own operations: what cells.c must agree with bitwise."""

import torch
from torch import Tensor

from spikecert.certify.bounds.cells.compiled_cells import CellRanges
from spikecert.certify.bounds.cells.merging import Cells, candidates, merged, targets
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.inflow import Inflow
from spikecert.models.rules import Leaky


def cell_ranges(inflow: Inflow, rule: Leaky, count: int, row: Tensor, decay: float) -> CellRanges:
    """Return what K cells a neuron say of each step.

    Args:
        inflow: what drives the neurons.
        rule: of the layer.
        count: K.
        row, decay: of the sum that is asked for; `row` is (T,).
    """
    cells, found = Cells.start(inflow.slack, count), []
    for t, weight in enumerate(row.tolist()):
        reached = candidates(cells, inflow, t, rule, weight, decay)
        cells = merged(reached, targets(reached, count), count)
        found.append((_spikes(reached), *_ranges(cells)))
    spikes, *others = (_stacked(boxes) for boxes in zip(*found, strict=True))
    return CellRanges(spikes, *others)


def _ranges(cells: Cells) -> tuple[Box, ...]:
    """Return the ranges of S, of u and of the sum: hulls over the cells that are alive, (...)."""
    dead = ~cells.alive
    pairs = ((cells.least, cells.most), (cells.low, cells.high), (cells.shortest, cells.longest))
    return tuple(
        Box(least.masked_fill(dead, torch.inf).amin(0), most.masked_fill(dead, -torch.inf).amax(0))
        for least, most in pairs
    )


def _spikes(reached: Cells) -> Box:
    """Return whether a spike is certain, and whether it is possible, as 0 or 1, (...) each."""
    silent, fires = reached.alive.chunk(2)
    return Box((~silent.any(0)).to(reached.least.dtype), fires.any(0).to(reached.least.dtype))


def _stacked(boxes: tuple[Box, ...]) -> Box:
    return Box(torch.stack([box.lower for box in boxes]), torch.stack([box.upper for box in boxes]))
