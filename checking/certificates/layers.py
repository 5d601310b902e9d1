"""Invariants and potentials of whole layers, from floats: what holds at a leaf, as far as records say it.

Which multipliers of a short proof's leaf narrow currents (F8), in floats: the others need not be written.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ..certificates import words
from ..events.entering import composed
from ..kernel.contexts import Context
from ..kernel.leaves import OpenLeaf
from ..kernel.narrowing import slab
from ..kernel.numbers import HUGE, ONE
from ..short import Narrowing
from .neurons import GivenLayer, NeuronGraphs, StepWindows
from .potentials import PotentialMaker
from .reach import ULP, FloatMap, FloatReach, floats
from .words import SHORT, near, onto_grid


class FloatLayers:
    """The layers of a network without cells, loops and budgets of events.

    Attributes:
        context: what holds; spikes are stated there as they are found.
        tight: the neurons that get windows even where these decide no spike, by place, (n,) each.
        windowed: whether windows may say more than their steps at a place.
        reach: of the nodes.
    """

    def __init__(self, context: Context, tight: dict[int, np.ndarray], windowed: Callable[[int], bool]) -> None:
        self.context, self.tight, self.windowed = context, tight, windowed
        self.reach = FloatReach(context, list(tight))
        self._windows: dict[int, tuple[list[tuple[int, int]], StepWindows]] = {}

    def graphs(self, place: int, neurons: list[int]) -> Iterator[str]:
        """Yield invariants of some neurons, where their currents or spikes are not what they were."""
        if self.context.empty[0] or not neurons:
            return
        given, known = self._given(place), self.reach.graphs[place]
        if known is not None:
            changed = given.differs(known.given._replace(certain=known.bits[0], possible=known.bits[1]))
            neurons = [j for j in neurons if changed[j]]
        if not neurons:
            return
        chosen, neuron = np.array(neurons), self.context.nodes.spiking(place).neuron
        made = NeuronGraphs.of(neuron, given.some(chosen), self.tight[place][chosen])
        self.context.set(self.reach.graphs, place, made if known is None else known.replaced(chosen, made), place)
        ends = np.stack(made.bits, 2).astype(int).tolist()
        for index, j in enumerate(neurons):
            self._fires(place, j, tuple((least, most) for least, most in ends[index]))
            yield words.graph(place, j, made.nodes(index))

    def _fires(self, place: int, j: int, bits: tuple[tuple[int, int], ...]) -> None:
        """State which spikes are certain, and possible."""
        if bits != self.context.bits[place][j]:
            self.context.set(self.context.bits[place], j, bits, place)
        if any(least > most for least, most in bits):
            self.context.set(self.context.empty, 0, True, place)

    def _given(self, place: int) -> GivenLayer:
        node = self.context.nodes.spiking(place)
        asked = self.windowed(place) and node.neuron.decay and self.context.steps > 1
        if asked:
            self.reach.afford(node.source, self.context.steps * (self.context.steps - 1) // 2)
        boxes = self.reach.of(node.source, self.reach.steps)
        error = np.array([error / ONE for error in self.context.sizes.errors(place)]) * (1 + 2.0**-50)
        found = {}
        if asked:
            spans, windows = self._asked(place)
            low, high, _ = self.reach.of(node.source, windows)
            found = {span: (low[:, k], high[:, k]) for k, span in enumerate(spans)}
        return GivenLayer(boxes.low, boxes.high, error, *self.reach.bits(place), found)

    def _asked(self, place: int) -> tuple[list[tuple[int, int]], StepWindows]:
        """Return the windows (a, t) of a layer's currents that are longer than a step."""
        if place not in self._windows:
            neuron, steps = self.context.nodes.spiking(place).neuron, self.context.steps
            spans = [(a, t) for t in range(2, steps + 1) for a in range(t - 1)]
            first, last = (np.array(ends)[:, None] for ends in zip(*spans, strict=True))
            ages = last - 1 - np.arange(steps)
            factors = (neuron.decay / ONE) ** ages.clip(0) * np.array([a / ONE for a in neuron.scale])
            inside = (ages >= 0) & (np.arange(steps) >= first)
            self._windows[place] = spans, StepWindows(np.where(inside, factors, 0))
        return self._windows[place]

    def bounded(self, leaf: OpenLeaf, place: int, prices: list[list[int]]) -> Iterator[str]:
        """Yield what bounds the neurons of a layer without a table at a leaf."""
        graphs = self.reach.graphs[place]
        assert graphs is not None
        for j in [j for j, own in enumerate(prices) if any(own)]:
            yield from priced(
                leaf, place, j, PotentialMaker(graphs.neuron, graphs.invariant(j), leaf.taken(place, j), prices[j])
            )
        open_still = (graphs.bits[1] > graphs.bits[0]).any(1)
        free = {j: costs for j, costs in leaf.open.items() if open_still[j] and any(costs)}
        nothing = [0] * self.context.steps
        found = graphs.unpriced(list(free), list(free.values()))
        for j, (told, bound) in zip(free, found, strict=True):
            leaf.taken(place, j)
            leaf.potential(place, j, nothing, bound)
            yield f"potential {place} {j} {words.words(nothing)} {told}"


def priced(leaf: OpenLeaf, place: int, j: int, maker: PotentialMaker) -> Iterator[str]:
    """Yield a neuron's potentials at its prices, and take them at the leaf."""
    levels = maker.levels()
    leaf.potential(place, j, maker.prices, min(constant for constant, _ in levels[0][0].pieces))
    yield words.potential(place, j, maker.prices, levels)


Bound = tuple[int, int, dict[int, int]]
WORTH = 1e-9
"""Which part of its box a price's current must lose, at least."""


class FloatNarrowing:
    """What multipliers say of the currents of a layer that is one map of the inputs, of a box."""

    @staticmethod
    def of(context: Context, place: int) -> "FloatNarrowing | None":
        """Return that of a layer, None for other ones."""
        graph, inputs = context.nodes.graph, context.nodes.inputs
        if not (inputs.ball is None and inputs.changes is None and inputs.order is None and graph.constant[0]):
            return None
        maps, source = composed(graph), context.nodes.spiking(place).source
        currents = FloatMap.of(*maps[source]) if source in maps else None
        return None if currents is None or currents.full is None else FloatNarrowing(context, place, currents)

    def __init__(self, context: Context, place: int, currents: FloatMap) -> None:
        self.context, self.place, self.currents = context, place, currents
        inputs = context.nodes.inputs
        self.low, self.high = floats(inputs.low)[:, 0], floats(inputs.high)[:, 0]

    def told(self, narrowing: Narrowing, priced: np.ndarray) -> list[Bound]:
        """State what a leaf's multipliers prove, and return those that say more than is known.

        Args:
            narrowing: the multipliers.
            priced: whether each neuron's current has a price, so that more than its rows counts.
        """
        given = [(int(m), sign) for sign in (1, -1) for m in narrowing.neurons] + [(0, 0)]
        multipliers = np.round(narrowing.multipliers.astype(float) * 2.0**SHORT) / 2.0**SHORT
        assert len(given) == len(multipliers)
        found = list(zip(given, multipliers, self._bounds(narrowing, given, multipliers), strict=True))
        return [
            (m, sign, {int(k): near(float(nu), SHORT) for k, nu in zip(narrowing.slabs, row, strict=True) if nu})
            for (m, sign), row, bound in found
            if self._narrows(m, sign, bound, bool(priced[m]))
        ]

    def _bounds(self, narrowing: Narrowing, given: list[tuple[int, int]], multipliers: np.ndarray) -> np.ndarray:
        """Return numbers below sign·I_m, for each."""
        full, bias = self.currents.full, self.currents.bias[:, 0]
        assert full is not None
        boxes = [slab(self.context, self.place, int(k)) for k in narrowing.slabs]
        slabs = np.array([[low / ONE, high / ONE] for low, high in boxes])
        aims = np.zeros((len(given), len(full)))
        for k, column in zip(narrowing.slabs, multipliers.T, strict=True):
            aims[:, k] -= column
        for index, (m, sign) in enumerate(given):
            aims[index, m] += sign
        costs, size = aims @ full, np.abs(aims) @ np.abs(full)
        value = np.maximum(costs, 0) @ self.low + np.minimum(costs, 0) @ self.high + aims @ bias
        value += np.minimum(multipliers * slabs[:, 0], multipliers * slabs[:, 1]).sum(1)
        total = size @ np.maximum(abs(self.low), abs(self.high)) + np.abs(aims) @ np.abs(bias)
        total += np.abs(multipliers) @ np.abs(slabs).max(1)
        return value - ULP * (full.shape[0] + full.shape[1] + 8) * total

    def _narrows(self, m: int, sign: int, bound: float, priced: bool) -> bool:
        """State a bound, and return whether it says more than is known."""
        context, place = self.context, self.place
        if sign == 0:
            if bound > 0:
                context.set(context.empty, 0, True, place)
            return bound > 0
        error, exact = context.sizes.errors(place)[m], onto_grid(bound)
        low, high = (exact - error, HUGE) if sign > 0 else (-HUGE, error - exact)
        box, rows = context.currents[place][m], context.rows[place][m]
        cut = max(low, box[0]), min(high, box[1])
        left = context.reached(place, cut, rows)
        if left == rows and not (priced and box[1] - box[0] - cut[1] + cut[0] > WORTH * (box[1] - box[0])):
            return False
        context.set(context.currents[place], m, cut, place)
        context.leave(place, m, left)
        return True
