"""What holds for every run of the present part of the tree, and what it says of sums over time.

Facts are stated at a node of the tree and hold below it; a split adds what its side has. All is taken back when
the other side begins.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import add
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..events.inputs import Changes, Inputs
from ..numbers.exact import Dyadic, greater, lesser, whole
from ..refusal import Refused
from ..work import spend
from .invariants import Invariant, along
from .network import Greatest, InputBoxes, KernelNodes, Sizes, SpikingNode, Sum, TimeSums, boxes_of, largest
from .numbers import GRID, ONE, Box, common, scaled
from .tables import CheckedTable

Found = TypeVar("Found")
MOST_KNOWN = 1 << 12
"""How much is remembered of a node at once."""


class SpanEnds(NamedTuple):
    """The ends of boxes."""

    low: list[int]
    high: list[int]

    @property
    def doubled(self) -> tuple[list[int], list[int]]:
        """Return low + high and high − low."""
        pairs = list(zip(self.low, self.high, strict=True))
        return [low + high for low, high in pairs], [high - low for low, high in pairs]


@dataclass(frozen=True, eq=False)
class Window:
    """Σ factors[k − first]·x[k] over steps k from `first` on; factors as boxes, for powers are rounded."""

    first: int
    factors: tuple[Box, ...]

    @cached_property
    def total(self) -> Box:
        """Return what the factors add up to."""
        return sum(low for low, _ in self.factors), sum(high for _, high in self.factors)


class Context:
    """The facts: of neurons with a table which rows are left, of others which spikes are certain and possible.

    Attributes:
        nodes: of the network.
        steps: T.
        inputs: where each input may be, one box or one a step.
        entering: of a recording with budgets, what is known of nodes that read it; what may still change of it.
        tables: of the spiking layers that have one, by place.
        rows: which rows are left to each of their neurons.
        currents: where the run's current of each of them may be.
        bits: of each other neuron, how many spikes at each step are certain, and how many possible.
        invariants: the latest of each of these neurons.
        empty: whether no run is left.
        sizes: of the run's numbers, and of what may be rounded.
    """

    def __init__(self, nodes: KernelNodes, steps: int) -> None:
        self.nodes, self.steps = nodes, steps
        self.tables: dict[int, CheckedTable] = {}
        self.rows: dict[int, list[tuple[int, ...]]] = {}
        self.currents: dict[int, list[Box]] = {}
        self.bits: dict[int, list[tuple[Box, ...]]] = {}
        self.invariants: dict[int, list[Invariant | None]] = {}
        self.empty = [False]
        entrance = nodes.nodes[0]
        assert isinstance(entrance, InputBoxes)
        self.inputs = list(entrance.boxes)
        self.entering = [nodes.entering]
        self.sizes = Sizes(nodes, self.possible)
        self._trail: list[dict[tuple[int, Any], tuple[Any, Any, Any, int]]] = []
        self._known: list[dict[Hashable, Any]] = [{} for _ in nodes.nodes]
        self._sums: dict[tuple[int, Window], list[Box]] = {}
        self._pulled: dict[tuple[int, Window], Window] = {}
        self._joint: list[dict[tuple[int, Window], list[Box] | None]] = [{}]
        self._later: dict[Window, Window] = {}
        self._steps = [Window(t, ((ONE, ONE),)) for t in range(steps)]
        for place, node in enumerate(nodes.nodes):
            if isinstance(node, SpikingNode):
                self.bits[place] = [((0, node.most),) * steps] * node.width
                self.invariants[place] = [None] * node.width

    def possible(self, place: int) -> Dyadic:
        """Return how many spikes of the layer at a place are possible, (n, T)."""
        if place in self.tables:
            trains = self.tables[place].trains
            return whole(
                [[max(trains[r][t] for r in rows) for t in range(self.steps)] for rows in self.rows[place]]
            )
        return whole([[possible for _, possible in bits] for bits in self.bits[place]])

    # ---- changes ---------------------------------------------------------------------------------
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

    def give_table(self, place: int, table: CheckedTable) -> None:
        """State the trains of a layer whose currents are constant: each keeps the rows that it may reach."""
        self.tables[place] = table
        self.currents[place] = self.nodes_currents(place)
        self.rows[place] = [self.reached(place, box, range(len(table.trains))) for box in self.currents[place]]
        if not all(self.rows[place]):
            raise Refused(f"layer {place}: a neuron has no train at all")
        self._forget(place)

    def nodes_currents(self, place: int) -> list[Box]:
        """Return where the run's currents of a layer with constant ones may be."""
        source, width = self.nodes.spiking(place).source, self.nodes.spiking(place).width
        errors = self.sizes.errors(place)
        boxes = self.nodes.within_ball(source, [self.span(source, j, self.step(0)) for j in range(width)])
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

    def enter(self, i: int, t: int, box: Box) -> None:
        """State where an input is at a step; of constant currents, too, which trains are left then."""
        boxes = self.inputs[i]
        self.set(self.inputs, i, [*boxes[:t], box, *boxes[t + 1 :]], 0)
        if box[0] > box[1]:
            self.set(self.empty, 0, True, 0)
            return
        for place in self.tables:
            known = zip(self.currents[place], self.nodes_currents(place), strict=True)
            for j, (old, new) in enumerate(list(known)):
                left = common(old, new)
                if left != old:
                    self.set(self.currents[place], j, left, place)
                    self.leave(place, j, self.reached(place, left, self.rows[place][j]))

    def settle(self, changes: Changes) -> None:
        """State what may still change of a recording: some of what might before; what was found of that goes."""
        entering = self.entering[0]
        assert entering is not None
        spend(32 * entering.entries)  # boxes
        after = entering.left(changes)
        if entering is not self.nodes.entering:  # else the path of a tree would hold all that its nodes found
            self.entering[0] = entering.left(entering.changes)
            self._joint[0] = {}
        self.set(self.entering, 0, after, 0)
        self.set(self._joint, 0, {}, 0)
        for i, boxes in enumerate(boxes_of(*changes.ends())):
            if boxes != self.inputs[i]:
                self.set(self.inputs, i, boxes, 0)

    # ---- what holds ------------------------------------------------------------------------------
    def span(self, place: int, j: int, window: Window) -> Box:
        """Return where Σ factors·x over a window may be, x being number j of a node, exact of the run's spikes."""
        ends = self.spans(place, window)
        return ends.low[j], ends.high[j]

    def spans(self, place: int, window: Window) -> SpanEnds:
        """Return the ends of `span` for all numbers of a node."""
        return self.recall(place, window, lambda: self._both(place, window))

    def _both(self, place: int, window: Window) -> SpanEnds:
        spend(self.nodes.graph.widths[place] * len(window.factors))
        return SpanEnds(*(list(ends) for ends in zip(*self._spans(place, window), strict=True)))

    def recall(self, place: int, name: Hashable, find: Callable[[], Found]) -> Found:
        """Return what was found of a node, as long as all that it follows from is the same."""
        known = self._known[place]
        if name not in known:
            if len(known) >= MOST_KNOWN:
                known = self._known[place] = {}
            known[name] = find()
        return known[name]

    def current(self, place: int, j: int, window: Window) -> Box:
        """Return where Σ factors·I of neuron j of a layer may be; what it hears of itself comes a step later."""
        node = self.nodes.spiking(place)
        low, high = self.span(node.source, j, window)
        if node.heard is None:
            return low, high
        if window not in self._later:
            first = max(window.first - 1, 0)
            self._later[window] = Window(first, window.factors[window.first == 0 :])
        (sums, widths), matrix = self.spans(place, self._later[window]).doubled, node.heard.parts[0][1]
        assert matrix is not None
        spend(int(matrix.starts[j + 1] - matrix.starts[j]))
        own = matrix.entries(j)
        middle, radius = sum(w * sums[i] for i, w in own), sum(abs(w) * widths[i] for i, w in own)
        least, most = _rounded(middle, radius, node.heard, j, window.total)
        return low + least, high + most

    def _spans(self, place: int, window: Window) -> list[Box]:
        node = self.nodes.nodes[place]
        if isinstance(node, Sum):
            return self._joined(place, window, node)
        if isinstance(node, InputBoxes):
            return [_entered(boxes, window) for boxes in self.inputs]
        if isinstance(node, TimeSums):
            ends = self.spans(node.source, self._before(place, node, window))
            return list(zip(ends.low, ends.high, strict=True))
        if isinstance(node, Greatest):
            return self._largest(node, window)
        if place in self.tables:
            return self._of_rows(place, window)
        if len(window.factors) == 1:
            return [_spiked(bits[window.first :], window.factors) for bits in self.bits[place]]
        return [self._of_paths(place, j, window) for j in range(node.width)]

    def _of_rows(self, place: int, window: Window) -> list[Box]:
        sums, known = self.sums(place, window), dict[tuple[int, ...], Box]()
        for rows in self.rows[place]:
            if rows not in known:
                spend(len(rows))
                known[rows] = min(sums[r][0] for r in rows), max(sums[r][1] for r in rows)
        return [known[rows] for rows in self.rows[place]]

    def _of_paths(self, place: int, j: int, window: Window) -> Box:
        invariant, bits = self.invariants[place][j], self.bits[place][j][window.first :][: len(window.factors)]
        if invariant is None or all(certain == possible for certain, possible in bits):
            return _spiked(bits, window.factors)
        return along(invariant, window.first, window.factors)

    def _joined(self, place: int, window: Window, node: Sum) -> list[Box]:
        """Return boxes of sums, cut with what a recording's budgets say of them; of settled ones this alone."""
        entering, joint = self.entering[0], self._joint[0]
        if entering is None:
            return self._summed(node, window)
        if (place, window) not in joint:
            sizes = largest(self.sizes.of(place)[0])
            joint[place, window] = self.nodes.joint(entering, place, window.first, window.factors, sizes)
        known, settled = joint[place, window], entering is not self.nodes.entering
        if known is not None and settled:
            return known
        boxes = self._summed(node, window)
        return boxes if known is None else list(map(common, boxes, known))

    def _largest(self, node: Greatest, window: Window) -> list[Box]:
        """Return what is known of maxima: of each step's, and, for factors ≥ 0, of each entry over the window.

        Then a maximum is no less than any entry, and, where none is negative, no more than their sum.
        """
        steps = range(window.first, window.first + len(window.factors))
        ends = [self.spans(node.source, self.step(t)) for t in steps]
        together = all(least >= 0 for least, _ in window.factors) and len(window.factors) > 1
        whole = self.spans(node.source, window) if together else None
        positive, found = all(min(low) >= 0 for low, *_ in ends), []
        for entries in node.entries:
            tops = [
                (max(map(low.__getitem__, entries)), max(map(high.__getitem__, entries))) for low, high, *_ in ends
            ]
            parts = [_product(top, factor) for top, factor in zip(tops, window.factors, strict=True)]
            low, high = sum(least for least, _ in parts), sum(most for _, most in parts)
            if whole is not None:
                low = max(low, *map(whole.low.__getitem__, entries))
                high = min(high, sum(map(whole.high.__getitem__, entries))) if positive else high
            found.append((low, high))
        return found

    def entered(self) -> Inputs:
        """Return the set of inputs of this part of the tree."""

        def find() -> Inputs:
            inputs, entrance, entering = self.nodes.inputs, self.nodes.nodes[0], self.entering[0]
            if entering is not None:
                low, high = entering.changes.ends()
                return replace(inputs, low=low, high=high, changes=entering.changes)
            if isinstance(entrance, InputBoxes) and self.inputs == entrance.boxes:
                return inputs
            low, high = (
                Dyadic(np.array([[box[end] for box in own] for own in self.inputs], dtype=object), GRID)
                for end in (0, 1)
            )
            return replace(inputs, low=greater(inputs.low, low), high=lesser(inputs.high, high))

        return self.recall(0, "inputs", find)

    def step(self, t: int) -> Window:
        """Return a step by itself."""
        return self._steps[t]

    def _before(self, place: int, node: TimeSums, window: Window) -> Window:
        """Return the window of what a filter reads: factors Hᵀf."""
        if (place, window) not in self._pulled:
            ends = [[0, 0] for _ in range(self.steps)]
            for row, (least, most) in zip(node.rows[window.first :], window.factors, strict=False):
                for k, weight in row:
                    ends[k][0] += least * weight
                    ends[k][1] += most * weight
            factors = [(low >> node.shift, -(-high >> node.shift)) for low, high in ends]
            self._pulled[place, window] = Window(0, tuple(factors))
        return self._pulled[place, window]

    def _summed(self, node: Sum, window: Window) -> list[Box]:
        """Return boxes of all sums: of Σ w·x it is twice the middle, and twice the radius."""
        middle = radius = [0] * len(node.bias)
        for source, matrix in node.parts:
            spend(len(node.bias))
            sums, widths = self.spans(source, window).doubled
            if matrix is not None:
                sums, widths = matrix.images(sums), matrix.moduli.images(widths)
            middle, radius = list(map(add, middle, sums)), list(map(add, radius, widths))
        return [_rounded(*each, node, j, window.total) for j, each in enumerate(zip(middle, radius, strict=True))]

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


def _rounded(middle: int, radius: int, node: Sum, j: int, total: Box) -> Box:
    """Return the box of a sum, with its bias, from twice its middle and its radius without."""
    low, high = (0, 0) if node.bias[j] == (0, 0) else _product(node.bias[j], total)
    return (middle - radius >> node.shift + 1) + low, -(-middle - radius >> node.shift + 1) + high


def _spiked(bits: Sequence[Box], factors: Sequence[Box]) -> Box:
    low = high = 0
    for (certain, possible), (least, most) in zip(bits, factors, strict=False):
        low += min(certain * least, possible * least)
        high += max(certain * most, possible * most)
    return low, high


def _entered(boxes: list[Box], window: Window) -> Box:
    if len(boxes) == 1:
        return _product(boxes[0], window.total)
    parts = [_product(box, factor) for box, factor in zip(boxes[window.first :], window.factors, strict=False)]
    return sum(low for low, _ in parts), sum(high for _, high in parts)


def _product(box: Box, factor: Box) -> Box:
    if factor[0] == factor[1]:
        return scaled(box, factor[0])
    ends = [scaled(box, factor[0]), scaled(box, factor[1])]
    return min(low for low, _ in ends), max(high for _, high in ends)
