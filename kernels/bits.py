"""bits.c: the least margin of a window of steps over its open bits."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .loading import REAL, RESETS, WHOLE, fields, load, pointers

MOST_LAYERS = 8
MOST_BITS = 2**15 - 1
WORD = 64
_LAYERS, _REALS, _NUMBERS = ctypes.c_int64 * MOST_LAYERS, ctypes.c_double * MOST_LAYERS, ctypes.c_int * MOST_LAYERS


class _BitSizes(ctypes.Structure):
    _fields_ = fields(WHOLE, "steps bits layers words capacity spikes", _LAYERS, "sizes") + fields(
        _REALS, "decay surely perhaps drop", _NUMBERS, "reset", REAL, "constant"
    )


@dataclass(frozen=True)
class LayerConstants:
    """What all neurons of a layer share: λ, θ + tie, θ − tie, what a reset subtracts, and its kind."""

    decay: float
    surely: float
    perhaps: float
    drop: float
    reset: str


_WINDOW = (
    "step",
    "columns",
    "lower",
    "upper",
    "base",
    "matrix",
    "factor",
    "low",
    "high",
    "widening",
    "known",
    "costs",
    "fewest",
    "greatest",
)


_HEAP = ("bound", "slot", "masks", "bit", "depth", "state", "closed")


@dataclass(frozen=True)
class BitWindow:
    """A window of w steps with B open bits, and of each layer l the n_l neurons that are open in it.

    Attributes:
        layers: their constants.
        sizes: n_l.
        step: of each bit, (B,), of int64.
        columns: what a bit adds to the first layer's currents, (B, n_0), float64 as all below.
        lower, upper: links of chains, (B,) of int64: the bit that is 1 where this one is, and the bit that is 0
            where this one is; −1 for none.
        base: currents without what is open, (w·n_l) of each layer in turn.
        matrix: (n_{l−1}·n_l) of each layer behind the first, in turn.
        factor: a[t], (layers, w).
        low, high: potentials before the window, (n_l) in turn.
        widening: what may be added to each current, (n_l) in turn.
        known: 1 for a spike that may be, 3 for one that must be, (w·n_l) in turn, of uint8.
        costs: of the last layer's spikes, (w, n).
        constant: what the margin has besides.
        fewest, greatest: where neurons count (decay 1, subtracting, costs the same at each step), their spikes
            in the window up to each step, (w·n_l) in turn; None: step by step.
        spikes: whether spikes before the last layer are split, too; its own that are known are made sure of.
    """

    layers: tuple[LayerConstants, ...]
    sizes: tuple[int, ...]
    step: Tensor
    columns: Tensor
    lower: Tensor
    upper: Tensor
    base: Tensor
    matrix: Tensor
    factor: Tensor
    low: Tensor
    high: Tensor
    widening: Tensor
    known: Tensor
    costs: Tensor
    constant: float
    fewest: Tensor | None = None
    greatest: Tensor | None = None
    spikes: bool = False

    @property
    def words(self) -> int:
        """Return how many words hold a mask of the bits."""
        return max(1, -(-(len(self.step) + self.spikes * len(self.known)) // WORD))

    def _packed(self, capacity: int) -> tuple[_BitSizes, Any]:
        constants = [(layer.decay, layer.surely, layer.perhaps, layer.drop) for layer in self.layers]
        sizes = _BitSizes(
            len(self.costs),
            len(self.step),
            len(self.sizes),
            self.words,
            capacity,
            self.spikes,
            _LAYERS(*self.sizes),
            *(_REALS(*column) for column in zip(*constants, strict=True)),
            _NUMBERS(*(RESETS[layer.reset] for layer in self.layers)),
            self.constant,
        )
        return sizes, pointers([getattr(self, name) for name in _WINDOW])


@dataclass(frozen=True)
class BitHeap:
    """The open nodes of a window's search; its tensors are the kernel's own.

    Attributes:
        bound, slot: of each place, (capacity,).
        masks: of each slot, which bits are fixed and their values, (capacity, 2·words).
        bit, depth: of each slot, where it is split and how many bits are fixed, (capacity,).
        state: how many nodes are open, how many were bounded, how many slots were used; the slot of `closed`.
        closed: the least bound of a node that no bit moves, (1,).
    """

    bound: Tensor
    slot: Tensor
    masks: Tensor
    bit: Tensor
    depth: Tensor
    state: Tensor
    closed: Tensor

    @staticmethod
    def of(window: BitWindow, capacity: int) -> "BitHeap":
        """Return an empty heap for as many nodes."""
        return BitHeap(
            torch.empty(capacity, dtype=torch.float64),
            torch.empty(capacity, dtype=torch.int32),
            torch.empty(capacity, 2 * window.words, dtype=torch.int64),
            torch.empty(capacity, dtype=torch.int16),
            torch.empty(capacity, dtype=torch.int16),
            torch.zeros(4, dtype=torch.int64),
            torch.full((1,), torch.inf, dtype=torch.float64),
        )

    @property
    def low(self) -> float:
        """Return what bounds the window's margin from below; −inf before the first node."""
        if int(self.state[1]) == 0:
            return -torch.inf
        is_open = float(self.bound[0]) if int(self.state[0]) else torch.inf
        return min(is_open, float(self.closed))

    @property
    def done(self) -> bool:
        """Return whether no split raises the bound any more, or none fits."""
        begun, full = int(self.state[1]) > 0, int(self.state[2]) >= len(self.bound)
        return begun and (full or self.low >= float(self.closed))

    @property
    def bytes(self) -> int:
        """Return what the slots that were used take."""
        each = sum(getattr(self, name)[0].nbytes for name in ("bound", "slot", "masks", "bit", "depth"))
        return int(self.state[2]) * each

    def leaf(self, bits: int) -> tuple[Tensor, Tensor]:
        """Return which bits the node of bound `closed` fixes, and which of these are 1, (B,) of bool each."""
        words = self.masks[int(self.state[3])].view(2, -1, 1)
        found = (words >> torch.arange(WORD)) & 1 > 0
        fixed, ones = found.flatten(1)[:, :bits]
        return fixed, ones


@dataclass(frozen=True)
class CompiledBits:
    """bits.c, loaded."""

    functions: ctypes.CDLL

    def split(self, window: BitWindow, heap: BitHeap, nodes: int, enough: float) -> None:
        """Split so many nodes of a window, the least bound first, until that is `enough`."""
        sizes, arrays = window._packed(len(heap.bound))
        held = pointers([getattr(heap, name) for name in _HEAP])
        if self.functions.split(ctypes.byref(sizes), arrays, held, WHOLE(nodes), REAL(enough)):
            raise MemoryError("bits: no memory for the neurons of a window")


@lru_cache
def bits_kernel() -> CompiledBits:
    """Return the kernel."""
    return load("bits", torch.float64, CompiledBits)
