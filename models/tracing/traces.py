"""What was recorded of a module: two graphs that must be the same function, and what their firings give.

Graphs that take one and the same step over and over: read over few steps, and run over all.

A step of a NIR graph is one map of the inputs and of what its nodes keep. Between what fires they keep at most
two numbers an entry (a synapse's and a membrane's), what delays hold, and the spikes that a layer hears of
itself; what fires is an unknown to a reading as inputs are (`reading.py`). So what a layer compares is a linear
recursion of a few terms, in the graph as in the network, and two of those that agree at twice as many first
steps as they have terms agree at all. `FEW` and twice the delays are more than that. What the network does over
all steps is compared besides, spike for spike, with what the graph's nodes give.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from ..conversion.checking import Observation, SeenLayer, are_alike
from ..conversion.nir.nir_modules import DelayLine, EulerGraph
from ..conversion.nir.nir_neurons import FIRING, EulerNeuron, IntegratorNode, StepNode
from ..conversion.refusal import ConversionRefused
from ..conversion.sources import Source, run_once
from ..elements.layers import PerStep
from ..networks import SpikingNetwork
from .building import RowWriter, number
from .followed import BATCH, MERGED, TIME
from .grouping import LayerFirings, MissingSteps, grouped
from .polynomials import Image, Polynomial
from .reading import COMPARISONS, Firing, GraphReading, Rereading, read
from .readouts import Readout
from .rests import RestingReader
from .tracing import batches, check_alike, copied, name_of, pure, skeleton, traced, undisturbed

ALONE = "module: does something else for one sample alone; expected the same in each batch"
"""A refusal."""


@dataclass(frozen=True)
class Traces:
    """What was recorded of a module.

    Attributes:
        source: the module and how to run it.
        inputs: those of the graph, and of a run that must be the same function.
        recorded: a run on fake tensors, or on real ones of this library's own modules.
        graph: of that, without what it changes in place.
    """

    source: Source
    inputs: tuple[Tensor, Tensor]
    recorded: GraphModule
    graph: GraphModule

    @property
    def outputs(self) -> int:
        """Return how many tensors the module returns."""
        return len(next(node for node in self.graph.graph.nodes if node.op == "output").args[0])  # pyright: ignore

    @cached_property
    def other(self) -> GraphModule:
        """Return the graph of a run on real tensors, in another batch, with gradients.

        The first one is checked, and must be that of a run on a real sample alone, without them. What is made of
        this library's own modules is known to be one function: there it is the first one.
        """
        source, (inputs, others) = self.source, self.inputs
        check_alike(source, self.graph, inputs)
        if source.own:
            return self.graph
        if skeleton(traced(source, inputs[:1], "real", grad=False)) != skeleton(self.recorded):
            raise ConversionRefused(ALONE)
        return pure(source, traced(source, others, "real", grad=True), others)

    def read(self, place: int, rested: bool = False, names: bool = False) -> tuple[GraphReading, LayerFirings]:
        """Return what an output computes, and the layers that it is made of.

        Args:
            place: of the output.
            rested: whether to follow rests that are counted down.
            names: whether to give names to long sums that neurons keep.
        """
        reader = RestingReader if rested else None
        how = Rereading(before=self.source.ending == "before", names=names, exact=self.source.own)
        reading = read(self.graph, self.source.timed, place, how, reader)
        try:
            return reading, grouped(reading, self.source.num_steps)
        except MissingSteps:
            counts = frozenset(each.frames for each in reading.firings if not each.excess.signals)
            how = replace(reading.how, unused=not counts, counts=counts)
            reading = read(self.graph, self.source.timed, place, how, reader)
            return reading, grouped(reading, self.source.num_steps)

    def confirmed(self, reading: GraphReading, place: int) -> GraphReading:
        """Return what the other run computes, the same function; one sample alone must give the same."""
        reader = RestingReader if reading.rested else None
        other = reading
        if self.other is not self.graph:
            other = read(self.other, self.source.timed, place, reading.how, reader)
        if not reading.same_as(other):
            raise ConversionRefused(
                "module: computes something else for another size of the batch, with gradients on, or at another "
                "call; expected the same function always"
            )
        _check_alone(self.source, self.graph, reading, self.inputs[0], place)
        return other


def traces_of(source: Source, sample: Tensor) -> Traces:
    """Return the graph of a module.

    Raises:
        ConversionRefused: for what can't be traced.
    """
    inputs = batches(sample, source.num_steps)
    inputs = (inputs[1], inputs[1]) if source.own else inputs
    recorded = traced(source, inputs[0], "real" if source.own else "fake", grad=False)
    return Traces(source, inputs, recorded, pure(source, recorded, inputs[0]))


def _check_alone(source: Source, graph: GraphModule, reading: GraphReading, first: Tensor, place: int) -> None:
    """Raise unless a sample alone gives what it gives among others."""
    axes = [name for name in reading.output.axes if name != TIME or not reading.largest]
    axis = next(axis for axis, name in enumerate(axes) if name == BATCH or name in MERGED)
    with undisturbed(), torch.no_grad():
        alone, among = run_once(copied(source), first[:1])[place], graph(first)[place]
    if axes[axis] != BATCH or not are_alike(alone, among.narrow(axis, 0, 1)):
        raise ConversionRefused(ALONE)


def observed(
    graph: GraphModule, reading: GraphReading, writer: RowWriter, readout: Readout, given: tuple[Tensor, Tensor]
) -> Observation:
    """Return what the module's own operations give on all inputs: spikes of each layer, and the output."""
    layers, (first, inputs) = writer.layers, given
    kept = _Values(graph, {reading.node, *(firing.node for firing in reading.firings)})
    spikes: list[list[Tensor]] = [[] for _ in writer.order]
    outputs, size = [], len(first)
    axis = reading.output.axes.index(BATCH)
    for start in range(0, len(inputs), size):
        part = inputs[start : start + size]
        filled = torch.cat([part, part[:1].expand(size - len(part), *part.shape[1:])])
        found = kept.of(filled)
        outputs.append(_without_first(reading, found[reading.node].narrow(axis, 0, len(part))))
        fired = [_spikes(firing, found[firing.node], size).to(inputs.dtype) for firing in reading.firings]
        for signal, into in zip(writer.order, spikes, strict=True):
            into.append(_over_time(signal, layers, fired)[:, : len(part)])
    seen = (
        SeenLayer(place_of(each, layers), torch.cat(parts, 1))
        for each, parts in zip(writer.order, spikes, strict=True)
    )
    gain, shift = (float(each) for each in (readout.gain, readout.shift))  # pyright: ignore[reportArgumentType]
    return Observation(tuple(seen), (torch.cat(outputs, axis),), layers.num_steps, gain, shift)


def _without_first(reading: GraphReading, output: Tensor) -> Tensor:
    """Return an output without the first steps that the reading leaves out."""
    if reading.left_out == 0:
        return output
    axis = reading.output.axes.index(TIME)
    return output.narrow(axis, reading.left_out, output.shape[axis] - reading.left_out)


def place_of(signal: Polynomial, layers: LayerFirings) -> str:
    """Return the line of code that spikes come from."""
    return layers.firings[min(signal.spikes)].place


def _over_time(signal: Polynomial, layers: LayerFirings, fired: list[Tensor]) -> Tensor:
    """Return spikes, or a product of some, at each step, (T, batch, ...)."""
    count = layers.num_steps
    steps = [valued(layers.moved(signal, step + 1 - count), fired) for step in range(count)]
    like = steps[-1]
    return torch.stack([torch.as_tensor(step).to(like).expand_as(like) for step in steps])


def valued(signal: Polynomial, fired: list[Tensor]) -> Any:
    """Return the values of a signal that is made of spikes, by those of each firing."""
    total: Any = 0.0
    for (spikes, graded), factor in signal.terms.items():
        parts = [fired[spike] for spike in spikes]
        parts += [graded.map.of(valued(graded.signal, fired))] if isinstance(graded, Image) else []
        total = total + reduce(operator.mul, parts, number(factor))
    return total


def _spikes(firing: Firing, value: Tensor, batch: int) -> Tensor:
    """Return the spikes of a firing, batch first."""
    laid, value = firing.laid, value > 0
    value = value.expand(laid.sizes(batch))
    for axis, name in enumerate(laid.axes):
        if name in MERGED:
            order = name.split()
            sizes = {TIME: len(laid.steps), BATCH: batch}
            value = value.unflatten(axis, [sizes[each] for each in order])
            laid = replace(laid, axes=(*laid.axes[:axis], *order, *laid.axes[axis + 1 :]))
            break
    if TIME in laid.axes:
        value = value.select(laid.axes.index(TIME), firing.step)
        laid = laid.at(laid.axes.index(TIME), 0)
    value = value.movedim(laid.axes.index(BATCH), 0)
    return ~value if firing.turned else value


class _Values(Interpreter):
    """Runs a graph, and keeps what some of its nodes give."""

    def __init__(self, graph: GraphModule, wanted: set[Node]) -> None:
        super().__init__(graph)
        self.wanted = wanted

    def of(self, inputs: Tensor) -> dict[Node, Tensor]:
        """Return these values."""
        self.found: dict[Node, Tensor] = {}
        with torch.no_grad():
            self.run(inputs)
        return self.found

    def run_node(self, n: Node) -> Any:
        """Run a node."""
        value = super().run_node(n)
        if n in self.wanted:
            self.found[n] = value
        return value


FEW = 12
"""Steps that are read, besides those of delays."""


def few_steps(source: Source) -> int | None:
    """Return how many steps of a graph tell them all; None where that is not known, or would save little."""
    if not source.own or not isinstance(source.module, EulerGraph) or source.num_steps is None:
        return None
    nodes = list(source.module.nodes.values())
    if any(isinstance(node, IntegratorNode) or _integrates(node) for node in nodes):
        return None
    steps = FEW + 2 * sum(node.steps for node in nodes if isinstance(node, DelayLine))
    return steps if 2 * steps <= source.num_steps else None


def lengthened(
    network: SpikingNetwork,
    parts: tuple[GraphModule, GraphReading, RowWriter, Readout, Any],
    source: Source,
    given: Tensor,
) -> Observation | None:
    """Give a network of few steps all those of its graph, and return what the graph's nodes give over them.

    Args:
        network: of the graph over few steps.
        parts: what is known of it.
        source: the graph, with all its steps.
        given: inputs.

    Returns:
        None where a step of the network is of its own.
    """
    graph, reading, writer, readout, _ = parts
    own = readout.weights is not None or reading.left_out or reading.largest
    if own or any(isinstance(part, PerStep) for part in network.modules()):
        return None
    places = _places(graph, writer, source)
    if places is None:
        return None
    assert source.num_steps is not None
    try:
        network.num_steps = source.num_steps
    except ValueError:
        return None
    spikes, outputs = _run(source, given, places)
    named = zip(writer.order, spikes, strict=True)
    seen = tuple(SeenLayer(place_of(signal, writer.layers), gave) for signal, gave in named)
    gain, shift = (float(each) for each in (readout.gain, readout.shift))  # pyright: ignore[reportArgumentType]
    return Observation(seen, outputs, source.num_steps, gain, shift)


def _integrates(node: nn.Module) -> bool:
    return isinstance(node, EulerNeuron) and node.kind not in FIRING


def _firing(source: Source) -> list[nn.Module]:
    """Return the nodes that fire, once a step each, in their order."""
    assert isinstance(source.module, EulerGraph)
    return [node for node in source.module.nodes.values() if isinstance(node, EulerNeuron | StepNode)]


def _places(graph: GraphModule, writer: RowWriter, source: Source) -> list[int] | None:
    """Return which of the nodes that fire each layer of a network is; None where one is none of them."""
    compared, count = [node for node in graph.graph.nodes if name_of(node) in COMPARISONS], len(_firing(source))
    layers = writer.layers
    if len(compared) != count * layers.num_steps or any(len(own) != layers.num_steps for own in layers.steps):
        return None
    found = [next(iter(signal.spikes)) for signal in writer.order if len(signal.spikes) == 1]
    plain = [signal == Polynomial.spike(spike) for signal, spike in zip(writer.order, found, strict=False)]
    if len(found) < len(writer.order) or not all(plain) or any(layers.firings[spike].turned for spike in found):
        return None
    return [compared.index(layers.firings[spike].node) % count for spike in found]


def _run(source: Source, given: Tensor, places: list[int]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Return what some of the nodes that fire give over all steps, (T, batch, ...) each, and the outputs."""
    own = copied(source)
    gave: list[list[Tensor]] = [[] for _ in places]
    nodes = _firing(own)

    def keep(into: list[Tensor]) -> Callable[[nn.Module, Any, Tensor], None]:
        """Return what keeps a node's spikes."""
        return lambda node, x, y: into.append(y.detach())

    for place, into in zip(places, gave, strict=True):
        nodes[place].register_forward_hook(keep(into))
    with undisturbed(), torch.no_grad():
        outputs = run_once(own, given)
    return [torch.stack(each) for each in gave], outputs
