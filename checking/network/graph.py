"""A network over inputs of one shape, as nodes: each is made of nodes before it.

Signals are flat: (n, T), or (n, 1) where they are the same at every step.

How large each node of a run may be, and how far from the exact maps of the run's own inputs and spikes.

A bound of a modulus is 0 only where the run has 0: a spike's where it surely does not fire. Behind the last layer
that keeps time the run may take the mean first: it is no larger than some step's number. A synapse mixes steps.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from ..events.inputs import Inputs
from ..maps.affine import Affine, Filter, LeakySynapse
from ..maps.layers import Shape
from ..maps.pooling import Maxima, MaxPool
from ..numbers.exact import ARITHMETIC, Arithmetic, Dyadic, Refused, marks
from ..work import CALL, hold, spend
from .integers import IntegerNeuron
from .kinds import Kinds, chosen, spread
from .model import Firing, Loop, Network, Residual, walk
from .neurons import Described


@dataclass(frozen=True)
class Entrance:
    """The input."""


@dataclass(frozen=True)
class Through:
    """An affine layer of node `source`."""

    source: int
    affine: Affine


@dataclass(frozen=True)
class Mean:
    """A place where the run may take the mean over time: it adds rounding alone, as the map commutes with it.

    A sum of T numbers, divided: γ_{T+2} of their size.
    """

    source: int
    steps: int

    def error(self, size: Dyadic, arithmetic: Arithmetic) -> Dyadic:
        """Return how far the run may be from the exact mean of numbers of this size, (n, 1)."""
        if not arithmetic.unit:  # the run divides whole numbers as floats
            arithmetic = ARITHMETIC[np.dtype("<f8")]
        if 4 * self.steps * size.max().fraction() > arithmetic.largest:
            raise Refused("unknown: a sum over time may overflow")
        spend(16 * len(size.ints), size.shift)
        gamma, least = arithmetic.gamma(self.steps + 2), (self.steps + 4) * arithmetic.tiny
        bounds = [gamma * size[row, 0].fraction() + least for row in range(len(size.ints))]
        return Dyadic.outward(bounds, up=True).column()


@dataclass(frozen=True)
class Sum:
    """The sum of two nodes, rounded once; not at all where at most one of two numbers is not 0."""

    first: int
    second: int
    apart: bool = False

    def error(self, size: Dyadic, arithmetic: Arithmetic) -> Dyadic:
        """Return how far the run may be from the exact sum of numbers whose moduli add up to `size`, (n, k)."""
        return size * 0 if self.apart else arithmetic.rounded(size)


@dataclass(frozen=True)
class Spikes:
    """The spikes of neurons whose current is node `source`, and what they hear of themselves by `feedback`."""

    source: int
    neuron: Described | IntegerNeuron
    feedback: Affine | None = None


MEANS = "mean", "spikes"
"""Readouts that are means over time."""

Node = Entrance | Through | Filter | Mean | Maxima | Sum | Spikes


@dataclass(frozen=True)
class Graph:
    """Nodes, what each is made of before it; the last one is read out, as sums Σ_t reading[t]·node[t]·unit.

    Attributes:
        nodes: the first is the input.
        widths: how many numbers each node is.
        constant: whether each node is the same at every step.
        readings: the sums that are read, (T,) each: one that is the logits, or one for each step, of which these
            are the greatest ("largest"), or say when spikes are first ("first").
        unit: 1/T for a mean, else 1.
        readout: the network's.
    """

    nodes: tuple[Node, ...]
    widths: tuple[int, ...]
    constant: tuple[bool, ...]
    readings: tuple[tuple[Fraction, ...], ...]
    unit: Fraction
    readout: str

    @property
    def summed(self) -> bool:
        """Return whether logits are sums over time."""
        return self.readout not in ("largest", "first")

    @property
    def spiking(self) -> list[int]:
        """Return the places of the spiking layers, first first."""
        return [place for place, node in enumerate(self.nodes) if isinstance(node, Spikes)]

    def linear(self, place: int) -> list[int]:
        """Return the nodes that `place` is a sum of, in order, and itself.

        They begin at spikes, inputs, filters over time, max pools, and what is the same at every step.
        """
        found, pending = set[int](), [place]
        while pending:
            place = pending.pop()
            if place not in found:
                found.add(place)
                pending += [] if self.constant[place] else _sources(self.nodes[place])
        return sorted(found)


def _sources(node: Node) -> list[int]:
    if isinstance(node, Through):
        return [node.source]
    return [node.first, node.second] if isinstance(node, Sum) else []


def arrange(network: Network, shape: Shape) -> Graph:
    """Return the nodes of a network over inputs of `shape`.

    Raises:
        Refused: where a layer does not fit what it is given, or the outputs are no list of logits.
    """
    builder = _Builder(network.arithmetic, network.steps)
    place = builder.add(Entrance(), prod(shape), constant=not network.timed)
    last = max(index for index, layer in enumerate(network.layers) if any(map(_keeps_time, walk((layer,)))))
    for index, layer in enumerate(network.layers):
        place, shape = builder.behind(layer, place, shape)
        if index >= last and network.readout in MEANS:
            place = builder.add(Mean(place, network.steps), builder.widths[place], constant=False)
    if len(shape) != 1:
        raise Refused("unknown: no proof form for outputs that are not flat")
    unit = Fraction(1, network.steps if network.readout in MEANS else 1)
    parts = tuple(builder.nodes), tuple(builder.widths), tuple(builder.constant)
    return Graph(*parts, tuple(map(tuple, _readings(network))), unit, network.readout)


def _readings(network: Network) -> list[list[Fraction]]:
    """Return what is read of the last node over time: potentials are v[t] = Σ_{k≤t} λ^(t−k)·a[k]·x[k]."""
    steps, final = range(network.steps), network.integrator
    spend(8 * len(steps) ** 2)
    if network.readout in MEANS:
        return [[Fraction(1) for _ in steps]]
    if final is None:
        return [[Fraction(k == t) for k in steps] for t in steps]
    spend(8 * len(steps) ** 2, 53 * len(steps))
    adds = isinstance(final, IntegerNeuron)
    powers, scale = ([Fraction(1) for _ in steps],) * 2 if adds else (final.powers[::-1], final.scale)
    each = [[powers[t - k] * scale[k] if k <= t else Fraction(0) for k in steps] for t in steps]
    if network.readout == "largest":
        return each
    return each[-1:] if network.readout == "potential" else [list(map(sum, zip(*each, strict=True)))]  # pyright: ignore[reportReturnType]


def _keeps_time(layer: object) -> bool:
    """Return whether a layer does not commute with the mean over time, so that no run takes that before it."""
    return isinstance(layer, Firing | MaxPool | LeakySynapse)


class _Builder:
    def __init__(self, arithmetic: Arithmetic, steps: int) -> None:
        self.arithmetic, self.steps = arithmetic, steps
        self.nodes: list[Node] = []
        self.widths: list[int] = []
        self.constant: list[bool] = []
        self.numbers = 0

    def add(self, node: Node, width: int, constant: bool) -> int:
        """Append a node and return its place."""
        if width < 1:
            raise Refused("has a layer without outputs")
        self.numbers += width + (len(node.affine.matrix.ints) if isinstance(node, Through) else 0)
        self.numbers += len(node.windows.entry) if isinstance(node, Maxima) else 0
        if isinstance(node, Spikes) and node.feedback is not None:
            self.numbers += len(node.feedback.matrix.ints)
        hold("numbers of a network", self.numbers)
        hold("numbers over time", width * (1 if constant else self.steps))
        spend(CALL + width)
        self.nodes.append(node)
        self.widths.append(width)
        self.constant.append(constant)
        return len(self.nodes) - 1

    def behind(self, layer: object, place: int, shape: Shape) -> tuple[int, Shape]:
        """Append what `layer` makes of node `place`; return the new node and its shape."""
        if isinstance(layer, Described | IntegerNeuron):
            return self.add(Spikes(place, layer), self.widths[place], constant=False), shape
        if isinstance(layer, Loop):
            node = Spikes(place, layer.neuron, layer.over(shape, self.arithmetic))
            return self.add(node, self.widths[place], constant=False), shape
        if isinstance(layer, Residual):
            return self._sum(layer, place, shape)
        if isinstance(layer, LeakySynapse):
            return self.add(Filter(place, layer, self.steps), self.widths[place], constant=False), shape
        if isinstance(layer, MaxPool):
            windows, shape = layer.over(shape)
            return self.add(Maxima(place, windows), windows.count, self.constant[place]), shape
        if isinstance(layer, Kinds):
            return self._kinds(layer, place, shape), shape
        affine, shape = layer.over(shape, self.arithmetic)  # pyright: ignore[reportAttributeAccessIssue]
        if affine is not None:
            place = self.add(Through(place, affine), affine.matrix.shape[0], self.constant[place])
        return place, shape

    def _kinds(self, layer: Kinds, place: int, shape: Shape) -> int:
        """Append the neurons of each kind, and their spikes at their places."""
        width, parts = self.widths[place], []
        for neuron, places in zip(layer.kinds, layer.over(shape), strict=True):
            own = self.add(Through(place, chosen(places, width)), len(places), self.constant[place])
            own = self.add(Spikes(own, neuron), len(places), constant=False)
            parts.append(self.add(Through(own, spread(places, width)), width, constant=False))
        total, *others = parts
        for part in others:
            total = self.add(Sum(total, part, apart=True), width, constant=False)
        return total

    def _sum(self, residual: Residual, place: int, shape: Shape) -> tuple[int, Shape]:
        """Append both paths of a residual sum, branch first, as the run does."""
        ends = []
        for path in (residual.branch, residual.shortcut):
            end = place, shape
            for layer in path:
                end = self.behind(layer, *end)
            ends.append(end)
        (first, one), (second, other) = ends
        if one != other:
            raise Refused("unknown: no proof form for a residual sum of paths of different shapes")
        constant = self.constant[first] and self.constant[second]
        return self.add(Sum(first, second), self.widths[first], constant), one


Measure = tuple[Dyadic, Dyadic]
"""Of a node: a bound of the modulus of what the run has there, and of its error, (n, 1) or (n, T) each."""


def measure_of(node: Node, found: list[Measure], inputs: Inputs, arithmetic: Arithmetic) -> Measure:
    """Return the measures of a node that is no spikes, from those of the nodes before it.

    Raises:
        Refused: where the run may overflow.
    """
    if isinstance(node, Entrance):
        return inputs.size, inputs.size * 0
    if isinstance(node, Sum):
        (size, error), (other, more) = found[node.first], found[node.second]
        size, error = size + other, error + more
        own = node.error(size, arithmetic) * marks(size)
        return size + own, error + own
    assert not isinstance(node, Spikes)
    size, error = found[node.source]
    if isinstance(node, Through):
        made, own = node.affine.measured(size, arithmetic)
        return made, node.affine.sizes @ error + own
    if isinstance(node, Maxima):
        return node.windows.largest(size), node.windows.largest(error)
    size, error = (Dyadic(part.ints.max(1, keepdims=True), part.shift) for part in (size, error))
    if isinstance(node, Filter):
        return node.measured(size, error, arithmetic)
    own = node.error(size, arithmetic) * marks(size)
    return size + own, error + own
