"""What is known of each signal of the network at one leaf: boxes at each step, and of weighted sums over steps."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .events.entering import Entering
from .maps.affine import Affine
from .maps.filters import Filter
from .maps.pooling import Lines, Maxima
from .network.graph import Entrance, Graph, Spikes, Sum, Through
from .network.loops import heard
from .numbers.exact import Dyadic, exactly, greater, lesser, whole
from .numbers.fixed import fixed
from .numbers.sparse import Matrix
from .trains.cells import Paths
from .trains.constant import Constant
from .trains.memoryless import Memoryless
from .trains.pairs import fewest_ahead
from .trains.subtracting import Subtracting
from .trains.through import ExactBalance
from .trains.varying import Varying
from .work import hold

Ends = tuple[Dyadic, Dyadic]
Chain = tuple[Matrix, Dyadic]
Reader = int | tuple[object, ...]
Trains = Constant | Memoryless | Subtracting | Varying

MOST_ROWS = 2**20
"""The most rows of tables, times T, by which trains are balanced against currents."""


@dataclass(frozen=True)
class Leaf:
    """What the rows that a leaf allows the first layer leave behind it.

    Attributes:
        graph: the network.
        layers: its spiking layers by place.
        fixed: the exact boxes of nodes that are the same at every step.
        inputs: their box, (m, T) or (m, 1) each.
        allowed: the first layer's rows, (n, R) of bool, or its silence and spikes, (n, T, 2).
        currents: where the first layer's current is the same at each step and it subtracts, its exact map.
        chains: nodes that are an exact map of that layer's spikes alone: W, and b (n, 1).
        entering: what is known of nodes that read a recording whose changes share budgets; None: there is none.
        known, reached, drawn, balances: what was found so far.
    """

    graph: Graph
    layers: dict[int, Trains]
    fixed: dict[int, Ends]
    inputs: Ends
    allowed: np.ndarray
    currents: Chain | None = None
    chains: dict[int, Chain] = field(default_factory=dict)
    entering: Entering | None = None
    known: dict[int, Ends] = field(default_factory=dict)
    reached: dict[int, Any] = field(default_factory=dict)
    drawn: dict[int, Lines] = field(default_factory=dict)
    balances: dict[int, ExactBalance | None] = field(default_factory=dict)

    def rows(self, place: int) -> np.ndarray:
        """Return the rows of a layer's table, (n, R) of bool."""
        layer = self.layers[place]
        assert isinstance(layer, Constant)
        return self.allowed if place == self.graph.spiking[0] else layer.reachable

    def trains(self, place: int) -> Any:
        """Return what its layer knows trains by: rows of a table, where potentials can be, paths of cells."""
        if isinstance(self.layers[place], Constant):
            return self.rows(place)
        self._find(place)
        return self.reached[place]

    def paths(self, place: int) -> Paths:
        """Return the paths of cells of a layer that subtracts."""
        return self.trains(place)

    def _find(self, place: int) -> None:
        """Find what is known of a layer: in order, for a deep network must not become a deep recursion."""
        for each in self.graph.spiking:
            if each <= place and each not in self.reached and not isinstance(self.layers[each], Constant):
                self.reached[each] = self._reached(each)

    def _reached(self, place: int) -> Any:
        layer, node = self.layers[place], self.graph.nodes[place]
        assert isinstance(node, Spikes)
        assert not isinstance(layer, Constant)
        allowed, steps = self.allowed if place == self.graph.spiking[0] else None, self.steps(node.source)
        sums = None
        if isinstance(layer, Subtracting):
            sums = self._narrower(self.sums(node.source, layer.weights, place), node.source, place)
        elif isinstance(layer, Varying) and len(layer.powers.ints) > 1 and self._joint(node.source):
            sums = self.sums(node.source, layer.weights, place)
        if node.feedback is None:
            return layer.found(steps, sums, allowed)
        return self._heard(layer, node.feedback, steps, sums, allowed)

    def _heard(
        self,
        layer: Memoryless | Subtracting | Varying,
        feedback: Affine,
        steps: Ends,
        sums: Ends | None,
        allowed: np.ndarray | None,
    ) -> Any:
        """Return the trains of a layer that hears itself: what its spikes imply is known of them, and so on.

        The spikes up to a step follow from those before it, so after T rounds nothing changes any more.
        """
        ones = whole(np.ones(layer.priced, dtype=int))
        known = ones * 0, ones
        found: Any = None
        for _ in range(layer.priced[1]):
            own = heard(feedback, *known)
            both = None
            if sums is not None:
                both = _added(sums, _weighted(*own, layer.weights))  # pyright: ignore[reportAttributeAccessIssue]
            found = layer.found(_added(steps, own), both, allowed)
            spikes = layer.spikes(found)
            if all((one.ints == two.ints).all() for one, two in zip(spikes, known, strict=True)):
                break
            known = spikes
        return found

    def ahead(
        self, place: int, pair: tuple[int, int], constant: Dyadic, costs: dict[int, Dyadic], side: int
    ) -> int | None:
        """Return a bound of how many spikes more one neuron has than another one; None: there is no run.

        Args:
            place: of their layer, which subtracts.
            pair: both neurons.
            constant, costs: their currents' difference is a constant plus Σ costs·node over nodes, (n, 1) each.
            side: of the square of cells.
        """
        layer, paths = self.layers[place], self.paths(place)
        assert isinstance(layer, Subtracting)
        low = high = constant * layer.weights.sum(0)
        for source, cost in costs.items():
            one, two = (end * cost for end in self.sums(source, layer.weights, place))
            one, two = lesser(one, two).sum(0), greater(one, two).sum(0)
            found = self._through(cost.T, place) if source == self.graph.spiking[0] else None
            if found is not None:
                one, two = greater(one, found[0][0]), lesser(two, found[1][0])
            low, high = low + one, high + two
        slack = layer.filtered_slack[list(pair)].sum(0)
        strip = fixed(low - slack, paths.shift, False), fixed(high + slack, paths.shift, True)
        return fewest_ahead(paths.drive, pair, strip, layer.apart(side))

    def _narrower(self, sums: Ends, place: int, reader: int) -> Ends:
        """Cut what the sums of `reader` over a node lie between, by way of the first layer's currents (F9a)."""
        if place not in self.chains:
            return sums
        (matrix, bias), layer = self.chains[place], self.layers[reader]
        assert isinstance(layer, Subtracting)
        found, offset = self._through(matrix.full, reader), bias * layer.weights.sum(0)
        if found is None:
            return sums
        return greater(sums[0], found[0] + offset), lesser(sums[1], found[1] + offset)

    def _through(self, weights: Dyadic, reader: int) -> Ends | None:
        """Return what Σ_j weights[i, j]·S_j lies between, S being the first layer's trains to `reader`."""
        balance = self.balance(reader)
        return None if balance is None else balance.sums(weights)

    def balance(self, reader: int) -> ExactBalance | None:
        """Return what is known of the first layer's neurons as `reader` filters their spikes."""
        if reader not in self.balances:
            self.balances[reader] = self._balance(reader)
        return self.balances[reader]

    def _balance(self, reader: int) -> ExactBalance | None:
        first, layer = self.layers[self.graph.spiking[0]], self.layers[reader]
        if self.currents is None or not isinstance(first, Constant) or not isinstance(layer, Subtracting):
            return None
        if not layer.filters_as(first.neuron) or self.allowed.sum() * len(first.neuron.scale) > MOST_ROWS:
            return None
        gains, weights = (layer.ages * first.scale.column()).sum(0), layer.weights
        return ExactBalance(
            exactly(first.neuron.drop),
            first.sums(self.allowed, weights, reader),
            first.left(self.allowed, gains, weights, reader),
            gains,
            *self.currents,
            self.inputs,
        )

    def lines(self, place: int) -> Lines:
        """Return what stands for the maxima of a pool."""
        node = self.graph.nodes[place]
        assert isinstance(node, Maxima)
        if place not in self.drawn:
            self.drawn[place] = node.windows.lines(*self.steps(node.source))
        return self.drawn[place]

    def steps(self, place: int) -> Ends:
        """Return the exact box of a node at each step, (n, T) or (n, 1) each."""
        if self.graph.constant[place]:
            return self.fixed[place]
        for each in self.graph.linear(place):
            if each not in self.known:
                self.known[each] = self.fixed[each] if self.graph.constant[each] else self._cut(each)
        return self.known[place]

    def sums(self, place: int, weights: Dyadic, reader: Reader) -> Ends:
        """Return what Σ_t node[t]·weights[t, k] lies between, (n, K), weights (T, K) of the layer `reader`.

        Where there are other nodes over time between both, `reader` names these, too: weights are not the layer's.
        """
        found: dict[int, Ends] = {}
        for each in self.graph.linear(place):
            hold("sums over windows of steps", self.graph.widths[each] * weights.shape[1])
            found[each] = self._sums(each, found, weights, reader)
            if self.entering is not None:
                found[each] = self.entering.cut_sums(each, found[each], weights, reader)
        return found[place]

    def _cut(self, place: int) -> Ends:
        ends = self._steps(place)
        return ends if self.entering is None else self.entering.cut(place, ends)

    def _sums(self, place: int, found: dict[int, Ends], weights: Dyadic, reader: Reader) -> Ends:
        graph, node = self.graph, self.graph.nodes[place]
        if graph.constant[place]:
            return _ends(*self.fixed[place], weights.sum(0))
        if isinstance(node, Through):
            low, high = node.affine.image(*found[node.source])
            shift = node.affine.bias * weights.sum(0) - node.affine.bias
            return low + shift, high + shift
        if isinstance(node, Sum):
            return _added(found[node.first], found[node.second])
        if isinstance(node, Filter):
            return self.sums(node.source, node.over_time @ weights, (reader, place))
        if isinstance(node, Maxima):
            return self._pooled(node, place, weights, reader)
        layer, reading = self.layers.get(place), self.layers[reader] if isinstance(reader, int) else None
        if isinstance(layer, Constant):
            return layer.sums(self.rows(place), weights, reader)
        if isinstance(layer, Subtracting) and isinstance(reading, Subtracting):
            return layer.filtered(self.paths(place), reading)
        return _weighted(*self.steps(place), weights)

    def _pooled(self, node: Maxima, place: int, weights: Dyadic, reader: Reader) -> Ends:
        """Return what Σ_t weights[t, k]·max_j x_j[t] lies between, (n, K).

        For weights ≥ 0 it is at least each Σ_t weights[t, k]·x_j[t], and where x ≥ 0 at most the sum of these over
        j. A row of both signs is the difference of two such sums.
        """
        low, high = _weighted(*self.steps(place), weights)
        if not (whole(0) <= self.steps(node.source)[0]).all():
            return low, high
        parts = (greater(weights, weights * 0), "+"), (greater(-weights, weights * 0), "-")
        more, less = (self.sums(node.source, part, (reader, place, sign)) for part, sign in parts)
        least = greater(low, node.windows.largest(more[0]) - node.windows.totals(less[1]))
        return least, lesser(high, node.windows.totals(more[1]) - node.windows.largest(less[0]))

    def _joint(self, place: int) -> bool:
        """Return whether windows of a node may say more than its steps: some source has a table, or a budget."""
        pending = [place]
        while pending:
            for each in self.graph.linear(pending.pop()):
                node = self.graph.nodes[each]
                pending += [node.source] if isinstance(node, Filter | Maxima) else []
                budget = self.entering is not None and each in self.entering.maps
                if budget or isinstance(self.layers.get(each), Constant):
                    return True
        return False

    def _steps(self, place: int) -> Ends:
        node = self.graph.nodes[place]
        if isinstance(node, Entrance):
            return self.inputs
        if isinstance(node, Through):
            return node.affine.image(*self.known[node.source])
        if isinstance(node, Sum):
            return _added(self.known[node.first], self.known[node.second])
        if isinstance(node, Filter):
            return self.sums(node.source, node.over_time, (place,))
        if isinstance(node, Maxima):
            low, high = self.steps(node.source)
            return node.windows.largest(low), node.windows.largest(high)
        return self.layers[place].spikes(self.trains(place))


def _added(one: Ends, two: Ends) -> Ends:
    return one[0] + two[0], one[1] + two[1]


def _weighted(low: Dyadic, high: Dyadic, weights: Dyadic) -> Ends:
    """Return what Σ_t x[t]·weights[t, k] lies between, (n, K), for x in [low, high], (n, T) or (n, 1) each."""
    if low.shape[1] != len(weights.ints):
        return _ends(low, high, weights.sum(0))
    above, below = greater(weights, weights * 0), lesser(weights, weights * 0)
    return low @ above + high @ below, high @ above + low @ below


def _ends(low: Dyadic, high: Dyadic, factors: Dyadic) -> Ends:
    """Return what x·factors lies between, for x in [low, high], (n, 1), and factors (K,)."""
    one, two = low * factors, high * factors
    return lesser(one, two), greater(one, two)
