"""cells.c: what cells say of the trains of layers that subtract, neuron by neuron and pair by pair."""

import ctypes

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, address, fields, functions, pointers


class CellsLayer(ctypes.Structure):
    """The struct Layer in cells.c."""

    _fields_ = fields(REAL, "decay surely perhaps drop", WHOLE, "steps size", INT, "threads")


def fill_ranges(
    layer: CellsLayer, flow: tuple[Tensor, ...], count: int, row: Tensor, decay: float, filled: Tensor
) -> None:
    """Fill what K cells a neuron say of each step; all tensors are contiguous.

    Args:
        layer: constants and sizes.
        flow: ends of L and of c, (T, ...) each.
        count: K.
        row, decay: of the sum that is asked for; `row` is (T,).
        filled: spikes, S, u and the sum, both ends of each, (8, T, ...).
    """
    told = WHOLE(count), address(row), REAL(decay)
    arguments = (ctypes.byref(layer), pointers(flow), *told, pointers([*filled]))
    if functions("cells", torch.float64).cell_ranges(*arguments):
        raise MemoryError("cells: no memory for the cells of a neuron")


def fill_differences(
    layer: CellsLayer, flow: tuple[Tensor, ...], strip: tuple[Tensor, Tensor], side: int, filled: Tensor
) -> None:
    """Fill the least N_y − N_k of each pair, (P,); all tensors are contiguous.

    Args:
        layer: constants and sizes: 2P neurons.
        flow: as above, (T, 2, P) each.
        strip: ends of L_y − L_k, (T, P) each.
        side: of the square of cells.
        filled: what is filled.
    """
    arguments = (ctypes.byref(layer), pointers(flow), pointers(strip), WHOLE(side), address(filled))
    if functions("cells", torch.float64).least_differences(*arguments):
        raise MemoryError("cells: no memory for the cells of a pair")
