"""moves.c: the sums of a layer's spikes in recordings of which one event has moved.

cells.c: what cells say of the trains of layers that subtract, neuron by neuron and pair by pair.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, RESETS, WHOLE, address, fields, load, parts, pointers

CONSTANTS = ("decay", "surely", "perhaps", "drop", "unit", "span", "smallest")


class _MoveSizes(ctypes.Structure):
    _fields_ = fields(REAL, " ".join(CONSTANTS), WHOLE, "steps neurons members rows events", INT, "reset threads")


@dataclass(frozen=True)
class MovingLayer:
    """A layer of n neurons, and M moves of one event each.

    Attributes:
        lower, upper: scaled currents of the recording, (T, n), float64 as all but the last three.
        factors: a[t], (T,).
        columns: what one event of each feature adds to the currents, (N, n).
        event: which column each move is of, (M,), int64.
        before, after: from which step to which; to −1 where the event is gone, (M,), int64.
    """

    lower: Tensor
    upper: Tensor
    factors: Tensor
    columns: Tensor
    event: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True)
class CompiledMoves:
    """moves.c, loaded."""

    functions: ctypes.CDLL

    def sums(
        self, layer: MovingLayer, constants: tuple[float, ...], reset: str, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the ends of Σ_t rows[k,t]·s[t] of each move and neuron, (k, M, n) each.

        Args:
            layer: what drives it.
            constants: `CONSTANTS`: λ, above what a neuron surely fires, from where on it may, what a spike takes;
                and what a step may be off is unit·(λ·|u| + |c| + span) + smallest.
            reset: of its neurons.
            rows: (k, T).
        """
        given = [*parts(layer), rows.contiguous()]
        (steps, neurons), count = layer.lower.shape, len(layer.event)
        low, high = (rows.new_empty(len(rows), count, neurons) for _ in range(2))
        counts = steps, neurons, count, len(rows), len(layer.columns)
        sizes = _MoveSizes(*constants, *counts, RESETS[reset], torch.get_num_threads())
        if self.functions.move_sums(ctypes.byref(sizes), pointers(given), address(low), address(high)):
            raise MemoryError("moves: no memory for the states of a block")
        return low, high


@lru_cache
def moves_kernel() -> CompiledMoves:
    """Return the kernel."""
    return load("moves", torch.float64, CompiledMoves)


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
