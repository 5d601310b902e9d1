"""`cells.c` where a layer's kernel is "compiled": bitwise what torch's operations compute, in one pass.

It is used only after its results were bitwise those of eager_cells.py and eager_pairs.py on a probe with ties.
Where λ = 1 and spikes are counted it takes one cell a count, which says the same (cells.c tells why).
"""

import ctypes
import itertools
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.cells import CellsLayer, CompiledCells
from ....kernels.loading import load
from ....models.rules import Leaky
from ..signals.box import Box
from ..signals.inflow import Inflow
from .eager_cells import CellRanges, cell_ranges
from .eager_pairs import Pairs, least_differences


@dataclass(frozen=True)
class CellsKernel:
    """The compiled kernel, asked about what an `Inflow` drives."""

    compiled: CompiledCells

    @staticmethod
    def of(functions: ctypes.CDLL) -> "CellsKernel":
        """Return the kernel of the functions of cells.c."""
        return CellsKernel(CompiledCells.of(functions))

    def ranges(self, inflow: Inflow, rule: Leaky, count: int, row: Tensor, decay: float) -> CellRanges:
        """Return what `eager_cells.cell_ranges` does."""
        filled = inflow.lower.new_empty((8, *inflow.lower.shape))
        self.compiled.ranges(_layer(inflow, rule), _flow(inflow), count, row.contiguous(), decay, filled)
        return CellRanges(*(Box(*ends) for ends in zip(filled[::2], filled[1::2], strict=True)))

    def least_differences(self, pairs: Pairs, rule: Leaky, side: int) -> Tensor:
        """Return what `eager_pairs.least_differences` does."""
        filled = pairs.strip.lower.new_empty(pairs.count)
        strip = pairs.strip.lower.contiguous(), pairs.strip.upper.contiguous()
        layer = _layer(pairs.inflow, rule)
        self.compiled.least_differences(layer, _flow(pairs.inflow), strip, side, filled)
        return filled


def cells_kernel_for(wanted: str, inflow: Inflow) -> CellsKernel | None:
    """Return the compiled kernel if it is `wanted`, there, and for currents like these."""
    like = inflow.lower
    if wanted != "compiled" or like.device.type != "cpu" or like.dtype != torch.float64 or like.numel() == 0:
        return None
    found = cells_kernel()
    return found if isinstance(found, CellsKernel) else None


@lru_cache
def cells_kernel() -> CellsKernel | str:
    """Return the loaded kernel, or in one line why there is none."""
    return load("cells.c", torch.float64, CellsKernel.of, _agrees)


def _layer(inflow: Inflow, rule: Leaky) -> CellsLayer:
    steps, size, threads = len(inflow.lower), inflow.lower[0].numel(), torch.get_num_threads()
    return CellsLayer(rule.decay, inflow.surely, inflow.perhaps, rule.drop, steps, size, threads)


def _flow(inflow: Inflow) -> tuple[Tensor, ...]:
    return tuple(ends.contiguous() for ends in (inflow.lower, inflow.upper, inflow.low, inflow.high))


def _agrees(built: CellsKernel, dtype: torch.dtype) -> bool:
    """Return whether ranges and differences come out bitwise as without the kernel."""
    for decay, drop in itertools.product((0.0, 0.5, 0.9, 1.0), (1.0, 1.25)):
        rule, inflow = Leaky(decay, 1.0, "subtract", drop=drop), _probe(dtype, decay)
        row = torch.linspace(-1.0, 1.3, len(inflow.lower)).to(dtype)
        for asked in ((6, row, 0.7), (len(row) + 1, torch.ones_like(row), 1.0)):  # the latter of counts, if λ = 1
            if not _alike(*(find(inflow, rule, *asked) for find in (built.ranges, cell_ranges))):
                return False
        pairs = _probe_pairs(inflow)
        if not torch.equal(built.least_differences(pairs, rule, 4), least_differences(pairs, rule, 4)):
            return False
    return True


def _alike(one: CellRanges, other: CellRanges) -> bool:
    boxes = ((getattr(one, field.name), getattr(other, field.name)) for field in fields(CellRanges))
    return all(torch.equal(a.lower, b.lower) and torch.equal(a.upper, b.upper) for a, b in boxes)


def _probe(dtype: torch.dtype, decay: float) -> Inflow:
    """Return currents many of which bring potentials exactly to a threshold."""
    generator = torch.Generator().manual_seed(0)
    middle, radius = torch.randn(2, 8, 301, generator=generator, dtype=torch.float64).to(dtype)
    radius.abs_().mul_(0.5)
    for ends in (middle, radius):
        ends[:, ::3] = (ends[:, ::3] * 8).round() / 8
    low, high = middle - radius, middle + radius
    lower, upper = low.clone(), high.clone()
    for t in range(1, len(low)):
        lower[t] += decay * lower[t - 1] * 0.9
        upper[t] += decay * upper[t - 1] * 0.9
    return Inflow(lower.minimum(upper), upper.maximum(lower), low, high, torch.zeros_like(low[0]), 1.0, 1.0)


def _probe_pairs(inflow: Inflow) -> Pairs:
    """Return 90 pairs of these neurons, in a strip of half of what their boxes allow."""
    chosen = torch.arange(180).view(2, 90)
    ends = (ends[:, chosen] for ends in (inflow.lower, inflow.upper, inflow.low, inflow.high))
    both = Inflow(*ends, slack=inflow.slack[chosen], surely=inflow.surely, perhaps=inflow.perhaps)
    low, high = both.lower[:, 0] - both.upper[:, 1], both.upper[:, 0] - both.lower[:, 1]
    middle, radius = (low + high) / 2, (high - low) / 4
    return Pairs(both, Box(middle - radius, middle + radius))
