"""The network as the kernel sees it: nodes whose numbers are sparse sums of the numbers of nodes before them.

And how large the run's numbers may be, and how far from the exact ones of its own spikes, found before any tree.
Spikes that are known not to fire are 0 and round nothing, so these are facts of the root: they are found node by
node, each from what is known of the spikes before it by then, and never changed, for all that is stated later
holds besides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..events.entering import Entering, composed
from ..events.inputs import Inputs
from ..maps.affine import Affine, Filter
from ..maps.pooling import Maxima
from ..network import graph as described
from ..network.graph import Graph, Measure, measure_of
from ..network.integers import IntegerNeuron
from ..network.model import Network, driven
from ..numbers.exact import Dyadic
from ..numbers.sparse import Matrix
from ..refusal import Refused
from ..work import once, spend
from .neurons import KernelNeuron
from .numbers import GRID, HUGE, Box, regrid, times
from .whole import WholeNeuron

Row = list[tuple[int, int]]


@dataclass(frozen=True)
class InputBoxes:
    """The input: a box a number, one a step where it has a part of its own for each."""

    boxes: list[list[Box]]


@dataclass(frozen=True)
class Sum:
    """Sums Σ w·x[j] + b of numbers of other nodes.

    Attributes:
        parts: nodes with their weights; None: each number by itself.
        shift: of all weights, which are over 2^shift.
        bias: boxes around b.
    """

    parts: list[tuple[int, Matrix | None]]
    shift: int
    bias: list[Box]


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
        whole: the neurons where they are whole; `neuron` are the real ones that they stray from.
    """

    source: int
    neuron: KernelNeuron
    constant: bool
    width: int
    heard: Sum | None
    whole: WholeNeuron | None = None

    @property
    def most(self) -> int:
        """Return how many spikes a neuron may have at a step."""
        return 1 if self.whole is None else self.whole.own.most


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
        if network.whole is not None:
            inputs.check_within(*network.whole.ends)
        shape = inputs.shape[1:] if network.timed else inputs.shape
        graph, behind = once(network.known, shape, lambda: _arranged(network, shape))
        nodes = [InputBoxes(boxes_of(inputs.low, inputs.high)), *behind]
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

    def joint(
        self, entering: Entering, place: int, first: int, factors: Sequence[Box], sizes: list[int]
    ) -> list[Box] | None:
        """Return what Σ factors·x over steps lies between where x reads a recording with budgets, or None."""
        if place not in entering.maps:
            return None
        steps, width = entering.steps, self.graph.widths[place]
        weights = np.zeros((steps, 1), dtype=object)
        weights[first : first + len(factors), 0] = [low for low, _ in factors]
        ends = (Dyadic(np.full((width, 1), sign * HUGE, dtype=object), GRID) for sign in (-1, 1))
        low, high = entering.cut_sums(place, tuple(ends), Dyadic(weights, GRID), (first, tuple(factors)))  # pyright: ignore
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


def _arranged(network: Network, shape: tuple[int, ...]) -> tuple[Graph, list[KernelNode]]:
    """Return a network's nodes as they are read, and behind the first one as the kernel sees them."""
    graph = described.arrange(network, shape)
    return graph, [_node(place, graph, network) for place in range(1, len(graph.nodes))]


def _node(place: int, graph: Graph, network: Network) -> KernelNode:
    node, width = graph.nodes[place], graph.widths[place]
    if isinstance(node, described.Through):
        return _through(node.source, node.affine)
    if isinstance(node, described.Mean):
        return Sum([(node.source, None)], 0, [(0, 0)] * width)
    if isinstance(node, described.Sum):
        return Sum([(node.first, None), (node.second, None)], 0, [(0, 0)] * width)
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
    whole = WholeNeuron(node.neuron) if isinstance(node.neuron, IntegerNeuron) else None
    neuron = KernelNeuron.of(node.neuron, network.arithmetic) if whole is None else whole.real  # pyright: ignore
    return SpikingNode(node.source, neuron, constant, graph.widths[place], heard, whole)


def boxes_of(least: Dyadic, most: Dyadic) -> list[list[Box]]:
    """Return the box of each input, one or one a step."""
    steps = range(least.shape[1])
    ends = [[regrid(int(x), part.shift) for x in part.ints.ravel()] for part in (least, most)]
    pairs = [(low, high) for (low, _), (_, high) in zip(*ends, strict=True)]
    return [[pairs[i * len(steps) + t] for t in steps] for i in range(len(pairs) // len(steps))]


def _through(source: int, affine: Affine) -> Sum:
    matrix = affine.matrix
    spend(8 * len(matrix.row) + 8 * matrix.shape[0], matrix.shift)
    assert matrix.digits.bits == matrix.moduli.digits.bits
    bias = [regrid(int(b), affine.bias.shift) for b in affine.bias.ints.ravel()]
    return Sum([(source, matrix)], matrix.shift, bias)


def _greatest(node: Maxima) -> Greatest:
    entries: list[list[int]] = [[] for _ in range(node.windows.count)]
    for output, entry in zip(node.windows.output.tolist(), node.windows.entry.tolist(), strict=True):
        entries[output].append(entry)
    return Greatest(node.source, entries)


Possible = Callable[[int], Dyadic]
"""Returns 1 where a spike of the layer at a place is possible, (n, T)."""


class Sizes:
    """The measures of a network's nodes, as far as they were asked for."""

    def __init__(self, nodes: KernelNodes, possible: Possible) -> None:
        self.nodes, self.possible = nodes, possible
        self._found: list[Measure] = []
        self._errors: dict[int, list[int]] = {}

    def of(self, place: int) -> Measure:
        """Return the measure of a node: bounds of its numbers' moduli, and of how far they are from exact ones.

        Raises:
            Refused: where the run may overflow.
        """
        graph, inputs, arithmetic = self.nodes.graph, self.nodes.inputs, self.nodes.network.arithmetic
        for node in graph.nodes[len(self._found) : place + 1]:
            if isinstance(node, described.Spikes):
                self.errors(len(self._found))
                spikes = self.possible(len(self._found))
                self._found.append((spikes, spikes * 0))
            else:
                self._found.append(measure_of(node, self._found, inputs, arithmetic))
        return self._found[place]

    def errors(self, place: int) -> list[int]:
        """Return how far the run's currents of the neurons at a place may be from the exact ones at any step.

        Raises:
            Refused: where the run may overflow: no other rule looks at that.
        """
        if place not in self._errors:
            node = self.nodes.graph.nodes[place]
            assert isinstance(node, described.Spikes)
            size, error = self.of(node.source)
            if node.feedback is not None:
                size, error = driven(node.feedback, size, error, self.nodes.network.arithmetic)
            node.neuron.largest(size.max().fraction(), self.nodes.network.arithmetic)
            self._errors[place] = largest(error)
        return self._errors[place]


def largest(values: Dyadic) -> list[int]:
    """Return the greatest number of each row, (n, k), rounded up to the grid."""
    return [regrid(int(max(row)), values.shift)[1] for row in values.ints]
