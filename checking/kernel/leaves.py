"""Rules R and L: what a leaf's potentials add up to, by Lagrangian duality.

A margin is a sum of A·s over spikes. For any prices μ on a layer's currents, Σ A·s ≥ Σ_j (least Σ A·s − Σ μ·I of neuron
j) + Σ μ·I, and Σ μ·I is the same kind of sum over what the currents are made of, down to the inputs, where it is least in
closed form. Costs on spikes are rounded down, for spikes are not negative; those on inputs are exact.
"""

from collections import defaultdict

import numpy as np

from ..numbers.exact import Dyadic
from ..refusal import Refused
from ..work import spend
from .contexts import Context
from .network import Entrance, Spikes, Sum
from .numbers import GRID, least, regrid


class Costs:
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
        """Turn the costs on a sum into costs on what it adds up."""
        node = self.context.nodes.nodes[place]
        assert isinstance(node, Sum)
        for shift, held in self._taken(place):
            for (t, j), cost in held.items():
                self.constant += regrid(least(cost, node.bias[j]), shift + GRID)[0]
                for source, row in node.rows[j]:
                    spend(len(row))
                    into = self._held[source][shift + node.shift]
                    for i, weight in row:
                        into[t, i] = into.get((t, i), 0) + cost * weight

    def _taken(self, place: int) -> list[tuple[int, dict[tuple[int, int], int]]]:
        held = [(shift, dict(costs)) for shift, costs in self._held[place].items()]
        self._held[place].clear()
        return held

    def on_spikes(self, place: int, width: int) -> list[list[int]]:
        """Return the costs on spikes, rounded down to the grid, (n, T); they are taken from what is held."""
        spend(width * self.context.steps)
        found = [[0] * self.context.steps for _ in range(width)]
        for shift, held in self._taken(place):
            for (t, j), cost in held.items():
                found[j][t] += regrid(cost, shift)[0]
        return found

    def at_inputs(self) -> int:
        """Return a bound of all that is held, once it is down at the inputs, on the grid.

        Raises:
            Refused: where some of it is on spikes.
        """
        for place in reversed(range(1, len(self._held))):
            if isinstance(self.context.nodes.nodes[place], Sum):
                self.pull(place)
            elif self._held[place]:
                raise Refused("a current that is no sum of the inputs alone")
        node, inputs = self.context.nodes.nodes[0], self.context.nodes.inputs
        assert isinstance(node, Entrance)
        shift = max(self._held[0], default=0)
        total = np.zeros(inputs.low.shape, dtype=object)
        for own, held in self._taken(0):
            for (t, j), cost in held.items():
                total[j, t if total.shape[1] > 1 else 0] += cost << shift - own
        bound = inputs.least(Dyadic(total, shift))
        return self.constant + regrid(int(bound.ints), bound.shift)[0]


class Leaf:
    """A leaf in the making: nodes are done from the last one down, each neuron by a potential, a price or by nothing."""

    def __init__(self, context: Context, costs: Costs) -> None:
        self.context, self.costs, self.total = context, costs, 0
        self.place = len(context.nodes.nodes)
        self.open: dict[int, list[int]] = {}
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
            if isinstance(node, Spikes):
                self.open = dict(enumerate(self.costs.on_spikes(self.place, node.width)))
            elif isinstance(node, Sum):
                self.costs.pull(self.place)

    def _finish(self) -> None:
        """Bound the neurons of this layer for which nothing was given: prices 0."""
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
            spent = sum(cost for cost, s in zip(costs, table.trains[r], strict=True) if s)
            ends = max(low, table.ends[r][0]), min(high, table.ends[r][1])
            values.append((spent << GRID) - max(price * ends[0], price * ends[1]))
        error = self.context.nodes.errors[self.context.nodes.spiking(self.place).source][j]
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

    def potential(self, place: int, j: int, prices: list[int], bound: int) -> None:
        """Take a neuron whose potentials prove a bound at prices."""
        self.total += bound
        for t, price in enumerate(prices):
            self.costs.add(self.context.nodes.spiking(place).source, t, j, price)

    def bound(self) -> int:
        """Return the bound of the margin, on the grid, once all is done."""
        self.descend(0)
        return self.total + self.costs.at_inputs()
