"""Rules R and L: what a leaf's potentials add up to, by Lagrangian duality.

A margin is a sum of A·s over spikes. For any prices μ on a layer's currents, Σ A·s ≥ Σ_j (least Σ A·s − Σ μ·I of
neuron j) + Σ μ·I, and Σ μ·I is the same kind of sum over what the currents are made of, down to the inputs, where
it is least in closed form. Costs on spikes are rounded down, for spikes are not negative; those on inputs are
exact.
"""

from collections import defaultdict

import numpy as np

from ..numbers.exact import Dyadic
from ..refusal import Refused
from ..work import spend
from .contexts import Context
from .network import Greatest, SpikingNode, Sum, TimeSums
from .numbers import GRID, HUGE, least, regrid


class PulledCosts:
    """Costs on numbers of nodes, pulled back through sums: by node, (step, number) and bits behind the point.

    Attributes:
        constant: what is known of the rest, on the grid.
    """

    def __init__(self, context: Context) -> None:
        self.context, self.constant = context, 0
        self._held: list[dict[int, dict[tuple[int, int], int]]] = [defaultdict(dict) for _ in context.nodes.nodes]

    def add(self, place: int, t: int, j: int, cost: int, shift: int = GRID) -> None:
        """Add a cost, over 2^shift, on number j of a node at a step."""
        if cost:
            held = self._held[place][shift]
            held[t, j] = held.get((t, j), 0) + cost

    def pull(self, place: int) -> None:
        """Turn the costs on a node that is no neurons into costs on what it is made of."""
        node = self.context.nodes.nodes[place]
        for shift, held in self.taken_at(place):
            if isinstance(node, Sum):
                self._through(node, held, shift)
                continue
            for (t, j), cost in held.items():
                if isinstance(node, TimeSums):
                    into = self._held[node.source][shift + node.shift]
                    for k, weight in node.rows[t]:
                        into[k, j] = into.get((k, j), 0) + cost * weight
                elif isinstance(node, Greatest):
                    self._largest(node, t, j, cost, shift)

    def _through(self, node: Sum, held: dict[tuple[int, int], int], shift: int) -> None:
        """Add Wᵀ·costs to what is held of the sums' sources."""
        steps: dict[int, dict[int, int]] = defaultdict(dict)
        for (t, j), cost in held.items():
            self.constant += regrid(least(cost, node.bias[j]), shift + GRID)[0]
            steps[t][j] = cost
        for t, costs in steps.items():
            for source, matrix in node.parts:
                into = self._held[source][shift + node.shift]
                for i, value in costs.items() if matrix is None else enumerate(matrix.pulled(costs)):
                    if value:
                        into[t, i] = into.get((t, i), 0) + value

    def _largest(self, node: Greatest, t: int, j: int, cost: int, shift: int) -> None:
        """Let one entry stand for a maximum, of which it is no more, or which it surely is; else its upper end."""
        boxes = {i: self.context.span(node.source, i, self.context.step(t)) for i in node.entries[j]}
        chosen = max(boxes, key=lambda i: boxes[i])
        highest = max(high for _, high in boxes.values())
        others = max((high for i, (_, high) in boxes.items() if i != chosen), default=-HUGE)
        if cost >= 0 or others <= boxes[chosen][0]:
            into = self._held[node.source][shift]
            into[t, chosen] = into.get((t, chosen), 0) + cost
        else:
            self.constant += regrid(cost * highest, shift + GRID)[0]

    def taken_at(self, place: int) -> list[tuple[int, dict[tuple[int, int], int]]]:
        """Return what is held on a node, and hold it no more: bits behind the point, costs by (step, number)."""
        held = [(shift, dict(costs)) for shift, costs in self._held[place].items()]
        self._held[place].clear()
        return held

    def on_spikes(self, place: int, width: int) -> list[list[int]]:
        """Return the costs on spikes, rounded down to the grid, (n, T); they are taken from what is held."""
        spend(width * self.context.steps)
        found = [[0] * self.context.steps for _ in range(width)]
        for shift, held in self.taken_at(place):
            for (t, j), cost in held.items():
                found[j][t] += regrid(cost, shift)[0]
        return found

    def at_inputs(self) -> int:
        """Return a bound of all that is held, once it is down at the inputs, on the grid.

        Raises:
            Refused: where some of it is on spikes.
        """
        for place in reversed(range(1, len(self._held))):
            if not isinstance(self.context.nodes.nodes[place], SpikingNode):
                self.pull(place)
            elif self._held[place]:
                raise Refused("a current that is no sum of the inputs alone")
        inputs = self.context.entered()
        shift = max(self._held[0], default=0)
        total = np.zeros(inputs.low.shape, dtype=object)
        for own, held in self.taken_at(0):
            for (t, j), cost in held.items():
                total[j, t if total.shape[1] > 1 else 0] += cost << shift - own
        bound = inputs.least(Dyadic(total, shift))
        return self.constant + regrid(int(bound.ints), bound.shift)[0]


class OpenLeaf:
    """A leaf in the making: nodes are done from the last one down, a neuron by a potential, a price or nothing."""

    def __init__(self, context: Context, costs: PulledCosts) -> None:
        self.context, self.costs, self.total = context, costs, 0
        self.place = len(context.nodes.nodes)
        self.open: dict[int, list[int]] = {}
        self.heard: dict[int, list[int]] = {}
        self.descend(self.place - 1)

    def descend(self, place: int) -> None:
        """Finish all nodes above `place`, and begin there.

        Raises:
            Refused: where that was done before.
        """
        if place > self.place:
            raise Refused(f"layer {place}: comes behind one of its inputs")
        while self.place > place:
            self._finish()
            self.place -= 1
            node = self.context.nodes.nodes[self.place]
            if isinstance(node, SpikingNode):
                self.open = dict(enumerate(self.costs.on_spikes(self.place, node.width)))
            elif self.place:
                self.costs.pull(self.place)

    def _finish(self) -> None:
        """Bound the neurons of this layer for which nothing was given: prices 0."""
        if self.heard:
            raise Refused(
                f"layer {self.place}: neuron {min(self.heard)} has prices on what it hears, and no potential"
            )
        for j, costs in self.open.items():
            if any(costs):
                self.total += self._unpriced(j, costs)
        self.open = {}

    def _unpriced(self, j: int, costs: list[int]) -> int:
        if self.place in self.context.tables:
            return self._over_rows(j, costs, 0)
        bits = self.context.bits[self.place][j]
        return sum(
            min(cost * s for s in range(certain, possible + 1))
            for cost, (certain, possible) in zip(costs, bits, strict=True)
        )

    def _over_rows(self, j: int, costs: list[int], price: int) -> int:
        """Return rule R: the least over the rows that are left, each at an end of its currents."""
        table, (low, high) = self.context.tables[self.place], self.context.currents[self.place][j]
        spend(len(self.context.rows[self.place][j]) * len(costs))
        values = []
        for r in self.context.rows[self.place][j]:
            spent = sum(cost * s for cost, s in zip(costs, table.trains[r], strict=True) if s)
            ends = max(low, table.ends[r][0]), min(high, table.ends[r][1])
            values.append((spent << GRID) - max(price * ends[0], price * ends[1]))
        error = self.context.sizes.errors(self.place)[j]
        return (min(values) - abs(price) * error) >> GRID

    def taken(self, place: int, j: int) -> list[int]:
        """Return the costs on the spikes of a neuron that is not done yet, once all above it is.

        Raises:
            Refused: for a neuron that was done, or is not there.
        """
        self.context.nodes.spiking(place)
        self.descend(place)
        if j not in self.open:
            raise Refused(f"layer {place}: has no neuron {j} that is left")
        return self.open.pop(j)

    def price(self, place: int, j: int, price: int) -> None:
        """Take a neuron of a layer with a table at a price on its current."""
        costs = self.taken(place, j)
        if place not in self.context.tables:
            raise Refused(f"layer {place}: has no table, so a price alone proves nothing")
        self.total += self._over_rows(j, costs, price)
        self.costs.add(self.context.nodes.spiking(place).source, 0, j, price)

    def hear(self, place: int, j: int, prices: list[int]) -> None:
        """Take the prices of a neuron that hears its layer: on spikes of a step before they are costs (F16).

        Raises:
            Refused: where some neuron of the layer is done, or this one has such prices.
        """
        node = self.context.nodes.spiking(place)
        self.descend(place)
        if node.heard is None or len(self.open) < node.width or j not in self.open or j in self.heard:
            raise Refused(f"layer {place}: neuron {j} hears nothing, or its prices come twice or too late")
        self.heard[j], matrix = prices, node.heard.parts[0][1]
        own = [] if matrix is None else matrix.entries(j)
        for t, price in enumerate(prices):
            self.total += least(price, node.heard.bias[j]) >> GRID
            for i, weight in own if t else ():
                self.open[i][t - 1] += price * weight >> node.heard.shift

    def potential(self, place: int, j: int, prices: list[int], bound: int) -> None:
        """Take a neuron whose potentials prove a bound at prices.

        Raises:
            Refused: where it hears its layer, at other prices.
        """
        if self.heard.pop(j, [0] * len(prices)) != prices and self.context.nodes.spiking(place).heard is not None:
            raise Refused(f"layer {place}: neuron {j} has other prices than on what it hears")
        self.total += bound
        for t, price in enumerate(prices):
            self.costs.add(self.context.nodes.spiking(place).source, t, j, price)

    def bound(self) -> int:
        """Return the bound of the margin, on the grid, once all is done."""
        self.descend(0)
        return self.total + self.costs.at_inputs()
