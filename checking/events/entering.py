"""What is known of nodes that read one recording step by step, where its changes share budgets.

Such a node is one exact map of the input of the same step, y[t] = W·x[t] + b. What it is at a step, and what
weighted sums of it over steps are, lies between the ends of boxes, and between those that enumeration.py finds of
W·x[t]: the one is cut with the other.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np

from ..maps.affine import Filter
from ..maps.pooling import Maxima
from ..network.graph import Graph, Mean, Node, Spikes, Sum, Through
from ..numbers.exact import Dyadic, greater, lesser, whole
from ..numbers.ranks import Ranks
from ..numbers.sparse import Matrix
from .inputs import Changes

Ends = tuple[Dyadic, Dyadic]
Map = tuple[Matrix, Dyadic]


def composed(graph: Graph) -> dict[int, Map]:
    """Return the nodes that are one exact map of the input of the same step: W, and b (n, 1)."""
    size = graph.widths[0]
    found = {0: (Matrix.identity(size), whole(np.zeros((size, 1), dtype=int)))}
    for place, node in enumerate(graph.nodes):
        if isinstance(node, Through) and node.source in found:
            matrix, bias = found[node.source]
            own = node.affine.matrix
            found[place] = own.after(matrix), own @ bias + node.affine.bias
        elif isinstance(node, Sum) and node.first in found and node.second in found:
            one, two = found[node.first], found[node.second]
            found[place] = one[0] + two[0], one[1] + two[1]
    return found


@dataclass(frozen=True)
class Entering:
    """The nodes of a network that are read by others than such maps.

    Attributes:
        changes: of the recording.
        maps: these nodes, W and b (n, 1).
        steps: T.
        ranks, middles, known: what was found so far.
    """

    changes: Changes
    maps: dict[int, Map]
    steps: int
    ranks: dict[int, Ranks] = field(default_factory=dict)
    middles: dict[int, Dyadic] = field(default_factory=dict)
    known: dict[Hashable, Ends] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph, changes: Changes) -> "Entering":
        """Return the nodes of a network over recordings."""
        maps = composed(graph)
        read = {source for place, node in enumerate(graph.nodes) if place not in maps for source in _sources(node)}
        steps = changes.center.shape[1]
        return Entering(changes, {place: found for place, found in maps.items() if place in read}, steps)

    def left(self, changes: Changes) -> "Entering":
        """Return the same of what is left of the changes, of which nothing was asked yet."""
        ranks = {place: ranks.afresh() for place, ranks in self.ranks.items()}
        return replace(self, changes=changes, ranks=ranks, middles={}, known={})

    @property
    def entries(self) -> int:
        """Return how many entries the recording has."""
        return self.changes.center.ints.size

    def cut_sums(self, place: int, ends: Ends, weights: Dyadic, reader: Hashable) -> Ends:
        """Cut what Σ_t weights[t, k]·node[t] lies between, (n, K).

        Args:
            place: the node.
            ends: what is known.
            weights: (T, K).
            reader: a name of `weights`, by which what is found is remembered.
        """
        if place not in self.maps:
            return ends
        matrix, bias = self.maps[place]
        if (place, reader) not in self.known:
            if place not in self.ranks:
                self.ranks[place] = Ranks.of(matrix)
            if place not in self.middles:
                self.middles[place] = matrix @ self.changes.center
            offset = bias * weights.sum(0)
            low, high = self.changes.between(self.middles[place], self.ranks[place], weights)
            self.known[place, reader] = low + offset, high + offset
        low, high = self.known[place, reader]
        return greater(ends[0], low), lesser(ends[1], high)


def _sources(node: Node) -> list[int]:
    if isinstance(node, Sum):
        return [node.first, node.second]
    return [node.source] if isinstance(node, Through | Spikes | Mean | Maxima | Filter) else []
