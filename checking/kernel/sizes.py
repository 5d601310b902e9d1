"""How large the run's numbers may be, and how far from the exact ones of its own spikes, found before any tree.

Spikes that are known not to fire are 0 and round nothing, so these are facts of the root: they are found node by
node, each from what is known of the spikes before it by then, and never changed, for all that is stated later
holds besides.
"""

from collections.abc import Callable

from ..network import graph as described
from ..network.loops import driven
from ..network.measuring import Measure, measure_of
from ..numbers.exact import Dyadic
from .network import KernelNodes
from .numbers import regrid

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
