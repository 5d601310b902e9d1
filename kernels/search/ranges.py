"""ranges.c: what the slabs that decided trains cut from an input set say of other currents."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..loading import address, load

TOGETHER = 8
"""Inputs that ranges.c takes at once."""

Adam = tuple[int, float, tuple[float, float]]
"""How many steps, their rate, which falls to a tenth on the way, and β₁ and β₂."""


class _RangeSlabs(ctypes.Structure):
    """The struct Slabs in ranges.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("rate", "momentum", "momentum_squares")),
        *((name, ctypes.c_int64) for name in ("iterations", "nodes", "aims", "slabs", "inputs")),
        ("threads", ctypes.c_int),
    )


class _RangeLayer(ctypes.Structure):
    """The struct Layer in ranges.c."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("weights", "bias", "slack", "size", "lower", "upper", "low", "high")
        ),
        ("neurons", ctypes.c_int64),
        ("error", ctypes.c_double),
    )


class _RangeNodes(ctypes.Structure):
    """The struct Nodes in ranges.c."""

    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("sample", "row_low", "row_high", "split", "chosen", "least", "most", "empty")
    )


@dataclass(frozen=True)
class NarrowedLayer:
    """The first layer of B samples: n neurons, m inputs; all float64 and contiguous.

    Attributes:
        weights, bias: (n, m), (n,).
        slack, size, lower, upper: of the currents, (B, n).
        low, high: of the inputs' box, (B, m).
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
    error: float


@dataclass(frozen=True)
class CompiledRanges:
    """ranges.c, loaded."""

    functions: ctypes.CDLL

    @staticmethod
    def of(functions: ctypes.CDLL) -> "CompiledRanges":
        """Return the kernel of functions whose arguments are declared."""
        functions.multipliers.argtypes = [ctypes.c_void_p] * 6
        functions.narrow.argtypes = [ctypes.c_void_p] * 3
        functions.multipliers.restype = functions.narrow.restype = ctypes.c_int
        return CompiledRanges(functions)

    def multipliers(self, rows: Tensor, ends: tuple[Tensor, Tensor], aims: Tensor, adam: Adam) -> Tensor:
        """Return good multipliers of each aim, (N, A, K).

        Args:
            rows: of the slabs, (N, K, m), float32 as the others.
            ends: of the slabs around the middle of the box, (N, K) each.
            aims: (N, A, m).
            adam: how many steps, their rate, and the momenta.
        """
        missing = -rows.shape[2] % TOGETHER
        rows, aims = (torch.nn.functional.pad(tensor, (0, missing)) for tensor in (rows, aims))
        rows, least, most, aims = (tensor.contiguous() for tensor in (rows, *ends, aims))
        iterations, rate, momenta = adam
        (nodes, slabs, inputs), count = rows.shape, aims.shape[1]
        sizes = _RangeSlabs(rate, *momenta, iterations, nodes, count, slabs, inputs, torch.get_num_threads())
        best = rows.new_empty(nodes, count, slabs)
        if self.functions.multipliers(ctypes.byref(sizes), *map(address, (rows, least, most, aims, best))):
            raise MemoryError("ranges: no memory for the slabs of a node")
        return best

    def narrow(self, layer: NarrowedLayer, nodes: tuple[Tensor, ...], adam: Adam) -> tuple[Tensor, Tensor, Tensor]:
        """Return both ends of each node's currents, (N, n), and which nodes are empty, (N,) of bool.

        Args:
            layer: of the samples.
            nodes: the sample of each, (N,); both ends of the currents of the trains that are left, (N, n) each;
                which neurons are split and which are narrowed, (N, n) of bool each.
            adam: how many steps, their rate, and the momenta.
        """
        held = [tensor.contiguous() for tensor in nodes]
        low = held[1]
        found = torch.empty_like(low), torch.empty_like(low), torch.empty(len(low), dtype=torch.bool)
        if self.functions.narrow(*map(ctypes.byref, packed_ranges(layer, held, found, adam))):
            raise MemoryError("ranges: no memory for the slabs of a node")
        return found


def packed_ranges(
    layer: NarrowedLayer, nodes: Sequence[Tensor], found: tuple[Tensor | None, ...], adam: Adam
) -> tuple[ctypes.Structure, ...]:
    """Return the structs Slabs, Layer and Nodes of contiguous tensors, which must live as long as the call."""
    iterations, rate, momenta = adam
    (count, neurons), inputs = nodes[1].shape, layer.weights.shape[1]
    slabs = _RangeSlabs(rate, *momenta, iterations, count, 0, 0, inputs, torch.get_num_threads())
    names = [field[0] for field in _RangeLayer._fields_ if field[1] is ctypes.c_void_p]
    known = [address(getattr(layer, name)) for name in names]
    return slabs, _RangeLayer(*known, neurons, layer.error), _RangeNodes(*map(address, (*nodes, *found)))


@lru_cache
def ranges_kernel() -> CompiledRanges:
    """Return the kernel."""
    return load("ranges", torch.float32, CompiledRanges.of)
