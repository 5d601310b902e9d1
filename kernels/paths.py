"""paths.c: the shortest paths of priced graphs, for many pairs of a specification and a neuron at once."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import address, load


class _PathSizes(ctypes.Structure):
    """The struct Sizes in paths.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("decay", "slope_decay", "surely", "perhaps")),
        *((name, ctypes.c_int64) for name in ("steps", "pairs")),
        ("threads", ctypes.c_int),
    )


class _PathGraph(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("lower", "upper", "low", "high", "edges", "ends", "start_low", "start_high")
    )


class _PathAnswer(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("values", "spikes", "currents"))


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

    @staticmethod
    def of(functions: ctypes.CDLL) -> "CompiledPaths":
        """Return the kernel of functions whose arguments are declared."""
        functions.shortest.argtypes = [ctypes.c_void_p] * 5
        functions.shortest.restype = ctypes.c_int
        return CompiledPaths(functions)

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
        arrays = _PathGraph(*map(address, graphs.arrays))
        answer = _PathAnswer(*map(address, (values, spikes, currents)))
        given = (ctypes.byref(sizes), ctypes.byref(arrays), address(costs), address(prices))
        if self.functions.shortest(*given, ctypes.byref(answer)):
            raise MemoryError("paths: no memory for the segments of a priced graph")
        return values, spikes, currents


@lru_cache
def paths_kernel() -> CompiledPaths:
    """Return the kernel."""
    return load("paths", torch.float64, CompiledPaths.of)
