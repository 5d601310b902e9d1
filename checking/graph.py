"""A network over inputs of one shape, as nodes: each is made of nodes before it.

Signals are flat: (n, T), or (n, 1) where they are the same at every step.
"""

from dataclasses import dataclass
from math import prod

from .affine import Affine
from .arithmetic import Arithmetic
from .exact import Dyadic, Refused
from .layers import Shape
from .model import Network
from .neurons import Neuron


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
        if 4 * self.steps * size.max().fraction() > arithmetic.largest:
            raise Refused("unknown: a sum over time may overflow")
        gamma, least = arithmetic.gamma(self.steps + 2), (self.steps + 4) * arithmetic.tiny
        bounds = [gamma * size[row, 0].fraction() + least for row in range(len(size.ints))]
        return Dyadic.outward(bounds, up=True).column()


@dataclass(frozen=True)
class Spikes:
    """The spikes of neurons whose current is node `source`."""

    source: int
    neuron: Neuron


Node = Entrance | Through | Mean | Spikes


@dataclass(frozen=True)
class Graph:
    """Nodes, what each is made of before it; the last one is read out.

    Attributes:
        nodes: the first is the input.
        widths: how many numbers each node is.
        constant: whether each node is the same at every step.
    """

    nodes: tuple[Node, ...]
    widths: tuple[int, ...]
    constant: tuple[bool, ...]

    @property
    def spiking(self) -> list[int]:
        """Return the places of the spiking layers, first first."""
        return [place for place, node in enumerate(self.nodes) if isinstance(node, Spikes)]


def arrange(network: Network, shape: Shape) -> Graph:
    """Return the nodes of a network over inputs of `shape`.

    Raises:
        Refused: where a layer does not fit what it is given, or the outputs are no list of logits.
    """
    builder = _Builder(network.arithmetic)
    place = builder.add(Entrance(), prod(shape), constant=True)
    last = max(index for index, layer in enumerate(network.layers) if isinstance(layer, Neuron))
    for index, layer in enumerate(network.layers):
        place, shape = builder.behind(layer, place, shape)
        if index >= last:
            place = builder.add(Mean(place, network.steps), builder.widths[place], constant=False)
    if len(shape) != 1:
        raise Refused("unknown: no proof form for outputs that are not flat")
    return Graph(tuple(builder.nodes), tuple(builder.widths), tuple(builder.constant))


class _Builder:
    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic
        self.nodes: list[Node] = []
        self.widths: list[int] = []
        self.constant: list[bool] = []

    def add(self, node: Node, width: int, constant: bool) -> int:
        """Append a node and return its place."""
        if width < 1:
            raise Refused("has a layer without outputs")
        self.nodes.append(node)
        self.widths.append(width)
        self.constant.append(constant)
        return len(self.nodes) - 1

    def behind(self, layer: object, place: int, shape: Shape) -> tuple[int, Shape]:
        """Append what `layer` makes of node `place`; return the new node and its shape."""
        if isinstance(layer, Neuron):
            return self.add(Spikes(place, layer), self.widths[place], constant=False), shape
        affine, shape = layer.over(shape, self.arithmetic)  # pyright: ignore[reportAttributeAccessIssue]
        if affine is not None:
            place = self.add(Through(place, affine), affine.matrix.shape[0], self.constant[place])
        return place, shape
