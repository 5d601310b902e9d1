"""ranges.c: multipliers of the slabs that decided trains cut from an input set."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from .loading import address

TOGETHER = 4
"""Inputs that ranges.c takes at once."""


class _RangeSlabs(ctypes.Structure):
    """The struct Slabs in ranges.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("rate", "momentum", "momentum_squares")),
        *((name, ctypes.c_long) for name in ("iterations", "nodes", "aims", "slabs", "inputs")),
        ("threads", ctypes.c_int),
    )


@dataclass(frozen=True)
class CompiledRanges:
    """ranges.c, loaded."""

    functions: ctypes.CDLL

    @staticmethod
    def of(functions: ctypes.CDLL) -> "CompiledRanges":
        """Return the kernel of functions whose arguments are declared."""
        functions.multipliers.argtypes = [ctypes.c_void_p] * 6
        functions.multipliers.restype = ctypes.c_int
        return CompiledRanges(functions)

    def multipliers(
        self,
        rows: Tensor,
        ends: tuple[Tensor, Tensor],
        aims: Tensor,
        adam: tuple[int, float, tuple[float, float]],
    ) -> Tensor:
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
