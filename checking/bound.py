"""A lower bound of a margin at one leaf, exactly, at whatever prices the proof gives (Lagrangian duality).

(logit_y − logit_k)/unit is a sum of A·s over nodes of the network's graph, at first over what is read out. For any
prices μ on a spiking layer's currents c,

    Σ A·s = (Σ A·s − Σ μ·c) + Σ μ·c ≥ Σ_j min over neuron j's trains and currents of (Σ A·s − μ·c) + Σ μ·c,

and Σ μ·c is the same kind of sum over the node that the currents come from, down to the inputs, where it is least
in closed form. A layer whose current is constant has its least at an end of one of the rows that the leaf allows
(constant.py); any other is a shortest path (varying.py) within the boxes that the leaf's trains leave its currents
at each step and, where some source has a table, over each window of steps: one train of a neuron before it serves
all steps of a window, so the box of the window's sum is far smaller than the sum of the steps' boxes (F5). Wrong
prices can only make the bound lower, so prices need no trust.

Rounding. `errors` bounds how far the run of each node may be from the exact affine maps of the run's own inputs
and spikes: an affine layer passes on |W| times the error before it and adds its own. Σ|μ|·error is paid; boxes and
rows are widened by it. The logits' own error is paid at the start, so that a positive bound is a strict order of
the run's logits.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .events.entering import Entering, composed
from .events.inputs import Inputs
from .leaf import Chain, Ends, Leaf, Trains
from .maps.affine import Affine
from .maps.filters import Filter
from .maps.pooling import Maxima
from .narrowing import OldNarrowing
from .network.graph import Graph, Mean, Spikes, Sum, Through, arrange
from .network.loops import driven, echoed
from .network.measuring import Measure, measured
from .network.model import Network
from .network.neurons import Neuron
from .numbers.arithmetic import Arithmetic
from .numbers.exact import Dyadic, Refused, exactly, greater, stacked, whole
from .numbers.sparse import Matrix
from .short import Narrowing
from .trains.constant import Constant
from .trains.memoryless import Memoryless
from .trains.subtracting import Subtracting
from .trains.tables import TooLong
from .trains.varying import Varying

Costs = dict[int, Dyadic]


@dataclass(frozen=True)
class Question:
    """A network over a set of inputs.

    Attributes:
        cells: how many cells each neuron that subtracts may have; 0: its paths go from spike to spike.
        side: of the square of cells that a pair of neurons may have whose spikes are counted; 0: no pairs.
    """

    network: Network
    inputs: Inputs
    cells: int = 0
    side: int = 0

    @cached_property
    def graph(self) -> Graph:
        """Return the network's nodes over inputs of this shape."""
        return arrange(self.network, self.inputs.shape[1:] if self.network.timed else self.inputs.shape)

    @property
    def arithmetic(self) -> Arithmetic:
        """Return the run's arithmetic."""
        return self.network.arithmetic

    @property
    def classes(self) -> int:
        """Return the number of logits."""
        return self.graph.widths[-1]

    @property
    def measured(self) -> tuple[list[Dyadic], list[Dyadic]]:
        """Return, for each node, a bound of the modulus of what the run has there, and `errors`, (n, k) each."""
        sizes, errors = zip(*self._found[0], strict=True)
        return list(sizes), list(errors)

    @property
    def layers(self) -> dict[int, Trains]:
        """Return the spiking layers by their place in the graph."""
        return self._found[1].layers

    @cached_property
    def _found(self) -> tuple[list[Measure], Leaf]:
        """Return the measures, and the root: each layer's spikes are as large as its trains there say."""
        roots: list[Leaf] = []

        def fires(place: int, current: Measure) -> Dyadic:
            """Add a layer to the root, and return whether its spikes are possible."""
            node = self.graph.nodes[place]
            assert isinstance(node, Spikes)
            layer = self._layer(node.source, node.neuron, node.feedback, *current)
            if not roots:
                ends = self.inputs.low, self.inputs.high
                looked = self._looked_through(layer)
                roots.append(Leaf(self.graph, {}, self.fixed, ends, layer.everything, *looked, self.entering))
            roots[0].layers[place] = layer
            return layer.spikes(roots[0].trains(place))[1]

        return measured(self.graph, self.inputs, self.arithmetic, fires), roots[0]

    def _layer(self, source: int, neuron: Neuron, feedback: Affine | None, size: Dyadic, error: Dyadic) -> Trains:
        """Return neurons whose current is node `source`: with a table, with cells, or with segments."""
        if feedback is not None:
            size, error = driven(feedback, size, error, self.arithmetic)
        celled = self.cells > 0 and neuron.reset == "subtract"
        if self.graph.constant[source] and feedback is None:
            try:
                return Constant.of(*self.fixed[source], error, neuron, self.arithmetic)
            except TooLong:
                if not celled:
                    raise
        if celled:
            return Subtracting.of(size, error, neuron, self.cells, self.arithmetic)
        if neuron.decay == 0:
            return Memoryless.of(size, error, neuron, self.arithmetic)
        return Varying.of(size, error, neuron, self.arithmetic)

    @cached_property
    def fixed(self) -> dict[int, Ends]:
        """Return the exact box of each node that is the same at every step, (n, 1) each."""
        found: dict[int, Ends] = {0: (self.inputs.low, self.inputs.high)} if self.graph.constant[0] else {}
        for place, node in enumerate(self.graph.nodes):
            if isinstance(node, Through) and self.graph.constant[place]:
                found[place] = node.affine.image(*found[node.source])
            elif isinstance(node, Maxima) and self.graph.constant[place]:
                low, high = found[node.source]
                found[place] = node.windows.largest(low), node.windows.largest(high)
            elif isinstance(node, Sum) and self.graph.constant[place]:
                one, two = found[node.first], found[node.second]
                found[place] = one[0] + two[0], one[1] + two[1]
            if self.inputs.ball is not None and place in found and place in self.maps:
                found[place] = self.inputs.within(*found[place], *self.maps[place])
        return found

    @cached_property
    def maps(self) -> dict[int, tuple[Matrix, Dyadic]]:
        """Return nodes that are the same at every step and one exact map of the inputs: W, and b (n, 1)."""
        return composed(self.graph) if self.graph.constant[0] else {}

    @cached_property
    def entering(self) -> Entering | None:
        """Return what is known of nodes that read a recording, where the inputs are recordings that change."""
        changes = self.inputs.changes
        return None if changes is None else Entering.of(self.graph, changes)

    def _looked_through(self, first: Trains) -> tuple[Chain | None, dict[int, Chain]]:
        """Return the currents of a first layer that subtracts, and what is one map of its spikes, for F9a."""
        (place, *others), found = self.graph.spiking, dict[int, Chain]()
        source = self.graph.nodes[place].source  # pyright: ignore[reportAttributeAccessIssue]
        looked = self.cells and isinstance(first, Constant) and first.neuron.reset == "subtract"
        readers = (self.graph.nodes[other].neuron.reset for other in others)  # pyright: ignore
        if not looked or "subtract" not in readers or source not in self.maps:
            return None, found
        for index, node in enumerate(self.graph.nodes):
            if isinstance(node, Through) and node.source == place:
                found[index] = node.affine.matrix, node.affine.bias
            elif isinstance(node, Through) and node.source in found:
                matrix, bias = found[node.source]
                found[index] = node.affine.matrix.after(matrix), node.affine.matrix @ bias + node.affine.bias
        return self.maps[source], found

    @property
    def first(self) -> Trains:
        """Return the layer whose trains a tree splits."""
        return self.layers[self.graph.spiking[0]]

    @property
    def priced(self) -> list[tuple[int, ...]]:
        """Return the shape of one leaf's prices, layer by layer."""
        return [layer.priced for layer in self.layers.values()]

    def margin(
        self, label: int, other: int, allowed: np.ndarray, prices: list[Dyadic], narrowing: Narrowing | None = None
    ) -> Dyadic | None:
        """Return the bound of (logit_label − logit_other)/unit at a leaf, or None where the leaf holds no train.

        Args:
            label, other: y and k.
            allowed: what the leaf allows the first layer: rows among those in reach, (n, R) of bool, or silence
                and spikes at each step, (n, T, 2).
            prices: first layer first, shaped as `priced`; those of a varying layer are to be times Λ.
            narrowing: multipliers that narrow the currents of a constant first layer.
        """
        leaf = self.leaf(allowed, narrowing) if allowed.any(-1).all() else None
        bound = None if leaf is None else self._dual(leaf, label, other, prices)
        if leaf is None or bound is None or self.counted is None or bound.fraction() > 0:
            return bound
        ahead = self._ahead(leaf, label, other)
        return None if ahead is None else greater(bound, ahead)

    def _dual(self, leaf: Leaf, label: int, other: int, prices: list[Dyadic]) -> Dyadic | None:
        """Return the bound at prices."""
        total, costs = self._readout(label, other)
        given, costs = dict(zip(self.layers, prices, strict=True)), dict(costs)
        for place in reversed(range(1, self.graph.read + 1)):
            node, cost = self.graph.nodes[place], costs.pop(place, None)
            if isinstance(node, Spikes):
                cost = self._zeros(place) if cost is None else cost
                paid = self._priced(leaf, place, cost, given[place])
                if paid is None:
                    return None
                total = total + paid[0]
                self._add(costs, node.source, paid[1])
            elif isinstance(node, Maxima) and cost is not None:
                pulled, constant = leaf.lines(place).pulled(cost)
                self._add(costs, node.source, pulled)
                total = total + constant
            elif cost is not None:
                total = total + self._pulled(node, cost, costs)
        return total + self.inputs.least(costs[0])

    @property
    def celled(self) -> bool:
        """Return whether some layer has cells."""
        return any(isinstance(layer, Subtracting) for layer in self.layers.values())

    @property
    def counted(self) -> int | None:
        """Return the place of the layer whose spikes the readout counts, if pairs of its neurons have cells."""
        last = self.graph.nodes[-1]
        if not self.side or not isinstance(last, Mean):
            return None
        node = self.graph.nodes[last.source]
        plain = isinstance(node, Spikes) and node.feedback is None
        return last.source if plain and isinstance(self.layers[last.source], Subtracting) else None

    def _ahead(self, leaf: Leaf, label: int, other: int) -> Dyadic | None:
        """Return a bound of N_label − N_other, rounding paid, by cells of both; None: there is no run."""
        place, signs = self.counted, np.zeros((self.classes, 1), dtype=object)
        assert place is not None
        signs[label], signs[other] = 1, -1
        found = leaf.ahead(place, (label, other), *self._sources(place, Dyadic(signs, 0)), self.side)
        return None if found is None else self._readout(label, other)[0] + whole(found)

    def _sources(self, place: int, costs: Dyadic) -> tuple[Dyadic, Costs]:
        """Return costs (n, 1) on a layer's currents as a constant, and costs on spikes, inputs and constants."""
        source = self.graph.nodes[place].source  # pyright: ignore[reportAttributeAccessIssue]
        total, found = whole(0), {source: costs}
        for index in reversed(range(1, source + 1)):
            node = self.graph.nodes[index]
            if index in found and isinstance(node, Through | Sum) and not self.graph.constant[index]:
                total = total + self._pulled(node, found.pop(index), found)
        return total, found

    def leaf(self, allowed: np.ndarray, narrowing: Narrowing | None = None) -> Leaf | None:
        """Return what a leaf's rows of the first layer leave, or None where they leave no run."""
        if narrowing is None and np.array_equal(allowed, self.first.everything):
            return self._found[1]
        return self._leaf(allowed, narrowing)

    def _leaf(self, allowed: np.ndarray, narrowing: Narrowing | None) -> Leaf | None:
        layers, root, place = self.layers, self._found[1], self.graph.spiking[0]
        if narrowing is not None:
            first, source = self.first, self.graph.nodes[place].source  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(first, Constant) or source not in self.maps:
                raise Refused("multipliers narrow a first layer whose current is no affine map of the input")
            narrowed = OldNarrowing(**vars(narrowing)).narrowed(first, allowed, self.inputs, self.maps[source])
            if narrowed is None:
                return None
            layers, allowed = layers | {place: narrowed[0]}, narrowed[1]
        known = root.fixed, root.inputs, allowed, root.currents, root.chains, root.entering
        return Leaf(self.graph, layers, *known)

    @cached_property
    def _readouts(self) -> dict[tuple[int, int], tuple[Dyadic, Costs]]:
        return {}

    def _readout(self, label: int, other: int) -> tuple[Dyadic, Costs]:
        """Return (logit_label − logit_other)/unit as a constant, slack paid, and costs on what is read out."""
        if (label, other) not in self._readouts:
            signs = np.zeros((self.classes, 1), dtype=object)
            signs[label], signs[other] = 1, -1
            total = -self.readout_slack(label) - self.readout_slack(other)
            found: Costs = {}
            self._add(found, len(self.graph.nodes) - 1, Dyadic(signs, 0) * self._weights)
            for place in reversed(range(self.graph.read + 1, len(self.graph.nodes))):
                if place in found:
                    total = total + self._pulled(self.graph.nodes[place], found.pop(place), found)
            self._readouts[label, other] = total, found
        return self._readouts[label, other]

    @property
    def _weights(self) -> Dyadic:
        return stacked([exactly(weight) for weight in self.graph.weights])

    def readout_slack(self, logit: int) -> Dyadic:
        """Return how far the run's logit may be from the exact one of the run's own spikes, over the unit.

        A final potential adds a step's `slip` at each step, times Λ.
        """
        slack, final = (self.measured[1][-1][logit] * abs(self._weights)).sum(), self.network.integrator
        if final is None:
            return slack
        slip = final.slip(self.measured[0][-1].max().fraction(), self.arithmetic)
        return slack + Dyadic.outward([slip * sum(final.powers)], up=True)[0]

    def _pulled(self, node: object, costs: Dyadic, found: Costs) -> Dyadic:
        """Add what costs on a node mean for its sources, and return the constant that they leave."""
        if isinstance(node, Sum):
            self._add(found, node.first, costs)
            self._add(found, node.second, costs)
        elif isinstance(node, Mean):
            self._add(found, node.source, costs)
        elif isinstance(node, Filter):
            self._add(found, node.source, costs @ node.over_time.T)
        elif isinstance(node, Through):
            self._add(found, node.source, node.affine.matrix.T @ costs)
            return (costs.sum(1).column() * node.affine.bias).sum()
        return whole(0)

    def _priced(self, leaf: "Leaf", place: int, costs: Dyadic, prices: Dyadic) -> Ends | None:
        """Return the least Σ costs·s − μ·c of a spiking layer, and μ on its unscaled currents."""
        layer, node = leaf.layers[place], self.graph.nodes[place]
        assert isinstance(node, Spikes)
        unscaled, more = layer.unscaled(prices), whole(0)
        if node.feedback is not None:
            own, more = echoed(node.feedback, unscaled)
            costs = costs + own
        least = layer.least(leaf.trains(place), costs, prices)
        return None if least is None else (least + more, unscaled)

    def _zeros(self, place: int) -> Dyadic:
        return whole(np.zeros((self.graph.widths[place], self.network.steps), dtype=int))

    def _add(self, costs: Costs, place: int, more: Dyadic) -> None:
        """Add costs on a node; those on one that is the same at every step are summed over time."""
        if self.graph.constant[place]:
            more = more.sum(1).column()
        costs[place] = costs[place] + more if place in costs else more
