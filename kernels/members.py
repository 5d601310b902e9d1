"""members.c: the sums of a layer's spikes in recordings of which a few events have changed."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, RESETS, WHOLE, address, fields, load, parts, pointers

CONSTANTS = ("decay", "surely", "perhaps", "drop", "unit", "span", "smallest")


class _MemberSizes(ctypes.Structure):
    _fields_ = fields(
        REAL, " ".join(CONSTANTS), WHOLE, "steps neurons members rows events changes", INT, "reset threads"
    )


@dataclass(frozen=True)
class ListedLayer:
    """A layer of n neurons, and M members of a set of recordings with K changes each.

    Attributes:
        lower, upper: scaled currents of the recording, (T, n), float64 as all but `event` and `step`.
        factors: a[t], (T,).
        columns: what one event of each feature adds to the currents, (N, n).
        event, step: the column of each change, and at which step it comes, (M, K), int64.
        weight: how many times; 0 for no change, (M, K).
    """

    lower: Tensor
    upper: Tensor
    factors: Tensor
    columns: Tensor
    event: Tensor
    step: Tensor
    weight: Tensor


@dataclass(frozen=True)
class CompiledMembers:
    """members.c, loaded."""

    functions: ctypes.CDLL

    def sums(
        self, layer: ListedLayer, constants: tuple[float, ...], reset: str, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the ends of Σ_t rows[k,t]·s[t] of each member and neuron, (k, M, n) each.

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
        counts = steps, neurons, count, len(rows), len(layer.columns), layer.event.shape[1]
        sizes = _MemberSizes(*constants, *counts, RESETS[reset], torch.get_num_threads())
        if self.functions.member_sums(ctypes.byref(sizes), pointers(given), address(low), address(high)):
            raise MemoryError("members: no memory for the states of a block")
        return low, high


@lru_cache
def members_kernel() -> CompiledMembers:
    """Return the kernel."""
    return load("members", torch.float64, CompiledMembers)
