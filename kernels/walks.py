"""walks.c: exact inputs walked step by step through all layers that fire.

members.c: the sums of a layer's spikes in recordings of which a few events have changed.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, POINTER, REAL, RESETS, WHOLE, address, fields, functions, load, parts, pointers

LANES = 8
"""Neurons are filled up to a multiple of so many."""
STATES = 8
"""Numbers that a neuron's state is."""
AT_ONCE = 1 << 28
"""Products of the rows that are walked before it is asked whether the time is up: about .2 s."""

CONSTANTS = ("decay", "surely", "perhaps", "drop", "span", "unit", "smallest")
SYNAPSES = ("synapse_unit", "synapse_smallest", "sum_error")


class _WalkedMap(ctypes.Structure):
    _fields_ = fields(POINTER, "weights bias most errors", REAL, "lost filter")


class _WalkedLayer(ctypes.Structure):
    _fields_ = fields(
        _WalkedMap, "map feedback", POINTER, "scale", REAL, " ".join((*CONSTANTS, *SYNAPSES))
    ) + fields(WHOLE, "inputs size lanes", INT, "reset")


class _WalkSizes(ctypes.Structure):
    _fields_ = fields(WHOLE, "steps entering rows layers marks", REAL, "tame", INT, "threads")


@dataclass(frozen=True)
class WalkMap:
    """y = W·x + b of n outputs and m inputs; float64 as all below.

    Attributes:
        weights: W, (n, m).
        bias, most: b, and the moduli that it is made of, (n,).
        errors: what k products may be off, for each unit of their moduli, (m + 1,).
        lost: what underflow takes from an output.
        filter: κ of the synapse behind it; 0 for none.
    """

    weights: Tensor
    bias: Tensor
    most: Tensor
    errors: Tensor
    lost: float
    filter: float = 0.0

    def filled(self) -> "WalkMap":
        """Return the map as the kernel reads it: transposed, with outputs that are 0."""
        missing = -len(self.weights) % LANES
        rows, bias, most = (
            torch.nn.functional.pad(each, (0, missing)) for each in (self.weights.T, self.bias, self.most)
        )
        return WalkMap(
            rows.contiguous(),
            bias.contiguous(),
            most.contiguous(),
            self.errors.contiguous(),
            self.lost,
            self.filter,
        )

    def packed(self) -> _WalkedMap:
        """Return where its numbers lie."""
        return _WalkedMap(*map(address, (self.weights, self.bias, self.most, self.errors)), self.lost, self.filter)


@dataclass(frozen=True)
class WalkLayer:
    """A layer that fires.

    Attributes:
        map: of what enters.
        feedback: of its own spikes a step before, or None.
        scale: a, (T,), or None for 1.
        constants: `CONSTANTS`; a step may be off by unit·(λ·|u| + |c| + span) + smallest.
        synapses: `SYNAPSES`, of what its synapses and its sum may be off.
        reset: of its neurons.
    """

    map: WalkMap
    feedback: WalkMap | None
    scale: Tensor | None
    constants: tuple[float, ...]
    synapses: tuple[float, ...]
    reset: str

    @property
    def size(self) -> int:
        """Return n."""
        return len(self.map.bias)

    @property
    def products(self) -> int:
        """Return about what a step costs."""
        heard = 0 if self.feedback is None else self.size
        return self.size * (self.map.weights.shape[1] + heard + 8 * STATES)


@dataclass(frozen=True)
class CompiledWalks:
    """walks.c, loaded."""

    functions: ctypes.CDLL

    def walk(
        self,
        layers: Sequence[WalkLayer],
        inputs: Tensor,
        marks: Tensor,
        steps: int,
        tame: float,
        between: Callable[[], None],
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return which spikes of the last layer are certain, and which possible, (rows, T, n) each.

        Args:
            layers: each reads the one before.
            inputs: (rows, T or 1, m).
            marks: what is said of spikes, (rows, k, 4): step, layer and neuron, rising; 1 for one, −1 for none.
            steps: T.
            tame: up to where nothing overflows.
            between: called between parts of the rows.

        Returns:
            Also each row's first open spike, its step, layer and neuron, −1 for none, (rows, 3); None in place of
            all where a number was not tame.
        """
        last = layers[-1].size
        certain, possible = inputs.new_empty(2, len(inputs), steps, last)
        opened = torch.empty(len(inputs), 3, dtype=torch.long)
        each = max(1, AT_ONCE // (steps * sum(layer.products for layer in layers)))
        filled = [(layer.map.filled(), layer.feedback and layer.feedback.filled(), layer) for layer in layers]
        packed = (_WalkedLayer * len(layers))(*(_packed(*one) for one in filled))
        for some in torch.arange(len(inputs)).split(each):
            between()
            own = slice(int(some[0]), int(some[-1]) + 1)
            x, said = inputs[own].contiguous(), marks[own].contiguous()
            sizes = _WalkSizes(
                steps, x.shape[1], len(x), len(layers), said.shape[1], tame, torch.get_num_threads()
            )
            found = pointers([tensor[own] for tensor in (certain, possible, opened)])
            failed = self.functions.walk(ctypes.byref(sizes), packed, pointers((x, said)), found)
            if failed & 1:
                raise MemoryError("walks: no memory for the states of a row")
            if failed:
                return None
        return certain, possible, opened


def _packed(entering: WalkMap, feedback: WalkMap | None, layer: WalkLayer) -> _WalkedLayer:
    heard = _WalkedMap() if feedback is None else feedback.packed()
    inputs, lanes = entering.weights.shape
    numbers = *layer.constants, *layer.synapses, inputs, layer.size, lanes
    return _WalkedLayer(entering.packed(), heard, address(layer.scale), *numbers, RESETS[layer.reset])


@lru_cache
def walks_kernel() -> CompiledWalks:
    """Return the kernel."""
    return load("walks", torch.float64, CompiledWalks)


class _MemberSizes(ctypes.Structure):
    _fields_ = fields(
        REAL, " ".join(CONSTANTS), WHOLE, "steps size members rows events changes", INT, "reset threads"
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


def member_sums(
    layer: ListedLayer, constants: tuple[float, ...], reset: str, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the ends of Σ_t rows[k,t]·s[t] of each member and neuron, (k, M, n) each, by members.c.

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
    filled = address(low), address(high)
    if functions("members", torch.float64).member_sums(ctypes.byref(sizes), pointers(given), *filled):
        raise MemoryError("members: no memory for the states of a block")
    return low, high
