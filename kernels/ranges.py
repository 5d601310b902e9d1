"""ranges.c: what slabs that decided trains cut from an input set say of other currents, and what splits decide."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, POINTER, REAL, WHOLE, address, fields, load, parts, pointers

Adam = tuple[int, float, tuple[float, float]]
"""How many steps, their rate, which falls to a tenth on the way, and β₁ and β₂."""


class _RangeSlabs(ctypes.Structure):
    """The struct Slabs in ranges.c."""

    _fields_ = fields(REAL, "rate momentum momentum_squares", WHOLE, "iterations nodes slabs inputs") + fields(
        INT, "threads"
    )


_LAYER = "weights bias slack size lower upper low high center radius"


class _RangeLayer(ctypes.Structure):
    """The struct Layer in ranges.c."""

    _fields_ = fields(POINTER, _LAYER, WHOLE, "neurons", REAL, "error")


@dataclass(frozen=True)
class NarrowedLayer:
    """The first layer of B samples: n neurons, m inputs; all float64 and contiguous.

    Attributes:
        weights, bias: (n, m), (n,).
        slack, size, lower, upper: of the currents, (B, n).
        low, high: of the inputs' box, (B, m).
        center, radius: of the ball that cuts it, (B, m), (B,), or None.
        error: what float64 may lose of a sum of moduli of 1.
    """

    weights: Tensor
    bias: Tensor
    slack: Tensor
    size: Tensor
    lower: Tensor
    upper: Tensor
    low: Tensor
    high: Tensor
    center: Tensor | None
    radius: Tensor | None
    error: float


class _Cuts(ctypes.Structure):
    """The struct Cuts in ranges.c."""

    _fields_ = fields(
        POINTER, "first last worth weights row_low row_high opened neuron row below above", WHOLE, "rows"
    )


@dataclass(frozen=True)
class CutRows:
    """The rows of a first layer's table in N nodes: n neurons, R rows.

    Attributes:
        first, last: the rows that each neuron has, (N, n), int64.
        worth: of a spike of each neuron that is decided, (N, n), float64.
        weights: of each neuron, what experience says, (N, n), float64.
        low, high: ends of the rows, (R,).
        opened: how many spikes are open where rows a..b are left, (R, R).
    """

    first: Tensor
    last: Tensor
    worth: Tensor
    weights: Tensor
    low: Tensor
    high: Tensor
    opened: Tensor


@dataclass(frozen=True)
class CompiledRanges:
    """ranges.c, loaded."""

    functions: ctypes.CDLL

    def narrow(
        self, layer: NarrowedLayer, nodes: tuple[Tensor, ...], adam: Adam, multipliers: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return both ends of each node's currents, (N, n), and which nodes are empty, (N,) of bool.

        Args:
            layer: of the samples.
            nodes: the sample of each, (N,); both ends of the currents of the trains that are left, (N, n) each;
                which neurons are split and which are narrowed, (N, n) of bool each.
            adam: how many steps, their rate, and the momenta.
            multipliers: of one node, to be filled: M are narrowed by K, (2M + 1, K), float64; low ends first.
        """
        low, high = (torch.empty(nodes[1].shape, dtype=torch.float64) for _ in range(2))
        empty = torch.empty(len(low), dtype=torch.bool)
        self._visit(layer, nodes, adam, (low, high, empty, multipliers))
        device = nodes[1].device
        return low.to(device), high.to(device), empty.to(device)

    def foresee(
        self,
        layer: NarrowedLayer,
        nodes: tuple[Tensor, ...],
        rows: CutRows,
        adam: Adam,
        sides: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the cut of each node that is worth most, neuron and row, (N,) each; 0 where none may be cut.

        Args:
            layer: of the samples.
            nodes: as in `narrow`; those that are chosen there are aims and may be cut here.
            rows: of the same nodes.
            adam: as there.
            sides: zeros, to be filled: what rows up to r decide, and what those behind r do, (N, n, R) each.
        """
        tensors, best = [part.cpu() for part in parts(rows)], torch.empty(2, len(rows.first), dtype=torch.long)
        cuts = _Cuts(*map(address, (*tensors, *best, *(sides or (None, None)))), len(rows.low))
        self._visit(layer, nodes, adam, (None, None, None, None), ctypes.byref(cuts))
        neuron, row = best.to(nodes[1].device)
        return neuron, row

    def _visit(
        self,
        layer: NarrowedLayer,
        nodes: tuple[Tensor, ...],
        adam: Adam,
        found: tuple[Tensor | None, ...],
        cuts: object = None,
    ) -> None:
        """Fill what is to be found of nodes; with `cuts`, these."""
        held, (iterations, rate, momenta) = [tensor.cpu().contiguous() for tensor in nodes], adam
        (count, neurons), inputs = nodes[1].shape, layer.weights.shape[1]
        slabs = _RangeSlabs(rate, *momenta, iterations, count, 0, inputs, torch.get_num_threads())
        packed = _RangeLayer(*(address(getattr(layer, name)) for name in _LAYER.split()), neurons, layer.error)
        if self.functions.visit(ctypes.byref(slabs), ctypes.byref(packed), pointers((*held, *found)), cuts):
            raise MemoryError("ranges: no memory for the slabs of a node")


@lru_cache
def ranges_kernel() -> CompiledRanges:
    """Return the kernel."""
    return load("ranges", torch.float32, CompiledRanges)
