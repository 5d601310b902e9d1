"""graph.c, long.c and paths.c: trains of layers as graphs and by age, and shortest paths of priced graphs.

long.c: the trains, by age of the last spike, of a dense layer behind a table of trains.

paths.c: the shortest paths of priced graphs, for many pairs of a specification and a neuron at once.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from .loading import INT, REAL, WHOLE, address, fields, load, parts, pointers

RESETS = {"zero": 0, "subtract": 1, "none": 2}
WINDOWS = {"none": 0, "all": 1, "first": 2}


class _GraphSizes(ctypes.Structure):
    _fields_ = fields(REAL, "start", WHOLE, "steps pairs rest", INT, "reset windows threads")


@dataclass(frozen=True)
class GraphCurrents:
    """The currents of N pairs of a sample and a neuron over T steps, and their constants, one a pair.

    Attributes:
        ages: λ^0..λ^T, (T + 1,), of windows.
        lower, upper: currents of each step, widened, (T, N).
        decay, surely, perhaps, drop: λ; above what a pair fires, from where on it may, and what that takes, (N,).
        low, high: the windows, by end, the shortest first, (T(T + 1)/2, N), or (T, N) of those from step 1 on;
            None: none are given.
    """

    ages: Tensor
    lower: Tensor
    upper: Tensor
    decay: Tensor
    surely: Tensor
    perhaps: Tensor
    drop: Tensor
    low: Tensor | None = None
    high: Tensor | None = None


@dataclass(frozen=True)
class FoundGraphs:
    """What the kernel finds, as `GraphTrains` holds it, edges step after step: E = T(T + 1)/2.

    Attributes:
        edges, ends: (E, N), (T + 1, N), bool.
        certain, possible: of the spikes, (T, N).
        lower, upper: currents cut to the windows of one step, (T, N).
        low, high: potentials since the last spike, (E, N); None where they are not kept.
        low_left, high_left: what is left behind each node, (T + 1, N); None where that is 0.
    """

    edges: Tensor
    ends: Tensor
    certain: Tensor
    possible: Tensor
    lower: Tensor
    upper: Tensor
    low: Tensor | None
    high: Tensor | None
    low_left: Tensor | None
    high_left: Tensor | None


@dataclass(frozen=True)
class CompiledGraph:
    """graph.c, loaded."""

    functions: ctypes.CDLL

    def graphs(
        self,
        given: GraphCurrents,
        reset: str,
        check: Callable[[], None],
        *,
        rest: int = 0,
        start: float = 0.0,
        keep: bool = True,
    ) -> FoundGraphs:
        """Return the graphs of pairs.

        Args:
            given: their currents.
            reset: "zero", "subtract" or "none".
            check: called between parts of a second at most, about, and may raise.
            rest: for how many steps a neuron rests behind a spike, of a hard reset.
            start: u[0].
            keep: whether potentials since the last spike are asked for.
        """
        (steps, pairs), like = given.lower.shape, given.lower
        count = steps * (steps + 1) // 2
        flags = (torch.empty(number, pairs, dtype=torch.bool) for number in (count, steps + 1))
        numbers = (like.new_empty(steps, pairs) for _ in range(4))
        reached = (like.new_empty(count, pairs) if keep else None for _ in range(2))
        left = (like.new_empty(steps + 1, pairs) if reset != "zero" else None for _ in range(2))
        found = FoundGraphs(*flags, *numbers, *reached, *left)
        windows = "none" if given.low is None else "all" if len(given.low) == count else "first"
        sizes = _GraphSizes(start, steps, pairs, rest, RESETS[reset], WINDOWS[windows], torch.get_num_threads())
        held = [None if one is None else one.contiguous() for one in vars(given).values()]
        asked = ctypes.byref(sizes), pointers(held), pointers([*vars(found).values()])
        each = max(1, AT_ONCE // (count * (steps if windows == "all" else 1)))
        for first in range(0, pairs, each):
            check()
            if self.functions.graphs(*asked, WHOLE(first), WHOLE(min(first + each, pairs))):
                raise MemoryError("graph: no memory for the potentials of a layer")
        return found


@lru_cache
def graph_kernel(dtype: torch.dtype = torch.float64) -> CompiledGraph:
    """Return the kernel."""
    return load("graph", dtype, CompiledGraph)


AT_ONCE = 2**31
"""Products of windows that are computed in one call: about a second's."""


class _TableSizes(ctypes.Structure):
    _fields_ = fields(WHOLE, "steps longest samples neurons sources rows ranges start stop", INT, "kept threads")


class _SumSizes(ctypes.Structure):
    _fields_ = fields(WHOLE, "steps labels neurons rows first behind")


@dataclass(frozen=True)
class TabledLayer:
    """A dense layer of B samples behind a table of R rows, over T steps: n neurons that read m; float64 or int64.

    Attributes:
        weights, bias: (n, m), (n,).
        trains: of the table, (R, T).
        first, last: the different ranges of rows, (U,) each.
        range: which of them each source has, (B, m).
        slack: what a unit of weight of the product may be off, (B, n).
        kept: of windows up to each length the last end that was asked for, and what was heard up to there.
    """

    weights: Tensor
    bias: Tensor
    trains: Tensor
    first: Tensor
    last: Tensor
    range: Tensor
    slack: Tensor
    kept: dict[int, tuple[int, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class AgedTrains:
    """What the kernel finds, as `LongTrains` holds it; of `stays` the nodes up to T − W.

    Attributes:
        edges: (T + W, W + 1, B·n), bytes, as the next three.
        stays: (2, T + 1, B·n).
        waits: (T, B·n).
        ends: (W + 1, B·n).
        certain, possible: (T, B·n), float64.
    """

    edges: Tensor
    stays: Tensor
    waits: Tensor
    ends: Tensor
    certain: Tensor
    possible: Tensor


class _Stepping(ctypes.Structure):
    _fields_ = fields(REAL, "decay surely perhaps", WHOLE, "steps labels size start stop longest", INT, "threads")


class _Tails(ctypes.Structure):
    _fields_ = fields(WHOLE, "steps labels neurons longest start stop", INT, "threads")


LANES = 8
"""Numbers of float64 that go together in C."""

STEPPED = 64
"""Neurons whose labels lie together in long.c."""


@dataclass(frozen=True)
class AgedWalk:
    """Neurons on their way, step by step: what is found so far, and where the labels are.

    Attributes:
        functions: of long.c.
        decay, limits: λ, above what a neuron fires, and from where on it may.
        longest: how many steps windows have at most.
        found: the trains up to now.
        state: of long.c.
    """

    functions: ctypes.CDLL
    decay: float
    limits: tuple[float, float]
    longest: int
    found: AgedTrains
    state: Tensor

    def take(self, ends: range, numbers: tuple[Tensor | None, ...]) -> None:
        """Take the steps of 1..T in `ends`, in order.

        Args:
            ends: the steps.
            numbers: low and high ends of currents, (steps, n) each; of windows, end by end, the shortest first,
                (windows, n), or None; of L, (steps, n), or None.
        """
        (steps, size), labels = self.found.waits.shape, len(self.found.ends) - 1
        asked = ends.start - 1, ends.stop - 1, self.longest, torch.get_num_threads()
        held = [None if one is None else one.double().cpu().contiguous() for one in numbers]
        sizes = _Stepping(self.decay, *self.limits, steps, labels, size, *asked)
        filled = pointers(parts(self.found))
        self.functions.age_steps(ctypes.byref(sizes), pointers([*held, self.state]), filled)

    def end(self) -> Tensor:
        """Note where the last spike is, and return what all spikes took at most where L was told, (n,)."""
        (steps, size), labels = self.found.waits.shape, len(self.found.ends) - 1
        slots = [(steps - i) % (labels + 1) for i in range(labels)] + [labels + 1]
        alive, took = self.state[:, 2, slots], self.state[:, 4, slots]
        self.found.ends.copy_(alive.transpose(0, 1).flatten(1)[:, :size])
        return torch.where(alive > 0, took, 0.0).amax(1).flatten()[:size]


def no_trains(steps: int, labels: int, size: int) -> AgedTrains:
    """Return trains of which nothing is found."""
    shapes = (steps + labels, labels + 1, size), (2, steps + 1, size), (steps, size), (labels + 1, size)
    bytes_ = (torch.zeros(shape, dtype=torch.uint8) for shape in shapes)
    return AgedTrains(*bytes_, *(torch.zeros(steps, size, dtype=torch.float64) for _ in range(2)))


@dataclass(frozen=True)
class CompiledLong:
    """long.c, loaded."""

    functions: ctypes.CDLL

    def walk(
        self, shape: tuple[int, int], labels: int, decay: float, limits: tuple[float, float], longest: int
    ) -> AgedWalk:
        """Return n neurons before the first of T steps, (T, n), whose windows have at most `longest` steps."""
        (steps, size), blocks = shape, -(-shape[1] // STEPPED)
        state = torch.zeros(blocks, 5, labels + 2, STEPPED, dtype=torch.float64)
        state[:, 2, 0] = 1.0  # node 0: no spike yet counts as one at step 0
        return AgedWalk(self.functions, decay, limits, longest, no_trains(steps, labels, size), state)

    def window_sums(
        self, trains: tuple[Tensor, Tensor, Tensor | None], weights: Tensor, longest: int, start: int
    ) -> Tensor:
        """Return the least and the greatest sums over windows, (2, windows, n), end by end, the shortest first.

        Args:
            trains: edges, stays and waits of `AgedTrains`; of trains by node no waits.
            weights: of each end start, start + 1, … and step 0, 1, …, (ends, last end + 1), float64.
            longest: how many steps windows have at most.
            start: the first end.
        """
        edges, stays, waits = (None if one is None else one.cpu().contiguous() for one in trains)
        assert edges is not None
        assert stays is not None
        (_, nodes, neurons), stop, weights = stays.shape, start + len(weights), weights.contiguous()
        sums = weights.new_empty(2, sum(min(t, longest) for t in range(start, stop)), neurons)
        threads = torch.get_num_threads()
        sizes = _Tails(nodes - 1, edges.shape[1] - 1, neurons, longest, start, stop, threads)
        given = pointers([edges, stays, waits, weights])
        if self.functions.window_sums(ctypes.byref(sizes), given, address(sums[0]), address(sums[1])):
            raise MemoryError("long: no memory for the windows of a layer")
        return sums

    def table_windows(
        self, layer: TabledLayer, ages: Tensor, factors: Tensor, ends: range, widening: Tensor | None = None
    ) -> Tensor:
        """Return the ends of windows of its currents, end by end, the shortest first, (2, windows, B, n).

        Args:
            layer: what makes the currents.
            ages, factors: of windows, (L,), (T,).
            ends: where they end, of 1..T.
            widening: by which each unit of ages widens them, (B, n); None: by nothing.
        """
        if bool((layer.first > layer.last).any()):
            raise ValueError(
                "inputs: got ends of which the lower is above the upper, expected boxes that hold any"
            )
        (neurons, sources), samples, longest = layer.weights.shape, len(layer.range), len(ages)
        found = layer.weights.new_empty(2, sum(min(t, longest) for t in ends), samples, neurons)
        until, heard = layer.kept.pop(longest, (-1, None))  # not kept where the call fails
        if heard is None:
            heard = layer.weights.new_zeros(samples, longest + 1, -(-neurons // LANES) * LANES)
        counts = len(factors), longest, samples, neurons, sources, len(layer.trains), len(layer.first)
        threads = torch.get_num_threads()
        sizes = _TableSizes(*counts, ends.start - 1, ends.stop - 1, until == ends.start - 1, threads)
        rows = layer.weights, layer.bias, layer.trains, layer.first, layer.last, layer.range
        numbers = (*rows, ages, factors, layer.slack, widening, heard)
        held = [None if one is None else one.contiguous() for one in numbers]
        if self.functions.table_windows(ctypes.byref(sizes), pointers(held), address(found[0]), address(found[1])):
            raise MemoryError("long: no memory for the windows of a layer")
        layer.kept[longest] = ends.stop - 1, heard
        return found

    def path_sums(self, trains: AgedTrains, costs: Tensor, check: Callable[[], None]) -> Tensor:
        """Return the least and the greatest Σ_t costs[r, t]·s[t] over all paths, (2, rows, B·n).

        `costs` are (rows, T), float64. `check` is called between parts of a second at most, about, and may raise.
        """
        (rows, steps), (width, neurons) = costs.shape, trains.ends.shape
        sums, costs, held = costs.new_empty(2, rows, neurons), costs.contiguous(), parts(trains)
        packed, filled = pointers(held), (address(sums[0]), address(sums[1]))
        each = max(1, AT_ONCE // (steps * width * max(1, rows)))
        for first in range(0, neurons, each):
            check()
            sizes = _SumSizes(steps, width - 1, neurons, rows, first, min(first + each, neurons))
            if self.functions.path_sums(ctypes.byref(sizes), packed, address(costs), *filled):
                raise MemoryError("long: no memory for the paths of a layer")
        return sums


@lru_cache
def long_kernel() -> CompiledLong:
    """Return the kernel."""
    return load("long", torch.float64, CompiledLong)


ARRAYS = 8
"""Of a graph in paths.c; the last two may be missing."""


class _PathSizes(ctypes.Structure):
    """The struct Sizes in paths.c."""

    _fields_ = fields(REAL, "decay slope_decay surely perhaps", WHOLE, "steps pairs", INT, "threads")


@dataclass(frozen=True)
class PackedGraphs:
    """P priced graphs in the arrays that paths.c reads.

    Attributes:
        constants: λ, λ of the slopes, θ + tie, θ − tie.
        arrays: lower, upper (T, P); low, high and edges, packed (T(T + 1)/2, P); ends (T + 1, P); and the
            potentials left over after a spike, (T + 1, P) each, where they are not 0.
    """

    constants: tuple[float, float, float, float]
    arrays: tuple[Tensor, ...]

    @staticmethod
    def of(constants: tuple[float, float, float, float], arrays: tuple[Tensor, ...]) -> "PackedGraphs":
        """Return the graphs with arrays as C reads them."""
        kinds = (array.cpu().to(torch.uint8) if array.dtype == torch.bool else array.cpu() for array in arrays)
        return PackedGraphs(constants, tuple(array.contiguous() for array in kinds))


@dataclass(frozen=True)
class CompiledPaths:
    """paths.c, loaded."""

    functions: ctypes.CDLL

    def least(self, graphs: PackedGraphs, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min over paths of Σ_t costs[t]·s[t] − Σ_t prices[t]·c[t], and the spikes and currents there.

        Args:
            graphs: of P pairs, in float64.
            costs, prices: (T, P).

        Returns:
            Values (P,), spikes (T, P), currents (T, P).
        """
        costs, prices = costs.contiguous(), prices.contiguous()
        steps, pairs = costs.shape
        values, spikes, currents = costs.new_empty(pairs), torch.empty_like(costs), torch.empty_like(costs)
        sizes = _PathSizes(*graphs.constants, steps, pairs, torch.get_num_threads())
        arrays = pointers([*graphs.arrays, *[None] * (ARRAYS - len(graphs.arrays))])
        given = (ctypes.byref(sizes), arrays, address(costs), address(prices))
        if self.functions.shortest(*given, pointers((values, spikes, currents))):
            raise MemoryError("paths: no memory for the segments of a priced graph")
        return values, spikes, currents


@lru_cache
def paths_kernel() -> CompiledPaths:
    """Return the kernel."""
    return load("paths", torch.float64, CompiledPaths)
