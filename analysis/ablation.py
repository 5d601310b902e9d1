"""What a network's time is good for: its accuracy with parts of its time and of its memory taken away.

A network whose accuracy stays when it is cut to one step, or when λ = 0, does not use its time: its certificates
are those of a binary network. Weights stay as they are; what a network could learn without memory is another
question (`spikecert ablate --retrain`).
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..models.elements.layers import PerStep, walk
from ..models.elements.learned_decay import settled
from ..models.elements.neurons import fires
from ..models.elements.synapses import Synapse
from ..models.networks import SpikingNetwork
from ..models.running.encoding import RateDraws
from ..models.validation import check_inputs, check_labels

TOGETHER = 256
"""Samples that run at once."""

Change = Callable[[SpikingNetwork, Tensor], tuple[SpikingNetwork, Tensor]]


@dataclass(frozen=True)
class Ablation:
    """What is left of a network without a part of its time.

    Attributes:
        name: what was taken away.
        accuracy: the share of samples that are right.
        kept: the share of samples whose class is that of the network as it is.
    """

    name: str
    accuracy: float
    kept: float


@dataclass(frozen=True)
class TemporalAblation:
    """How much a network uses its time, on some samples.

    Attributes:
        samples: how many.
        num_steps: T.
        accuracy: of the network as it is.
        rows: what is left of it without a part.
        constant: of each spiking layer, the share of its trains that are the same at all steps.
        left_out: what could not be taken away, and why.
    """

    samples: int
    num_steps: int
    accuracy: float
    rows: tuple[Ablation, ...]
    constant: tuple[float, ...]
    left_out: tuple[str, ...]

    def row(self, name: str) -> Ablation:
        """Return one row.

        Raises:
            ValueError: for a name that is not there.
        """
        for one in self.rows:
            if one.name == name:
                return one
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(one.name for one in self.rows)}")


@torch.no_grad()
def temporal_ablation(
    network: SpikingNetwork, inputs: Tensor, labels: Tensor, *, seed: int = 0
) -> TemporalAblation:
    """Return what a network's accuracy is without parts of its time, with the same weights.

    Its time is cut: to the first 1, 2, 4, … steps, and to the last ones where these differ from the first. Its
    memory is: λ = 0 in all neurons and synapses, and no feedback. Its inputs' steps are reversed and shuffled
    (alike for all samples), where inputs are over time.

    Args:
        network: taken in evaluation mode; it stays as it is.
        inputs: (batch, ...), as in `verify`.
        labels: (batch,).
        seed: of the shuffle.

    Raises:
        TypeError, ValueError: for inputs or labels that don't fit.

    >>> from spikecert import LIF, mlp
    >>> found = temporal_ablation(mlp((4, 8, 3), 4, LIF(0.9)), torch.rand(5, 4), torch.zeros(5, dtype=torch.long))
    >>> [one.name for one in found.rows]
    ['first step', 'first 2 steps', 'λ = 0']
    """
    check_inputs(network, inputs)
    network = settled(network).eval()
    classes = network(inputs[:1]).shape[1]
    check_labels(labels, len(inputs), classes)
    found, rows, left_out = _classes(network, inputs), list[Ablation](), list[str]()
    for name, change in _changes(network, seed):
        try:
            other = _classes(*change(copy.deepcopy(network), inputs))
        except ValueError as error:
            left_out.append(f"{name}: {error}")
            continue
        rows.append(Ablation(name, _share(other == labels), _share(other == found)))
    accuracy = _share(found == labels)
    return TemporalAblation(
        len(inputs), network.num_steps, accuracy, tuple(rows), _constant(network, inputs), tuple(left_out)
    )


def _changes(network: SpikingNetwork, seed: int) -> Iterator[tuple[str, Change]]:
    """Yield what can be taken away, by its name."""
    steps, scaled = (
        network.num_steps,
        any(neuron.scale(network.num_steps) is not None for neuron in network.neurons)
        or any(isinstance(layer, PerStep) for layer in walk(network.layers)),
    )
    cuts = [2**k for k in range(steps.bit_length()) if 2**k < steps]
    for kept in cuts:
        yield _named("first", kept), lambda net, x, kept=kept: _cut(net, x, slice(0, kept))
    if scaled or network.encoding in ("none", "rate"):
        for kept in cuts:
            yield _named("last", kept), lambda net, x, kept=kept: _cut(net, x, slice(steps - kept, steps))
    yield "λ = 0", lambda net, x: (without_memory(net), x)
    if any(neuron.hears for neuron in network.neurons):
        yield "no feedback", lambda net, x: (_unheard(net), x)
    if network.timed and steps > 1:
        order = torch.randperm(steps, generator=torch.Generator().manual_seed(seed))
        yield "steps reversed", lambda net, x: (net, x.flip(1))
        yield "steps shuffled", lambda net, x: (net, x[:, order.to(x.device)])


def _named(end: str, kept: int) -> str:
    return f"{end} step" if kept == 1 else f"{end} {kept} steps"


def _cut(network: SpikingNetwork, inputs: Tensor, kept: slice) -> tuple[SpikingNetwork, Tensor]:
    """Return the network, in place, and the inputs of some of its steps."""
    if network.encoding == "latency":
        raise ValueError('got encoding "latency", whose steps depend on T')
    draws = network.draws.of_batch(network.num_steps, inputs)[kept] if network.encoding == "rate" else None
    for neuron in network.neurons:
        neuron.keep(kept)
    for layer in walk(network.layers):
        if isinstance(layer, PerStep):
            layer.steps = layer.steps[kept]
    network.num_steps = kept.stop - kept.start
    if draws is not None:
        network.draws = RateDraws(draws)
    return network, inputs[:, kept] if network.timed else inputs


def without_memory(network: SpikingNetwork) -> SpikingNetwork:
    """Return a network, in place, with λ = 0 in its neurons and synapses; delays and feedback stay.

    Raises:
        ValueError: for a neuron that remembers in another way.
    """
    for layer in walk(network.layers):
        synapse = getattr(layer, "synapse", layer)
        if isinstance(synapse, Synapse):
            synapse.decay = 0.0
        if fires(layer):
            own = layer.firing
            if not {"input_scale"}.issuperset(own.holds):
                told = "expected LIF, DLIF or PLIF: others remember otherwise"
                raise ValueError(f"got {type(own).__name__}, {told}")
            own.dynamics = replace(own.dynamics, decay=0.0)
    return network


def without_loops(network: SpikingNetwork) -> SpikingNetwork:
    """Return a network, in place, whose layers hear themselves no more; a loop's synapse goes with it.

    Raises:
        ValueError: for a loop inside another layer.
    """
    for place, layer in enumerate(network.layers):
        if fires(layer):
            network.layers[place] = layer.firing
    if any(neuron.hears for neuron in network.neurons):
        raise ValueError("got a loop inside another layer, expected loops side by side with others")
    return network


def _unheard(network: SpikingNetwork) -> SpikingNetwork:
    """Return a network, in place, whose loops carry nothing but their biases."""
    for neuron in (each for each in network.neurons if each.hears):
        feedback: Any = neuron.get_submodule("feedback")
        weight = getattr(feedback, "weight", None)
        if not isinstance(weight, Tensor):
            raise ValueError(f"got feedback by {type(feedback).__name__}, expected one with a weight")
        weight.zero_()
    return network


def _classes(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    return torch.cat([network(part).argmax(1) for part in inputs.split(TOGETHER)])


def _constant(network: SpikingNetwork, inputs: Tensor) -> tuple[float, ...]:
    """Return the share of each layer's trains that are the same at all steps."""
    parts = []
    for part in inputs.split(TOGETHER):
        spikes = network.trace(part).spikes
        parts.append(torch.stack([(one == one[:1]).all(0).double().mean() * len(part) for one in spikes]))
    return tuple((torch.stack(parts).sum(0) / len(inputs)).tolist())


def _share(which: Tensor) -> float:
    return float(which.double().mean())
