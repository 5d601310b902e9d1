"""What is known of each signal of the network at one leaf: boxes at each step, and of weighted sums over steps."""

from dataclasses import dataclass, field

import numpy as np

from .constant import Constant
from .exact import Dyadic, greater, lesser
from .graph import Entrance, Graph, Spikes, Sum, Through
from .paths import Reach
from .varying import Varying

Ends = tuple[Dyadic, Dyadic]


@dataclass(frozen=True)
class Leaf:
    """What the rows that a leaf allows the first layer leave behind it.

    Attributes:
        graph: the network.
        layers: its spiking layers by place.
        fixed: the exact boxes of nodes that are the same at every step.
        inputs: their box, (m, T) or (m, 1) each.
        allowed: the first layer's rows, (n, R) of bool, or its silence and spikes, (n, T, 2).
        known, reached: what was found so far.
    """

    graph: Graph
    layers: dict[int, Constant | Varying]
    fixed: dict[int, Ends]
    inputs: Ends
    allowed: np.ndarray
    known: dict[int, Ends] = field(default_factory=dict)
    reached: dict[int, tuple[list[Reach], int]] = field(default_factory=dict)

    def rows(self, place: int) -> np.ndarray:
        """Return the rows of a layer's table, (n, R) of bool."""
        layer = self.layers[place]
        assert isinstance(layer, Constant)
        return self.allowed if place == self.graph.spiking[0] else layer.reachable

    def reach(self, place: int) -> tuple[list[Reach], int]:
        """Return where the potentials of a varying layer can be."""
        for each in self.graph.spiking:  # in order: a deep network must not become a deep recursion
            if each <= place and each not in self.reached and isinstance(self.layers[each], Varying):
                self.reached[each] = self._reach(each)
        return self.reached[place]

    def _reach(self, place: int) -> tuple[list[Reach], int]:
        layer, node = self.layers[place], self.graph.nodes[place]
        assert isinstance(layer, Varying)
        assert isinstance(node, Spikes)
        sums = self.sums(node.source, layer.weights, place) if self._joint(node.source) else None
        allowed = self.allowed if place == self.graph.spiking[0] else None
        return layer.reach(*self.steps(node.source), sums, allowed)

    def steps(self, place: int) -> Ends:
        """Return the exact box of a node at each step, (n, T) or (n, 1) each."""
        if self.graph.constant[place]:
            return self.fixed[place]
        for each in self.graph.linear(place):
            if each not in self.known:
                self.known[each] = self.fixed[each] if self.graph.constant[each] else self._steps(each)
        return self.known[place]

    def sums(self, place: int, weights: Dyadic, reader: int) -> Ends:
        """Return what Σ_t node[t]·weights[t, k] lies between, (n, K), weights (T, K) of the layer `reader`."""
        found: dict[int, Ends] = {}
        for each in self.graph.linear(place):
            found[each] = self._sums(each, found, weights, reader)
        return found[place]

    def _sums(self, place: int, found: dict[int, Ends], weights: Dyadic, reader: int) -> Ends:
        graph, node = self.graph, self.graph.nodes[place]
        if graph.constant[place]:
            return _ends(*self.fixed[place], weights.sum(0))
        if isinstance(node, Through):
            low, high = node.affine.image(*found[node.source])
            shift = node.affine.bias * weights.sum(0) - node.affine.bias
            return low + shift, high + shift
        if isinstance(node, Sum):
            one, two = found[node.first], found[node.second]
            return one[0] + two[0], one[1] + two[1]
        layer = self.layers.get(place)
        if isinstance(layer, Constant):
            return layer.sums(self.rows(place), weights, reader)
        low, high = self.steps(place)
        above, below = greater(weights, weights * 0), lesser(weights, weights * 0)
        return low @ above + high @ below, high @ above + low @ below

    def _joint(self, place: int) -> bool:
        """Return whether windows of a node may say more than its steps: some source has a table."""
        return any(isinstance(self.layers.get(each), Constant) for each in self.graph.linear(place))

    def _steps(self, place: int) -> Ends:
        node = self.graph.nodes[place]
        if isinstance(node, Entrance):
            return self.inputs
        if isinstance(node, Through):
            return node.affine.image(*self.known[node.source])
        if isinstance(node, Sum):
            one, two = self.known[node.first], self.known[node.second]
            return one[0] + two[0], one[1] + two[1]
        layer = self.layers[place]
        return layer.spikes(self.rows(place) if isinstance(layer, Constant) else self.reach(place))  # pyright: ignore


def _ends(low: Dyadic, high: Dyadic, factors: Dyadic) -> Ends:
    """Return what x·factors lies between, for x in [low, high], (n, 1), and factors (K,)."""
    one, two = low * factors, high * factors
    return lesser(one, two), greater(one, two)
