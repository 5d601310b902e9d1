"""Invariants and potentials of whole layers, from floats: what holds at a leaf, as far as records say it."""

from collections.abc import Callable, Iterator

import numpy as np

from ..kernel.contexts import Context
from ..kernel.leaves import OpenLeaf
from ..kernel.numbers import ONE
from . import words
from .neurons import GivenLayer, NeuronGraphs, StepWindows
from .potentials import PotentialMaker
from .reach import FloatReach


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
