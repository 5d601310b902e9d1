"""What holds for every run of the present part of the tree, and what it says of sums over time.

Facts are stated at a node of the tree and hold below it; a split adds what its side has. All is taken back when the
other side begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..refusal import Refused
from ..work import spend
from .invariants import Invariant
from .network import Entrance, Nodes, Spikes, Sum
from .numbers import GRID, ONE, Box, scaled
from .tables import Table


@dataclass(frozen=True, eq=False)
class Window:
    """Σ factors[k − first]·x[k] over steps k from `first` on; factors as boxes, for powers are rounded."""

    first: int
    factors: tuple[Box, ...]

    @property
    def total(self) -> Box:
        """Return what the factors add up to."""
        return sum(low for low, _ in self.factors), sum(high for _, high in self.factors)


class Context:
    """The facts: of neurons with a table which rows are left, of others which spikes are certain and possible.

    Attributes:
        nodes: of the network.
        steps: T.
        tables: of the spiking layers that have one, by place.
        rows: which rows are left to each of their neurons.
        currents: where the run's current of each of them may be.
        bits: of each other neuron, whether a spike at each step is certain, and whether it is possible.
        invariants: the latest of each of these neurons.
        empty: whether no run is left.
    """

    def __init__(self, nodes: Nodes, steps: int) -> None:
        self.nodes, self.steps = nodes, steps
        self.tables: dict[int, Table] = {}
        self.rows: dict[int, list[tuple[int, ...]]] = {}
        self.currents: dict[int, list[Box]] = {}
        self.bits: dict[int, list[tuple[Box, ...]]] = {}
        self.invariants: dict[int, list[Invariant | None]] = {}
        self.empty = [False]
        self._trail: list[dict[tuple[int, Any], tuple[Any, Any, Any, int]]] = []
        self._known: list[dict[tuple[int, Window], Box]] = [{} for _ in nodes.nodes]
        self._sums: dict[tuple[int, Window], list[Box]] = {}
        for place, node in enumerate(nodes.nodes):
            if isinstance(node, Spikes):
                self.bits[place] = [((0, 1),) * steps] * node.width
                self.invariants[place] = [None] * node.width

    # ---- changes ---------------------------------------------------------------------------------------------------
    def mark(self) -> int:
        """Return what `undo` goes back to."""
        self._trail.append({})
        return len(self._trail) - 1

    def undo(self, mark: int) -> None:
        """Take back what was stated since."""
        while len(self._trail) > mark:
            for where, index, value, place in self._trail.pop().values():
                where[index] = value
                self._forget(place)

    def set(self, where: Any, index: Any, value: Any, place: int) -> None:
        """State a fact about neurons at a place; of what it was at the last mark, the first one is kept."""
        if self._trail:
            self._trail[-1].setdefault((id(where), index), (where, index, where[index], place))
        where[index] = value
        self._forget(place)

    def _forget(self, place: int) -> None:
        for known in self._known[place:]:
            known.clear()

    def give_table(self, place: int, table: Table) -> None:
        """State the trains of a layer whose currents are constant: each neuron keeps the rows that it may reach."""
        self.tables[place] = table
        self.currents[place] = self.nodes_currents(place)
        self.rows[place] = [self.reached(place, box, range(len(table.trains))) for box in self.currents[place]]
        if not all(self.rows[place]):
            raise Refused(f"layer {place}: a neuron has no train at all")
        self._forget(place)

    def nodes_currents(self, place: int) -> list[Box]:
        """Return where the run's currents of a layer with constant ones may be."""
        source, width = self.nodes.spiking(place).source, self.nodes.spiking(place).width
        once, errors = Window(0, ((ONE, ONE),)), self.nodes.errors[source]
        boxes = self.nodes.within_ball(source, [self.span(source, j, once) for j in range(width)])
        return [(low - error, high + error) for (low, high), error in zip(boxes, errors, strict=True)]

    def reached(self, place: int, box: Box, rows: Sequence[int]) -> tuple[int, ...]:
        """Return those of some rows that a current in the box may have."""
        ends = self.tables[place].ends
        return tuple(r for r in rows if ends[r][0] <= box[1] and box[0] <= ends[r][1])

    def leave(self, place: int, j: int, rows: tuple[int, ...]) -> None:
        """State which rows are left to a neuron."""
        self.set(self.rows[place], j, rows, place)
        if not rows:
            self.set(self.empty, 0, True, place)

    # ---- what holds ------------------------------------------------------------------------------------------------
    def span(self, place: int, j: int, window: Window) -> Box:
        """Return where Σ factors·x over a window of steps may be, for number j of a node, exact and of the run's own spikes."""
        known = self._known[place]
        if (j, window) not in known:
            known[j, window] = self._span(place, j, window)
        return known[j, window]

    def _span(self, place: int, j: int, window: Window) -> Box:
        node = self.nodes.nodes[place]
        if isinstance(node, Sum):
            return self._summed(node, j, window)
        if isinstance(node, Entrance):
            boxes = node.boxes[j]
            if len(boxes) == 1:
                return _product(boxes[0], window.total)
            parts = [
                _product(box, factor) for box, factor in zip(boxes[window.first :], window.factors, strict=False)
            ]
            return sum(low for low, _ in parts), sum(high for _, high in parts)
        if place in self.tables:
            sums = self.sums(place, window)
            rows = self.rows[place][j]
            spend(len(rows))
            return min(sums[r][0] for r in rows), max(sums[r][1] for r in rows)
        spend(len(window.factors))
        return _spiked(self.bits[place][j][window.first :], window.factors)

    def _summed(self, node: Sum, j: int, window: Window) -> Box:
        low = high = 0
        for source, row in node.rows[j]:
            spend(len(row))
            for i, weight in row:
                box = self.span(source, i, window)
                if weight > 0:
                    low, high = low + weight * box[0], high + weight * box[1]
                else:
                    low, high = low + weight * box[1], high + weight * box[0]
        bias = _product(node.bias[j], window.total) if node.bias[j] != (0, 0) else (0, 0)
        return (low >> node.shift) + bias[0], -(-high >> node.shift) + bias[1]

    def sums(self, place: int, window: Window) -> list[Box]:
        """Return what a window is for each row of a table."""
        if (place, window) not in self._sums:
            steps = range(window.first, window.first + len(window.factors))
            spend(len(self.tables[place].trains) * len(steps))
            self._sums[place, window] = [
                _spiked([(train[t], train[t]) for t in steps], window.factors)
                for train in self.tables[place].trains
            ]
        return self._sums[place, window]


def _spiked(bits: Sequence[Box], factors: Sequence[Box]) -> Box:
    low = high = 0
    for (certain, possible), (least, most) in zip(bits, factors, strict=False):
        low += least if certain else min(0, least) if possible else 0
        high += most if certain else max(0, most) if possible else 0
    return low, high


def _product(box: Box, factor: Box) -> Box:
    if factor[0] == factor[1]:
        return scaled(box, factor[0])
    ends = [scaled(box, factor[0]), scaled(box, factor[1])]
    return min(low for low, _ in ends), max(high for _, high in ends)
