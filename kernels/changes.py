"""changes.c: the sums, or the greatest, of what events may change, row by row."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, POINTER, WHOLE, address, fields, load

MOST = 16
"""How many of the greatest are kept at most."""


class _ChangeSizes(ctypes.Structure):
    _fields_ = fields(WHOLE, "rows steps outputs pairs most", INT, "threads")


class _ChangePair(ctypes.Structure):
    _fields_ = fields(POINTER, "gains changes", WHOLE, "distances count")


@dataclass(frozen=True)
class CompiledChanges:
    """changes.c, loaded."""

    functions: ctypes.CDLL

    def rises(self, pairs: Sequence[tuple[Tensor, Tensor]], most: int | None) -> Tensor:
        """Return the sums of the `most` greatest of changes times gains of all pairs, (rows, outputs).

        Args:
            pairs: changes, (T, n, outputs), and gains, (rows, T, d), both ≥ 0, in float64.
            most: up to `MOST`; None: of all.
        """
        kept = [(change.contiguous(), gain.contiguous()) for change, gain in pairs]
        packed = (_ChangePair * len(kept))(
            *((address(gain), address(change), gain.shape[2], change.shape[1]) for change, gain in kept)
        )
        (rows, steps, _), outputs = kept[0][1].shape, kept[0][0].shape[2]
        if any(c.shape[::2] != (steps, outputs) or g.shape[:2] != (rows, steps) for c, g in kept):
            raise ValueError("pairs: got several shapes, expected changes (T, n, outputs) and gains (rows, T, d)")
        found = kept[0][0].new_zeros(rows, outputs)
        sizes = _ChangeSizes(rows, steps, outputs, len(kept), most or 0, torch.get_num_threads())
        if self.functions.rises(ctypes.byref(sizes), ctypes.byref(packed), address(found)):
            raise MemoryError("changes: no memory for the changes of a block")
        return found


@lru_cache
def changes_kernel() -> CompiledChanges:
    """Return the kernel."""
    return load("changes", torch.float64, CompiledChanges)
