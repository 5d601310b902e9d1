"""Graphs that take one and the same step over and over: read over few steps, and run over all.

A step of a NIR graph is one map of the inputs and of what its nodes keep. Between what fires they keep at most
two numbers an entry (a synapse's and a membrane's), what delays hold, and the spikes that a layer hears of
itself; what fires is an unknown to a reading as inputs are (`encoding.py`). So what a layer compares is a linear
recursion of a few terms, in the graph as in the network, and two of those that agree at twice as many first
steps as they have terms agree at all. `FEW` and twice the delays are more than that. What the network does over
all steps is compared besides, spike for spike, with what the graph's nodes give.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ..conversion.checking import Observation, SeenLayer
from ..conversion.nir.nir_modules import DelayLine, EulerGraph
from ..conversion.nir.nir_neurons import FIRING, EulerNeuron
from ..conversion.nir.nir_pointwise import IntegratorNode, StepNode
from ..conversion.sources import Source, run_once
from ..elements.layers import PerStep
from ..networks import SpikingNetwork
from .building import RowWriter
from .polynomials import Polynomial
from .reading import COMPARISONS, GraphReading
from .readouts import Readout
from .traces import place_of
from .tracing import copied, name_of, undisturbed

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
