"""spikes.c, sparse.c and changes.c: spikes under boxes, gradients of sparse signals, sums over changed events.

sparse.c: the gradient of weights whose signal is mostly 0.

changes.c: the sums, or the greatest, of what events may change, row by row.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, POINTER, REAL, RESETS, WHOLE, address, fields, load, pointers

Pair = tuple[Tensor | None, Tensor | None]
"""Two tensors that are filled, or that nobody asks for."""


class SpikesLayer(ctypes.Structure):
    """The struct Layer in spikes.c."""

    _fields_ = fields(REAL, "decay surely perhaps drop", INT, "reset threads", WHOLE, "steps size current_stride")


@dataclass(frozen=True)
class CompiledSpikes:
    """spikes.c, loaded for one floating-point type. All tensors are contiguous.

    A current is its middle and radius, (T, batch, ...) or (1, batch, ...); steps are middle and radius of spikes,
    (T, batch, ...); sums are least and greatest, (batch, ...).
    """

    functions: ctypes.CDLL

    def interval(self, layer: SpikesLayer, current: tuple[Tensor, Tensor], steps: Pair, sums: Pair) -> None:
        """Fill the steps, and the fewest and most spikes, of the interval recursion."""
        self.functions.interval_spikes(ctypes.byref(layer), pointers(current), pointers((*steps, *sums)))

    def graph(
        self, layer: SpikesLayer, current: tuple[Tensor, Tensor], row: Tensor | None, steps: Pair, sums: Pair
    ) -> None:
        """Fill the steps of the graph of a hard reset, and the ends of Σ_t row[t]·s[t] over its paths."""
        arguments = (ctypes.byref(layer), pointers(current), address(row), pointers((*steps, *sums)))
        if self.functions.graph_spikes(*arguments):
            raise MemoryError("graph: no memory for its nodes")

    def table(
        self, layer: SpikesLayer, current: tuple[Tensor, Tensor], tables: tuple[Tensor, ...], steps: Pair
    ) -> None:
        """Fill the steps under a constant current.

        Args:
            layer, current: of the neurons.
            tables: lower and upper ends of the table's rows, (R,), and middle and radius of the steps if the rows
                from i to j may be, (T, R, R).
            steps: what is filled.
        """
        known = (ctypes.byref(layer), pointers(current), WHOLE(len(tables[0])), *map(address, tables))
        self.functions.table_spikes(*known, pointers((*steps, None, None)))


def spikes_layer(
    middle: Tensor, constants: tuple[float, float, float, float], reset: str, steps: int
) -> SpikesLayer:
    """Return the constants of a layer.

    Args:
        middle: of the current, (T or 1, batch, ...).
        constants: λ, θ + tie, θ − tie and d.
        reset: "zero", "subtract" or "none".
        steps: T.
    """
    size = middle[0].numel()
    stride = 0 if len(middle) == 1 else size
    return SpikesLayer(*constants, RESETS[reset], torch.get_num_threads(), steps, size, stride)


class _SparseShapes(ctypes.Structure):
    """The struct Shapes in sparse.c."""

    _fields_ = fields(REAL, "share", WHOLE, "rows inputs outputs", INT, "threads")


@dataclass(frozen=True)
class CompiledSparse:
    """sparse.c, loaded for one floating-point type. All tensors are contiguous."""

    functions: ctypes.CDLL

    def transposed_product(self, grad: Tensor, signal: Tensor, share: float) -> Tensor | None:
        """Return Gᵀ·X, (outputs, inputs), of G, (rows, outputs), and X, (rows, inputs); None where X is too full.

        A row of G counts only where X is not 0: NaN and inf elsewhere are not seen.

        Args:
            grad, signal: G and X.
            share: the most of any 256 columns of X that may be other than 0.
        """
        shapes = _SparseShapes(share, len(grad), signal.shape[1], grad.shape[1], torch.get_num_threads())
        product = grad.new_empty(grad.shape[1], signal.shape[1])
        left = self.functions.transposed_product(ctypes.byref(shapes), *map(address, (grad, signal, product)))
        return None if left else product


@lru_cache
def sparse_kernel(dtype: torch.dtype) -> CompiledSparse:
    """Return the kernel for a floating-point type."""
    return load("sparse", dtype, CompiledSparse)


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
