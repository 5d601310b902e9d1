"""spikes.c, sparse.c and changes.c: spikes under boxes, gradients of sparse signals, sums over changed events.

sparse.c: the gradient of weights whose signal is mostly 0.

changes.c: the sums, or the greatest, of what events may change, row by row.

membrane.c and what it includes: the membrane recursion, its gradients, and ends of spikes for training.
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


FIRES = {">=": 0, ">": 1}
TRIANGLE, ARCTAN = 0, 1
"""The numbers that stand for surrogates."""


class MembraneLayer(ctypes.Structure):
    """The struct Layer in membrane.c."""

    _fields_ = fields(REAL, "decay threshold drop width", INT, "reset fires surrogate threads") + fields(
        WHOLE, "steps size current_stride"
    )


class _MembraneGradients(ctypes.Structure):
    _fields_ = fields(POINTER, "potentials spikes final", WHOLE, "potential_stride spike_stride") + fields(
        POINTER, "current initial"
    )


class _WindowCurrents(ctypes.Structure):
    """The struct Windows in windows.c."""

    _fields_ = fields(POINTER, "currents cuts weights spans", WHOLE, "rows")


@dataclass(frozen=True)
class CompiledMembrane:
    """membrane.c, loaded for one floating-point type. All tensors are contiguous."""

    functions: ctypes.CDLL

    def forward(
        self,
        layer: MembraneLayer,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        potentials: Tensor | None,
        spikes: Tensor | None,
        final: Tensor | None,
        counts: Tensor | None = None,
    ) -> None:
        """Fill what of these there is: `counts`, (batch, ...), are the spikes of all steps."""
        pointers = map(address, (current, input_scale, initial, potentials, spikes, counts, final))
        self.functions.forward(ctypes.byref(layer), *pointers)

    def backward(
        self,
        layer: MembraneLayer,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        incoming: tuple[Tensor | None, Tensor | None, Tensor | None],
        outgoing: tuple[Tensor, Tensor | None, Tensor | None],
    ) -> None:
        """Fill the gradients of current and initial residue, and add to that of the input scale.

        Args:
            layer, current, input_scale, initial: as in the forward pass.
            incoming: the gradients of potentials, spikes and final residue, of any layout.
            outgoing: those of current, initial residue and input scale.
        """
        potentials, spikes, final = incoming
        potentials, spikes = (None if g is None else _by_steps(g) for g in (potentials, spikes))
        final = None if final is None else final.contiguous()
        gradients = _MembraneGradients(
            *map(address, (potentials, spikes, final)),
            *(0 if g is None else g.stride(0) for g in (potentials, spikes)),
            *map(address, outgoing[:2]),
        )
        pointers = map(address, (current, input_scale, initial))
        failed = self.functions.backward(
            ctypes.byref(layer), *pointers, ctypes.byref(gradients), address(outgoing[2])
        )
        if failed:
            raise MemoryError("membrane: the backward pass got no memory for its potentials")

    def ends_forward(
        self, layer: MembraneLayer, currents: Tensor, input_scale: Tensor | None, spikes: Tensor
    ) -> None:
        """Fill the ends of spikes, (2, T, batch, ...), for those of currents."""
        self.functions.ends_forward(ctypes.byref(layer), *map(address, (currents, input_scale, spikes)))

    def ends_backward(
        self,
        layer: MembraneLayer,
        currents: Tensor,
        input_scale: Tensor | None,
        grad: Tensor,
        outgoing: tuple[Tensor, Tensor | None],
    ) -> None:
        """Fill the gradient of the currents, and add to that of the input scale, for that of the spikes' ends."""
        pointers = map(address, (currents, input_scale, grad, *outgoing))
        if self.functions.ends_backward(ctypes.byref(layer), *pointers):
            raise MemoryError("membrane: the backward pass of the ends got no memory for its potentials")

    def coupled_forward(self, layer: MembraneLayer, currents: Tensor, spikes: Tensor) -> None:
        """Fill the ends of spikes, (2, T, batch, ...), of two runs that pay for each other's spikes."""
        self.functions.coupled_forward(ctypes.byref(layer), *map(address, (currents, spikes)))

    def coupled_backward(self, layer: MembraneLayer, currents: Tensor, grad: Tensor, outgoing: Tensor) -> None:
        """Fill the gradient of the currents for that of the spikes' ends."""
        if self.functions.coupled_backward(ctypes.byref(layer), *map(address, (currents, grad, outgoing))):
            raise MemoryError("membrane: the backward pass of coupled runs got no memory for its potentials")

    def window_ends(
        self, layer: MembraneLayer, given: tuple[Tensor, ...], found: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """Fill what `training.bounds.window_spikes.eager_windows` returns.

        Args:
            layer: of a hard reset.
            given: windows' currents (2, T(T+1)/2, ...), θ·λ^j (T + 1,), rows (R, T), and their spans (R, 2).
            found: the rows' ends, the potentials, and the starts of their windows.
        """
        asked = _WindowCurrents(*map(address, given), len(given[2]))
        if self.functions.window_ends(ctypes.byref(layer), ctypes.byref(asked), pointers(found)):
            raise MemoryError("membrane: the paths of windows got no memory")


def membrane_layer(
    current: Tensor, constants: tuple[float, float, float, float], kinds: tuple[int, int, int], steps: int
) -> MembraneLayer:
    """Return the constants of a layer whose current is (T or 1, batch, ...).

    Args:
        current: I.
        constants: λ, θ, d and the surrogate's width.
        kinds: the numbers of the reset, of the firing rule and of the surrogate.
        steps: T.
    """
    size = current[0].numel()
    stride = 0 if len(current) == 1 else size
    return MembraneLayer(*constants, *kinds, torch.get_num_threads(), steps, size, stride)


def _by_steps(gradient: Tensor) -> Tensor:
    """Return a gradient whose steps are contiguous each; one that is the same at all steps stays a view."""
    return gradient if gradient[0].is_contiguous() else gradient.contiguous()
