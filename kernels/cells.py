"""cells.c: what cells say of the trains of layers that subtract, neuron by neuron and pair by pair."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, address, fields, load, pointers


class CellsLayer(ctypes.Structure):
    """The struct Layer in cells.c."""

    _fields_ = fields(REAL, "decay surely perhaps drop", WHOLE, "steps size", INT, "threads")


@dataclass(frozen=True)
class CompiledCells:
    """cells.c, loaded. All tensors are contiguous."""

    functions: ctypes.CDLL

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
        told = WHOLE(count), address(row), REAL(decay)
        arguments = (ctypes.byref(layer), pointers(flow), *told, pointers([*filled]))
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
        arguments = (ctypes.byref(layer), pointers(flow), pointers(strip), WHOLE(side), address(filled))
        if self.functions.least_differences(*arguments):
            raise MemoryError("cells: no memory for the cells of a pair")


@lru_cache
def cells_kernel() -> CompiledCells:
    """Return the kernel."""
    return load("cells", torch.float64, CompiledCells)
