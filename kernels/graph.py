"""graph.c: the graphs of trains of a dense layer behind a table of trains."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, fields, load, parts, pointers


class _GraphSizes(ctypes.Structure):
    _fields_ = fields(REAL, "surely perhaps", WHOLE, "steps samples neurons sources rows", INT, "threads")


@dataclass(frozen=True)
class GraphLayer:
    """A dense layer of B samples behind a table of R rows, over T steps: n neurons that read m; float64 or int64.

    Attributes:
        weights, bias: (n, m), (n,).
        trains: of the table, (R, T).
        first, last: rows of each source, (B, m).
        ages, factors: λ^0..λ^T, (T + 1,), and a, (T,).
        slack: what a unit of weight of the product may be off, (B, n).
        widening: what the recursion may add to a unit, (B, n).
        lower, upper: currents of each step, widened, (T, B, n).
    """

    weights: Tensor
    bias: Tensor
    trains: Tensor
    first: Tensor
    last: Tensor
    ages: Tensor
    factors: Tensor
    slack: Tensor
    widening: Tensor
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class FoundGraphs:
    """What the kernel finds, as `GraphTrains` holds it, edges step after step: E = T(T + 1)/2.

    Attributes:
        edges, ends: (E, B, n), (T + 1, B, n), bool.
        low, high: potentials since the last spike, (E, B, n).
        certain, possible: of the spikes, (T, B, n).
        lower, upper: currents cut to the windows of one step, (T, B, n).
    """

    edges: Tensor
    ends: Tensor
    low: Tensor
    high: Tensor
    certain: Tensor
    possible: Tensor
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class CompiledGraph:
    """graph.c, loaded."""

    functions: ctypes.CDLL

    def graphs(self, layer: GraphLayer, limits: tuple[float, float]) -> FoundGraphs:
        """Return the graphs of neurons that fire above, and may fire from, these limits on."""
        given = parts(layer)
        (neurons, sources), (steps, samples, _) = layer.weights.shape, layer.lower.shape
        edges, size = steps * (steps + 1) // 2, (samples, neurons)
        flags = (torch.empty(count, *size, dtype=torch.bool) for count in (edges, steps + 1))
        numbers = (layer.lower.new_empty(count, *size) for count in (edges, edges, steps, steps, steps, steps))
        found = FoundGraphs(*flags, *numbers)
        counts = (steps, samples, neurons, sources, len(layer.trains))
        sizes = _GraphSizes(*limits, *counts, torch.get_num_threads())
        if self.functions.graphs(ctypes.byref(sizes), pointers(given), pointers(parts(found))):
            raise MemoryError("graph: no memory for the windows of a layer")
        return found


@lru_cache
def graph_kernel() -> CompiledGraph:
    """Return the kernel."""
    return load("graph", torch.float64, CompiledGraph)
