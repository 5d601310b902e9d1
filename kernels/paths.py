"""paths.c: the shortest paths of priced graphs, for many pairs of a specification and a neuron at once."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, address, fields, load, pointers

ARRAYS = 8
"""Of a graph in paths.c; the last two may be missing."""


class _PathSizes(ctypes.Structure):
    """The struct Sizes in paths.c."""

    _fields_ = fields(REAL, "decay slope_decay surely perhaps", WHOLE, "steps pairs", INT, "threads")


@dataclass(frozen=True)
class PackedGraphs:
    """P priced graphs in the arrays that paths.c reads.

    Attributes:
        constants: λ, λ of the slopes, θ + tie, θ − tie.
        arrays: lower, upper (T, P); low, high and edges, packed (T(T + 1)/2, P); ends (T + 1, P); and the
            potentials left over after a spike, (T + 1, P) each, where they are not 0.
    """

    constants: tuple[float, float, float, float]
    arrays: tuple[Tensor, ...]

    @staticmethod
    def of(constants: tuple[float, float, float, float], arrays: tuple[Tensor, ...]) -> "PackedGraphs":
        """Return the graphs with arrays as C reads them."""
        kinds = (array.cpu().to(torch.uint8) if array.dtype == torch.bool else array.cpu() for array in arrays)
        return PackedGraphs(constants, tuple(array.contiguous() for array in kinds))


@dataclass(frozen=True)
class CompiledPaths:
    """paths.c, loaded."""

    functions: ctypes.CDLL

    def least(self, graphs: PackedGraphs, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min over paths of Σ_t costs[t]·s[t] − Σ_t prices[t]·c[t], and the spikes and currents there.

        Args:
            graphs: of P pairs, in float64.
            costs, prices: (T, P).

        Returns:
            Values (P,), spikes (T, P), currents (T, P).
        """
        costs, prices = costs.contiguous(), prices.contiguous()
        steps, pairs = costs.shape
        values, spikes, currents = costs.new_empty(pairs), torch.empty_like(costs), torch.empty_like(costs)
        sizes = _PathSizes(*graphs.constants, steps, pairs, torch.get_num_threads())
        arrays = pointers([*graphs.arrays, *[None] * (ARRAYS - len(graphs.arrays))])
        given = (ctypes.byref(sizes), arrays, address(costs), address(prices))
        if self.functions.shortest(*given, pointers((values, spikes, currents))):
            raise MemoryError("paths: no memory for the segments of a priced graph")
        return values, spikes, currents


@lru_cache
def paths_kernel() -> CompiledPaths:
    """Return the kernel."""
    return load("paths", torch.float64, CompiledPaths)
