"""The network as the kernel sees it: nodes whose numbers are sparse sums of the numbers of nodes before them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from typing import NamedTuple

import numpy as np

from ..events.entering import Entering, composed
from ..events.inputs import Inputs
from ..maps.affine import Affine
from ..maps.filters import Filter
from ..maps.pooling import Maxima
from ..network import graph as described
from ..network.graph import Graph
from ..network.model import Network
from ..numbers.exact import Dyadic
from ..numbers.sparse import Matrix
from ..refusal import Refused
from ..work import spend
from .neurons import KernelNeuron
from .numbers import GRID, HUGE, Box, regrid, times

Row = list[tuple[int, int]]
HALF = 26
"""Bits of the lower half of a machine integer."""


@dataclass(frozen=True)
class InputBoxes:
    """The input: a box a number, one a step where it has a part of its own for each."""

    boxes: list[list[Box]]


class SumPart(NamedTuple):
    """Of a sum, what it adds up of one node: w·2^shift of the numbers at these columns, and |w|·2^shift.

    Rows of a layer with the same columns share them.
    """

    source: int
    columns: Sequence[int]
    weights: Sequence[int]
    moduli: Sequence[int]

    def image(self, sums: list[int], widths: list[int]) -> Box:
        """Return twice the box of Σ w·x for x in boxes, given low + high and high − low of each."""
        middle = sum(map(mul, self.weights, map(sums.__getitem__, self.columns)))
        radius = sum(map(mul, self.moduli, map(widths.__getitem__, self.columns)))
        return middle - radius, middle + radius


@dataclass(frozen=True)
class MachineRows:
    """Rows whose weights are machine integers: w = high·2^HALF + low with 0 ≤ low < 2^HALF, and |w| likewise.

    Attributes:
        columns, starts: of the entries, row after row, and where each row begins; filled: rows that have any.
        signed, moduli: both halves of w and of |w|; most: the most |high| times the most entries of a row.
    """

    columns: np.ndarray
    starts: np.ndarray
    filled: np.ndarray
    signed: tuple[np.ndarray, np.ndarray]
    moduli: tuple[np.ndarray, np.ndarray]
    most: int

    @staticmethod
    def of(matrix: Matrix) -> "MachineRows | None":
        """Return the rows of a matrix, None where a weight is longer."""
        if max(map(abs, matrix.ints.tolist()), default=0) >= 1 << 62:
            return None
        weights, counts = matrix.ints.astype(np.int64), np.bincount(matrix.row, minlength=matrix.shape[0])
        signed, moduli = ((w >> HALF, w & (1 << HALF) - 1) for w in (weights, abs(weights)))
        high = max(int(abs(signed[0]).max(initial=0)), int(moduli[0].max(initial=0)), 1 << HALF)
        filled = counts > 0
        starts = (np.cumsum(counts) - counts)[filled]
        return MachineRows(
            matrix.column, starts, filled, signed, moduli, high * max(1, int(counts.max(initial=0)))
        )

    def images(self, sums: list[int], widths: list[int]) -> list[Box] | None:
        """Return `SumPart.image` of all rows; None where some sum of machine integers might not hold it."""
        if self.most * max(max(map(abs, sums)), max(widths)) >= 1 << 62:
            return None
        pairs = (self.signed, np.array(sums, dtype=np.int64)), (self.moduli, np.array(widths, dtype=np.int64))
        middle, radius = ([self._summed(half, x).tolist() for half in halves] for halves, x in pairs)
        return [
            ((m << HALF) + n - (r << HALF) - q, (m << HALF) + n + (r << HALF) + q)
            for m, n, r, q in zip(*middle, *radius, strict=True)
        ]

    def _summed(self, half: np.ndarray, x: np.ndarray) -> np.ndarray:
        found = np.zeros(len(self.filled), dtype=np.int64)
        if len(self.starts):
            found[self.filled] = np.add.reduceat(half * x[self.columns], self.starts)
        return found


@dataclass(frozen=True)
class Sum:
    """Sums Σ w·x[j] + b of numbers of other nodes: parts of each, weights over 2^shift, and boxes around b.

    Attributes:
        short: all rows at once, where they are of one node and their weights are short.
    """

    rows: list[list[SumPart]]
    shift: int
    bias: list[Box]
    short: MachineRows | None = None


@dataclass(frozen=True)
class Greatest:
    """The greatest of some numbers of node `source`, each (F13): a maximum never rounds."""

    source: int
    entries: list[list[int]]


@dataclass(frozen=True)
class TimeSums:
    """Sums over time of the numbers of node `source` (F14): rows of (step, H·2^shift) for each step."""

    source: int
    rows: list[Row]
    shift: int


@dataclass(frozen=True)
class SpikingNode:
    """Neurons whose currents are the numbers of node `source`.

    Attributes:
        constant: whether a current is the same at each step.
        heard: what is added to the current of a step: a sum of the layer's own spikes a step before (F16).
    """

    source: int
    neuron: KernelNeuron
    constant: bool
    width: int
    heard: Sum | None


KernelNode = InputBoxes | Sum | Greatest | TimeSums | SpikingNode


@dataclass(frozen=True)
class KernelNodes:
    """All nodes in order.

    Attributes:
        network: as it is read; graph: its nodes, as they are read.
        inputs: the set.
        nodes: the first is the input, the last is read out.
        entering: what is known of nodes that read a recording whose changes share budgets.
    """

    network: Network
    graph: Graph
    inputs: Inputs
    nodes: list[KernelNode]
    entering: Entering | None

    @staticmethod
    def over(network: Network, inputs: Inputs) -> "KernelNodes":
        """Return the nodes of a network over a set.

        Raises:
            Refused: for what does not fit, or what the kernel has no rule for.
        """
        graph = described.arrange(network, inputs.shape[1:] if network.timed else inputs.shape)
        nodes = [_node(place, graph, network, inputs) for place in range(len(graph.nodes))]
        entering = None if inputs.changes is None else Entering.of(graph, inputs.changes)
        return KernelNodes(network, graph, inputs, nodes, entering)

    def spiking(self, place: int) -> SpikingNode:
        """Return the neurons at a place.

        Raises:
            Refused: where there are none.
        """
        node = self.nodes[place] if 0 <= place < len(self.nodes) else None
        if not isinstance(node, SpikingNode):
            raise Refused(f"layer {place}: has no neurons")
        return node

    def joint(self, place: int, first: int, factors: Sequence[Box], sizes: list[int]) -> list[Box] | None:
        """Return what Σ factors·x over steps lies between where x reads a recording with budgets, or None."""
        if self.entering is None or place not in self.entering.maps:
            return None
        steps, width = self.entering.steps, self.graph.widths[place]
        weights = np.zeros((steps, 1), dtype=object)
        weights[first : first + len(factors), 0] = [low for low, _ in factors]
        ends = (Dyadic(np.full((width, 1), sign * HUGE, dtype=object), GRID) for sign in (-1, 1))
        low, high = self.entering.cut_sums(place, tuple(ends), Dyadic(weights, GRID), (first, tuple(factors)))  # pyright: ignore
        loose = sum(most - least for least, most in factors)
        pairs = zip(low.ints.ravel(), high.ints.ravel(), sizes, strict=True)
        rounded = [
            (regrid(int(one), low.shift)[0], regrid(int(two), high.shift)[1], size) for one, two, size in pairs
        ]
        return [(one - times(loose, size)[1], two + times(loose, size)[1]) for one, two, size in rounded]

    def within_ball(self, place: int, boxes: list[Box]) -> list[Box]:
        """Cut boxes of a node that is one map of the inputs with what an ℓ2 ball says of it."""
        maps = composed(self.graph) if self.inputs.ball is not None and self.graph.constant[0] else {}
        if place not in maps:
            return boxes
        low, high = (
            Dyadic(np.array([[end] for end in ends], dtype=object), GRID) for ends in zip(*boxes, strict=True)
        )
        low, high = self.inputs.within(low, high, *maps[place])
        ends = [[regrid(int(x), part.shift) for x in part.ints.ravel()] for part in (low, high)]
        return [(one[0], two[1]) for one, two in zip(*ends, strict=True)]


def _node(place: int, graph: Graph, network: Network, inputs: Inputs) -> KernelNode:
    node, width = graph.nodes[place], graph.widths[place]
    if isinstance(node, described.Entrance):
        return InputBoxes(_boxes(inputs))
    if isinstance(node, described.Through):
        return _through(node.source, node.affine)
    if isinstance(node, described.Mean):
        return _same([node.source], width)
    if isinstance(node, described.Sum):
        return _same([node.first, node.second], width)
    if isinstance(node, Maxima):
        return _greatest(node)
    if isinstance(node, Filter):
        rows = [[(k, int(x)) for k, x in enumerate(column) if x] for column in node.over_time.ints.T]
        return TimeSums(node.source, rows, node.over_time.shift)
    if isinstance(node, described.Spikes):
        return _spikes(place, node, graph, network)
    raise Refused(f"unknown: the kernel has no rule for a {type(node).__name__}")


def _spikes(place: int, node: described.Spikes, graph: Graph, network: Network) -> SpikingNode:
    heard = None if node.feedback is None else _through(place, node.feedback)
    constant = graph.constant[node.source] and heard is None
    return SpikingNode(
        node.source, KernelNeuron.of(node.neuron, network.arithmetic), constant, graph.widths[place], heard
    )


def _boxes(inputs: Inputs) -> list[list[Box]]:
    steps = range(inputs.low.shape[1])
    ends = [[regrid(int(x), part.shift) for x in part.ints.ravel()] for part in (inputs.low, inputs.high)]
    pairs = [(low, high) for (low, _), (_, high) in zip(*ends, strict=True)]
    return [[pairs[i * len(steps) + t] for t in steps] for i in range(len(pairs) // len(steps))]


def _through(source: int, affine: Affine) -> Sum:
    matrix = affine.matrix
    spend(4 * len(matrix.row) + 8 * matrix.shape[0], matrix.shift)
    starts = np.searchsorted(matrix.row, np.arange(matrix.shape[0] + 1)).tolist()
    columns, weights, shared = (
        matrix.column.tolist(),
        matrix.ints.tolist(),
        dict[tuple[int, ...], tuple[int, ...]](),
    )
    moduli, rows = list(map(abs, weights)), list[list[SumPart]]()
    for one, two in pairwise(starts):
        own = tuple(columns[one:two])
        own = shared.setdefault(own, own)
        rows.append([SumPart(source, own, weights[one:two], moduli[one:two])])
    bias = [regrid(int(b), affine.bias.shift) for b in affine.bias.ints.ravel()]
    return Sum(rows, matrix.shift, bias, MachineRows.of(matrix))


def _greatest(node: Maxima) -> Greatest:
    entries: list[list[int]] = [[] for _ in range(node.windows.count)]
    for output, entry in zip(node.windows.output.tolist(), node.windows.entry.tolist(), strict=True):
        entries[output].append(entry)
    return Greatest(node.source, entries)


def _same(sources: list[int], width: int) -> Sum:
    rows = [[SumPart(source, (j,), (1,), (1,)) for source in sources] for j in range(width)]
    return Sum(rows, 0, [(0, 0)] * width)
