"""climb.c and prove.c: the whole climb of many nodes of the search in one call, and what its prices prove."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, POINTER, REAL, RESETS, WHOLE, address, fields, load


class _ClimbNeuron(ctypes.Structure):
    _fields_ = fields(REAL, "decay threshold drop", INT, "reset strict")


_TABLE = (
    "weights bias row_low row_high trains lower upper slack box_low box_high center radius first last split scale"
)


class _ClimbTable(ctypes.Structure):
    _fields_ = fields(POINTER, _TABLE, REAL, "lasting", _ClimbNeuron, "neuron", WHOLE, "neurons inputs rows")


_LATER = "weights bias lower upper slack certain possible low high edges ends start_low start_high scale"


class _ClimbLater(ctypes.Structure):
    _fields_ = fields(
        POINTER, _LATER, REAL, "lasting slope_decay surely perhaps", _ClimbNeuron, "neuron"
    ) + fields(WHOLE, "neurons sources")


class _ClimbSizes(ctypes.Structure):
    _fields_ = fields(REAL, "rate memory momentum momentum_squares enough") + fields(
        WHOLE, "iterations steps later batch nodes", INT, "threads"
    )


class _ClimbNodes(ctypes.Structure):
    _fields_ = fields(POINTER, "sample costs constant prices best inputs score")


@dataclass(frozen=True)
class NeuronConstants:
    """What a layer's neurons run by."""

    decay: float
    threshold: float
    drop: float
    reset: str
    strict: bool

    def packed(self) -> _ClimbNeuron:
        """Return the struct."""
        return _ClimbNeuron(self.decay, self.threshold, self.drop, RESETS[self.reset], self.strict)


@dataclass(frozen=True)
class FirstTable:
    """The first layer of B samples: n neurons, m inputs, a table of R rows.

    Attributes:
        weights, bias: (n, m), (n,), in the kernel's dtype.
        row_low, row_high, trains: (R,), (R,), (R, T).
        lower, upper, slack: of the currents, (B, n).
        box_low, box_high: of the inputs, (B, m).
        center, radius: of the ball that cuts the box, (B, m), (B,), or None.
        first, last: rows, (B, n), int64.
        split: (B, n) of bool.
        scale: a, (T,).
        lasting: how much longer a price's steps are.
        neuron: constants.
    """

    weights: Tensor
    bias: Tensor
    row_low: Tensor
    row_high: Tensor
    trains: Tensor
    lower: Tensor
    upper: Tensor
    slack: Tensor
    box_low: Tensor
    box_high: Tensor
    center: Tensor | None
    radius: Tensor | None
    first: Tensor
    last: Tensor
    split: Tensor
    scale: Tensor
    lasting: float
    neuron: NeuronConstants


@dataclass(frozen=True)
class LaterGraphs:
    """A later layer of B samples: n neurons that read m, and their graphs.

    Attributes:
        weights, bias: (n, m), (n,), in the kernel's dtype.
        lower, upper, slack: of the scaled currents, (T, B, n).
        certain, possible: of the spikes, (T, B, n).
        low, high, edges: by step, (t, B, n) each.
        ends: (T + 1, B, n) of bool.
        starts: what is left after a spike, (T + 1, B, n) each, or None for 0.
        scale: a, (T,).
        lasting: how much longer a price's steps are.
        constants: λ of the slopes, θ + tie, θ − tie.
        neuron: constants.
    """

    weights: Tensor
    bias: Tensor
    lower: Tensor
    upper: Tensor
    slack: Tensor
    certain: Tensor
    possible: Tensor
    low: Sequence[Tensor]
    high: Sequence[Tensor]
    edges: Sequence[Tensor]
    ends: Tensor
    starts: tuple[Tensor, Tensor] | None
    scale: Tensor
    lasting: float
    constants: tuple[float, float, float]
    neuron: NeuronConstants


@dataclass(frozen=True)
class ClimbSettings:
    """Adam's constants; a node whose bound is above `enough` is left alone."""

    iterations: int
    rate: float
    memory: float
    momenta: tuple[float, float]
    enough: float


@dataclass(frozen=True)
class Proposal:
    """What the kernel found of S nodes: proposals, nothing is proven.

    Attributes:
        best: the bound at `prices`, (S,).
        prices: first layer first, (S, steps, n) each, float32.
        inputs: running mean of the minimising inputs, (S, m).
        score: what a split of each first-layer neuron is worth, (S, n); only where `best` is low.
    """

    best: Tensor
    prices: tuple[Tensor, ...]
    inputs: Tensor
    score: Tensor


@dataclass(frozen=True)
class CompiledClimb:
    """climb.c, loaded."""

    functions: ctypes.CDLL

    def climb(
        self,
        settings: ClimbSettings,
        layers: tuple[FirstTable, tuple[LaterGraphs, ...]],
        sample: Tensor,
        readout: tuple[Tensor, Tensor],
        start: tuple[Tensor, ...],
    ) -> Proposal:
        """Climb from prices `start`.

        Args:
            settings: of the climb.
            layers: the network; tensors are contiguous, and float64 where nothing else is said.
            sample: which of the B samples each node is about, (S,).
            readout: the coefficients on the last layer's spikes, (T, S, n), and the constant, (S,).
            start: first layer first, (S, steps, n) each.
        """
        table, _ = layers
        nodes, inputs = len(sample), table.box_low.shape[1]
        prices = tuple(price.to(torch.float32, copy=True).contiguous() for price in start)
        like = readout[1]
        found = Proposal(
            like.new_zeros(nodes),
            prices,
            like.new_zeros(nodes, inputs),
            like.new_zeros(nodes, table.lower.shape[1]),
        )
        told = (found.best, found.inputs, found.score)
        if _called(self.functions.climb_nodes, settings, layers, (sample, *readout), prices, told):
            raise MemoryError("climb: no memory for a node")
        return found


@dataclass(frozen=True)
class ProvenNodes:
    """What prices of S nodes prove.

    Attributes:
        bound: of each, −∞ where numbers are so large that nothing is said, (S,).
        lowest, highest: the first and the last row of each first-layer neuron that is still needed, (S, n).
    """

    bound: Tensor
    lowest: Tensor
    highest: Tensor


class _ProofGiven(ctypes.Structure):
    _fields_ = fields(REAL, "error level", POINTER, "lowest highest")


@dataclass(frozen=True)
class CompiledProof:
    """prove.c, loaded."""

    functions: ctypes.CDLL

    def prove(
        self,
        layers: tuple[FirstTable, tuple[LaterGraphs, ...]],
        sample: Tensor,
        readout: tuple[Tensor, Tensor],
        prices: tuple[Tensor, ...],
        error: float,
        level: float,
    ) -> ProvenNodes:
        """Return what `prices` prove.

        Args:
            layers, sample, readout: as in `CompiledClimb.climb`, matrices in float64.
            prices: first layer first, (S, steps, n) each, float32.
            error: what float64 may lose of a sum of moduli of 1.
            level: parts of a node that are proven to be above this are not needed.
        """
        size = len(sample), layers[0].lower.shape[1]
        rows = torch.empty(size, dtype=torch.long), torch.empty(size, dtype=torch.long)
        found = ProvenNodes(readout[1].new_empty(len(sample)), *rows)
        more = _ProofGiven(error, level, *map(address, rows))
        told, given = (found.bound, None, None), (sample, *readout)
        if _called(self.functions.prove_nodes, _STILL, layers, given, prices, told, ctypes.byref(more)):
            raise MemoryError("prove: no memory for a node")
        return found


_STILL = ClimbSettings(0, 0.0, 0.0, (0.0, 0.0), 0.0)


def _called(
    function: Callable[..., int],
    settings: ClimbSettings,
    layers: tuple[FirstTable, tuple[LaterGraphs, ...]],
    given: tuple[Tensor, ...],
    prices: tuple[Tensor, ...],
    told: tuple[Tensor | None, ...],
    *more: object,
) -> int:
    """Call a function about nodes: their samples and readout, their prices, and where to write what is found."""
    (table, later), keep = layers, _Kept()
    nodes = _ClimbNodes(*map(keep.address, given), keep.addresses(prices), *map(address, told))
    climb = _ClimbSizes(
        settings.rate,
        settings.memory,
        *settings.momenta,
        settings.enough,
        settings.iterations,
        len(table.scale),
        len(later),
        len(table.lower),
        len(given[0]),
        torch.get_num_threads(),
    )
    packed = (_ClimbLater * max(1, len(later)))(*(_later(layer, keep) for layer in later))
    return function(*map(ctypes.byref, (climb, _table(table, keep), packed, nodes)), *more)


@dataclass
class _Kept:
    """What must live as long as the call."""

    kept: list[object] = field(default_factory=list)

    def address(self, tensor: Tensor | None) -> ctypes.c_void_p:
        """Return where the numbers of a tensor, made contiguous, lie."""
        tensor = None if tensor is None else tensor.contiguous()
        self.kept.append(tensor)
        return address(tensor)

    def addresses(self, tensors: Sequence[Tensor]) -> int:
        """Return where an array of such addresses lies."""
        array = (POINTER * len(tensors))(*map(self.address, tensors))
        self.kept.append(array)
        return ctypes.addressof(array)


def _table(table: FirstTable, keep: _Kept) -> _ClimbTable:
    pointers = (keep.address(getattr(table, name)) for name in _TABLE.split())
    sizes = (*table.weights.shape, len(table.row_low))
    return _ClimbTable(*pointers, table.lasting, table.neuron.packed(), *sizes)


def _later(layer: LaterGraphs, keep: _Kept) -> _ClimbLater:
    single = (layer.weights, layer.bias, layer.lower, layer.upper, layer.slack, layer.certain, layer.possible)
    return _ClimbLater(
        *map(keep.address, single),
        *map(keep.addresses, (layer.low, layer.high, layer.edges)),
        *map(keep.address, (layer.ends, *(layer.starts or (None, None)), layer.scale)),
        layer.lasting,
        *layer.constants,
        layer.neuron.packed(),
        *layer.weights.shape,
    )


@lru_cache
def climb_kernel(dtype: torch.dtype) -> CompiledClimb:
    """Return the kernel for a floating-point type."""
    return load("climb", dtype, CompiledClimb)


@lru_cache
def proof_kernel() -> CompiledProof:
    """Return the kernel."""
    return load("prove", torch.float64, CompiledProof)
