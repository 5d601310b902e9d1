"""ranges.c: which spikes of the first layer each split of a node would decide."""

import ctypes
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ..loading import address, load, parts
from .ranges import Adam, NarrowedLayer, packed_ranges


class _Cuts(ctypes.Structure):
    """The struct Cuts in ranges.c."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("first", "last", "worth", "row_low", "row_high", "opened", "below", "above")
        ),
        ("rows", ctypes.c_int64),
    )


@dataclass(frozen=True)
class CutRows:
    """The rows of a first layer's table in N nodes: n neurons, R rows.

    Attributes:
        first, last: the rows that each neuron has, (N, n), int64.
        worth: of a spike of each neuron that is decided, (N, n), float64.
        low, high: ends of the rows, (R,).
        opened: how many spikes are open where rows a..b are left, (R, R).
    """

    first: Tensor
    last: Tensor
    worth: Tensor
    low: Tensor
    high: Tensor
    opened: Tensor

    def of(self, nodes: Tensor) -> "CutRows":
        """Return those of some nodes."""
        return replace(self, first=self.first[nodes], last=self.last[nodes], worth=self.worth[nodes])


@dataclass(frozen=True)
class CompiledForesight:
    """ranges.c, loaded, for what splits decide."""

    functions: ctypes.CDLL

    @staticmethod
    def of(functions: ctypes.CDLL) -> "CompiledForesight":
        """Return the kernel of functions whose arguments are declared."""
        functions.foresee.argtypes = [ctypes.c_void_p] * 4
        functions.foresee.restype = ctypes.c_int
        return CompiledForesight(functions)

    def foresee(
        self, layer: NarrowedLayer, nodes: tuple[Tensor, ...], rows: CutRows, adam: Adam
    ) -> tuple[Tensor, Tensor]:
        """Return what rows up to r would decide of a node, and what those behind r would, (N, n, R) each.

        Args:
            layer: of the samples.
            nodes: as in `CompiledRanges.narrow`; those that are chosen there are aims and may be cut here.
            rows: of the same nodes.
            adam: as there.
        """
        held = [tensor.contiguous() for tensor in nodes]
        tensors = parts(rows)
        below, above = (torch.zeros(*rows.first.shape, len(rows.low), dtype=torch.float64) for _ in range(2))
        slabs, packed, given = packed_ranges(layer, held, (None, None, None), adam)
        cuts = _Cuts(*map(address, (*tensors, below, above)), len(rows.low))
        if self.functions.foresee(*map(ctypes.byref, (slabs, packed, given, cuts))):
            raise MemoryError("foresight: no memory for the cuts of a node")
        return below, above


@lru_cache
def foresight_kernel() -> CompiledForesight:
    """Return the kernel."""
    return load("ranges", torch.float32, CompiledForesight.of)
