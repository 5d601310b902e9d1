"""What numbers of nodes may add up to over windows of steps, in floats, for whole nodes and many windows at once.

Each box is widened by what its own floats may be off, so the kernel's exact one lies within it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernel.contexts import Context
from ..maps.affine import Filter
from ..maps.pooling import Maxima
from ..network import graph as described
from ..numbers.exact import Dyadic
from ..numbers.sparse import Matrix
from ..work import CALL, hold, spend
from .neurons import NeuronGraphs, StepWindows

ULP = 2.0**-52
MOST_DENSE = 2**23
"""Entries of a matrix that is held in full."""


class ReachBoxes(NamedTuple):
    """Boxes of each number over each window, and bounds of what was added up, (n, k) each."""

    low: np.ndarray
    high: np.ndarray
    size: np.ndarray

    def widened(self, terms: int) -> "ReachBoxes":
        """Return boxes around sums of so many products, whatever floats made of them."""
        loose = ULP * (terms + 8) * self.size
        return ReachBoxes(self.low - loose, self.high + loose, self.size)


@dataclass(frozen=True)
class FloatMap:
    """An affine map: its entries, and in full where that is not too large."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    bias: np.ndarray
    shape: tuple[int, int]

    @staticmethod
    def of(matrix: Matrix, bias: Dyadic) -> "FloatMap":
        """Return x ↦ W·x + b, to the next floats."""
        values = floats(Dyadic(matrix.ints, matrix.shift))
        return FloatMap(matrix.row, matrix.column, values, floats(bias), matrix.shape)

    @cached_property
    def longest(self) -> int:
        """Return the most entries of a row."""
        return int(np.bincount(self.rows, minlength=1).max())

    @cached_property
    def full(self) -> np.ndarray | None:
        """Return the matrix, None where it is too large."""
        if self.shape[0] * self.shape[1] > MOST_DENSE:
            return None
        found = np.zeros(self.shape)
        found[self.rows, self.columns] = self.values
        return found

    @cached_property
    def moduli(self) -> np.ndarray | None:
        """Return the moduli of the matrix."""
        return None if self.full is None else np.abs(self.full)

    def image(self, given: ReachBoxes, windows: StepWindows) -> ReachBoxes:
        """Return where W·x + b lies."""
        middle, radius = (given.low + given.high) / 2, (given.high - given.low) / 2
        total, moduli = windows.factors.sum(1), windows.parts[2].sum(0)
        middle = self._times(self.full, self.values, middle) + self.bias * total
        both = self._times(self.moduli, np.abs(self.values), np.hstack([radius, given.size]))
        radius, size = both[:, : len(total)], both[:, len(total) :] + np.abs(self.bias) * moduli
        return ReachBoxes(middle - radius, middle + radius, size).widened(self.longest + windows.factors.shape[1])

    def _times(self, full: np.ndarray | None, values: np.ndarray, x: np.ndarray) -> np.ndarray:
        if full is not None:
            return full @ x
        sums = [np.bincount(self.rows, values * column[self.columns], self.shape[0]) for column in x.T]
        return np.stack(sums, 1)


class FloatReach:
    """The reach of all nodes as far as it was asked for, in what holds at present.

    Attributes:
        context: which rows are left to neurons with a table, and which spikes to others.
        graphs: what is known of the paths of the latter, by place.
        steps: each step by itself.
    """

    def __init__(self, context: Context, layers: list[int]) -> None:
        self.context, self.graphs = context, dict[int, NeuronGraphs | None].fromkeys(layers)
        self.steps = StepWindows(np.eye(context.steps))
        self._maps: dict[int, FloatMap] = {}
        self._pulled: dict[tuple[int, StepWindows], StepWindows] = {}

    def afford(self, place: int, count: int) -> None:
        """Refuse so many windows of a node if they, or those of the nodes before it, are too many to be held."""
        graph = self.context.nodes.graph
        for each in graph.linear(place):
            hold("sums over windows of steps", graph.widths[each] * count)

    def of(self, place: int, windows: StepWindows) -> ReachBoxes:
        """Return the reach of a node: of those that it is a sum of first, for it may be one of many."""
        self.afford(place, len(windows.factors))
        for each in self.context.nodes.graph.linear(place):
            self.context.recall(each, (windows, "floats"), lambda each=each: self._of(each, windows))
        return self.context.recall(place, (windows, "floats"), lambda: self._of(place, windows))

    def _of(self, place: int, windows: StepWindows) -> ReachBoxes:
        node = self.context.nodes.graph.nodes[place]
        spend(CALL + self.context.nodes.graph.widths[place] * len(windows.factors) // 4)
        if isinstance(node, described.Entrance):
            return self._entered(windows)
        if isinstance(node, described.Spikes):
            return (
                self._of_rows(place, windows) if place in self.context.tables else self._of_paths(place, windows)
            )
        if isinstance(node, described.Through):
            if place not in self._maps:
                self._maps[place] = FloatMap.of(node.affine.matrix, node.affine.bias)
            return self._maps[place].image(self.of(node.source, windows), windows)
        if isinstance(node, described.Sum):
            one, two = self.of(node.first, windows), self.of(node.second, windows)
            return ReachBoxes(*(a + b for a, b in zip(one, two, strict=True))).widened(1)
        if isinstance(node, Filter):
            return self.of(node.source, self._before(place, node, windows))
        if isinstance(node, Maxima):
            return self._largest(node, windows)
        return self.of(node.source, windows)

    def _entered(self, windows: StepWindows) -> ReachBoxes:
        inputs = self.context.nodes.inputs
        low, high = floats(inputs.low), floats(inputs.high)
        factors = windows.factors.sum(1, keepdims=True).T if low.shape[1] == 1 else windows.factors.T
        above, below = np.maximum(factors, 0), np.minimum(factors, 0)
        size = np.maximum(abs(low), abs(high)) @ (
            abs(factors) if low.shape[1] > 1 else windows.parts[2].sum(0)[None]
        )
        return ReachBoxes(low @ above + high @ below, high @ above + low @ below, size).widened(
            len(windows.factors.T)
        )

    def _of_rows(self, place: int, windows: StepWindows) -> ReachBoxes:
        rows, trains = self.context.rows[place], np.array(self.context.tables[place].trains, dtype=float)
        sets = {kept: index for index, kept in enumerate(dict.fromkeys(rows))}
        sums = trains @ windows.factors.T
        low, high = (
            np.array([end(sums[list(kept)], axis=0) for kept in sets]).reshape(len(sets), -1)[
                [sets[r] for r in rows]
            ]
            for end in (np.min, np.max)
        )
        size = np.broadcast_to(windows.parts[2].sum(0), low.shape)
        return ReachBoxes(low, high, size).widened(trains.shape[1])

    def _of_paths(self, place: int, windows: StepWindows) -> ReachBoxes:
        certain, possible = self.bits(place)
        above, below, moduli = windows.parts
        alone, free = certain @ windows.factors.T, possible - certain
        low, high, graphs = alone + free @ below, alone + free @ above, self.graphs.get(place)
        lengths = np.array([end - first for first, end in windows.ends])
        if graphs is not None and lengths.max(initial=0) > 1:
            used = free @ (moduli != 0) > 0
            one, two = graphs.along(windows)
            low, high = (np.where(used & (lengths > 1), a, b) for a, b in ((one, low), (two, high)))
        return ReachBoxes(low, high, possible @ moduli).widened(len(windows.factors.T))

    def bits(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Return 1 where a spike is certain, and where it is possible, (n, T) each."""
        found = np.array(self.context.bits[place], dtype=float)
        return found[..., 0], found[..., 1]

    def _largest(self, node: Maxima, windows: StepWindows) -> ReachBoxes:
        order = np.argsort(node.windows.output, kind="stable")
        entries, outputs = node.windows.entry[order], node.windows.output[order]
        starts = np.searchsorted(outputs, np.arange(node.windows.count))
        tops = ReachBoxes(*(np.maximum.reduceat(end[entries], starts) for end in self.of(node.source, self.steps)))
        above, below, moduli = windows.parts
        low, high = tops.low @ above + tops.high @ below, tops.high @ above + tops.low @ below
        if (windows.factors >= 0).all():
            whole = self.of(node.source, windows)
            low = np.maximum(low, np.maximum.reduceat(whole.low[entries], starts))
            positive = (self.of(node.source, self.steps).low >= -(2.0**-30)).all()  # widened zeros
            high = np.minimum(high, np.add.reduceat(whole.high[entries], starts)) if positive else high
        return ReachBoxes(low, high, tops.size @ moduli).widened(len(windows.factors.T))

    def _before(self, place: int, node: Filter, windows: StepWindows) -> StepWindows:
        """Return the windows of what a filter reads."""
        if (place, windows) not in self._pulled:
            self._pulled[place, windows] = StepWindows(windows.factors @ floats(node.over_time).T)
        return self._pulled[place, windows]


def floats(values: Dyadic) -> np.ndarray:
    """Return the next floats."""
    if values.shift < 1000:
        return values.ints.astype(np.float64) * 2.0**-values.shift
    return np.array([float(int(x) / (1 << values.shift)) for x in values.ints.flat]).reshape(values.shape)
