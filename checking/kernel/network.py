"""The network as the kernel sees it: nodes whose numbers are sparse sums of the numbers of nodes before them."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..events.entering import composed
from ..events.inputs import Inputs
from ..maps.affine import Affine
from ..network import graph as described
from ..network.graph import Graph
from ..network.measuring import measured
from ..network.model import Network
from ..numbers.exact import Dyadic
from ..refusal import Refused
from ..work import spend
from .neurons import Neuron
from .numbers import GRID, Box, regrid

Row = list[tuple[int, int]]


@dataclass(frozen=True)
class Entrance:
    """The input: a box a number, one a step where it has a part of its own for each."""

    boxes: list[list[Box]]


@dataclass(frozen=True)
class Sum:
    """Sums Σ w·x[j] + b of numbers of other nodes: rows of (node, j, w·2^shift), and boxes around b."""

    rows: list[list[tuple[int, Row]]]
    shift: int
    bias: list[Box]


@dataclass(frozen=True)
class Spikes:
    """Neurons whose currents are the numbers of node `source`; `constant`: the same one at each step."""

    source: int
    neuron: Neuron
    constant: bool
    width: int


Node = Entrance | Sum | Spikes


@dataclass(frozen=True)
class Nodes:
    """All nodes in order, and how far the run's numbers may be from the exact ones of the run's own spikes.

    Attributes:
        graph: as it is read.
        inputs: the set.
        nodes: the first is the input, the last is read out.
        errors: a bound of that distance, for each number of each node.
        reach: a bound of what the run has at the last node.
    """

    graph: Graph
    inputs: Inputs
    nodes: list[Node]
    errors: list[list[int]]
    reach: Fraction

    @staticmethod
    def of(network: Network, graph: Graph, inputs: Inputs) -> "Nodes":
        """Return the nodes of a network over a set.

        Raises:
            Refused: for what the kernel has no rule for, or where the run may overflow.
        """
        nodes = [_node(place, graph, network, inputs) for place in range(len(graph.nodes))]
        found = measured(graph, inputs, network.arithmetic)
        for node in graph.nodes:
            if isinstance(node, described.Spikes):  # no potential may overflow: no other rule looks at that
                node.neuron.largest(found[node.source][0].max().fraction(), network.arithmetic)
        return Nodes(graph, inputs, nodes, [_up(error) for _, error in found], found[-1][0].max().fraction())

    def spiking(self, place: int) -> Spikes:
        """Return the neurons at a place.

        Raises:
            Refused: where there are none.
        """
        node = self.nodes[place] if 0 <= place < len(self.nodes) else None
        if not isinstance(node, Spikes):
            raise Refused(f"layer {place}: has no neurons")
        return node

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


def _node(place: int, graph: Graph, network: Network, inputs: Inputs) -> Node:
    node, width = graph.nodes[place], graph.widths[place]
    if isinstance(node, described.Entrance):
        return Entrance(_boxes(inputs))
    if isinstance(node, described.Through):
        return _through(node.source, node.affine)
    if isinstance(node, described.Mean):
        return _same([node.source], width)
    if isinstance(node, described.Sum):
        return _same([node.first, node.second], width)
    if isinstance(node, described.Spikes) and node.feedback is None:
        neuron = Neuron.of(node.neuron, network.arithmetic)
        return Spikes(node.source, neuron, graph.constant[node.source], width)
    raise Refused(f"unknown: the kernel has no rule for a {type(node).__name__}")


def _boxes(inputs: Inputs) -> list[list[Box]]:
    steps = range(inputs.low.shape[1])
    ends = [[regrid(int(x), part.shift) for x in part.ints.ravel()] for part in (inputs.low, inputs.high)]
    pairs = [(low, high) for (low, _), (_, high) in zip(*ends, strict=True)]
    return [[pairs[i * len(steps) + t] for t in steps] for i in range(len(pairs) // len(steps))]


def _through(source: int, affine: Affine) -> Sum:
    matrix = affine.matrix
    spend(4 * len(matrix.row) + 8 * matrix.shape[0], matrix.shift)
    starts = np.searchsorted(matrix.row, np.arange(matrix.shape[0] + 1)).tolist()
    entries = list(zip(matrix.column.tolist(), map(int, matrix.ints), strict=True))
    rows = [[(source, entries[one:two])] for one, two in zip(starts, starts[1:], strict=False)]
    bias = [regrid(int(b), affine.bias.shift) for b in affine.bias.ints.ravel()]
    return Sum(rows, matrix.shift, bias)


def _same(sources: list[int], width: int) -> Sum:
    return Sum([[(source, [(j, 1)]) for source in sources] for j in range(width)], 0, [(0, 0)] * width)


def _up(column: Dyadic) -> list[int]:
    return [regrid(int(x), column.shift)[1] for x in column.ints.ravel()]
