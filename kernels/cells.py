"""cells.c: what cells say of the trains of layers that subtract, neuron by neuron and pair by pair."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import address, load


class CellsLayer(ctypes.Structure):
    """The struct Layer in cells.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("decay", "surely", "perhaps", "drop")),
        *((name, ctypes.c_int64) for name in ("steps", "size")),
        ("threads", ctypes.c_int),
    )


class _CellsFlow(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("lower", "upper", "low", "high"))


class _CellsRanges(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("certain", "possible", "least", "most", "low", "high", "shortest", "longest")
    )


class _PairsStrip(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("lower", "upper"))


@dataclass(frozen=True)
class CompiledCells:
    """cells.c, loaded. All tensors are contiguous."""

    functions: ctypes.CDLL

    @staticmethod
    def of(functions: ctypes.CDLL) -> "CompiledCells":
        """Return the kernel of functions whose arguments are declared."""
        pointer = ctypes.c_void_p
        functions.cell_ranges.argtypes = [pointer, pointer, ctypes.c_int64, pointer, ctypes.c_double, pointer]
        functions.least_differences.argtypes = [pointer, pointer, pointer, ctypes.c_int64, pointer]
        functions.cell_ranges.restype = functions.least_differences.restype = ctypes.c_int
        return CompiledCells(functions)

    def ranges(
        self, layer: CellsLayer, flow: tuple[Tensor, ...], count: int, row: Tensor, decay: float, filled: Tensor
    ) -> None:
        """Fill what K cells a neuron say of each step.

        Args:
            layer: constants and sizes.
            flow: ends of L and of c, (T, ...) each.
            count: K.
            row, decay: of the sum that is asked for; `row` is (T,).
            filled: spikes, S, u and the sum, both ends of each, (8, T, ...).
        """
        given, out = _CellsFlow(*map(address, flow)), _CellsRanges(*map(address, filled))
        arguments = (ctypes.byref(layer), ctypes.byref(given), count, address(row), decay, ctypes.byref(out))
        if self.functions.cell_ranges(*arguments):
            raise MemoryError("cells: no memory for the cells of a neuron")

    def least_differences(
        self, layer: CellsLayer, flow: tuple[Tensor, ...], strip: tuple[Tensor, Tensor], side: int, filled: Tensor
    ) -> None:
        """Fill the least N_y − N_k of each pair, (P,).

        Args:
            layer: constants and sizes: 2P neurons.
            flow: as above, (T, 2, P) each.
            strip: ends of L_y − L_k, (T, P) each.
            side: of the square of cells.
            filled: what is filled.
        """
        given, cut = _CellsFlow(*map(address, flow)), _PairsStrip(*map(address, strip))
        arguments = (ctypes.byref(layer), ctypes.byref(given), ctypes.byref(cut), side, address(filled))
        if self.functions.least_differences(*arguments):
            raise MemoryError("cells: no memory for the cells of a pair")


@lru_cache
def cells_kernel() -> CompiledCells:
    """Return the kernel."""
    return load("cells", torch.float64, CompiledCells.of)
