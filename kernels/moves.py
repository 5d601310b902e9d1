"""moves.c: the sums of a layer's spikes in recordings of which one event has moved."""

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
