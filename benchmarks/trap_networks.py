"""Random small networks for benchmarks/traps.py: all layers, readouts and encodings; what tables call them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from trap_draw import KINDS, WHOLE, Draw
from trap_layers import Shape, body

from spikecert import (
    DLIF,
    LIF,
    OneSpikeLIF,
    RateDraws,
    Recurrent,
    RefractoryLIF,
    Residual,
    Share,
    SpikingNetwork,
    Synapse,
    VariedLIF,
)
from spikecert.models.elements.layers import walk

MEANS, GAINS, VARIANCES = (1e30, 1e38, -1e20), (1e-38, 1e-30, 1e-20), (1e30, 1e-10, 1e37)
POTENTIALS = ("potential", "summed")
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)


@dataclass(frozen=True)
class Drawn:
    """A network with what tables count it under, and the shape of a sample."""

    network: SpikingNetwork
    shape: Shape
    tags: dict[str, tuple[str, ...]]


def drawn(draw: Draw) -> Drawn:
    """Return a random network in evaluation mode.

    Raises:
        TypeError, ValueError: where the library refuses a constant.
    """
    stack = body(draw)
    readout = draw.random.choice(draw.readouts)
    stack.add(nn.Linear(stack.features[0], draw.random.randint(2, 4)))
    reads = readout in POTENTIALS or (readout == "largest" and draw.random.random() < 0.6)
    if reads:
        stack.add(draw.neuron("none"))
    elif readout in ("spikes", "first"):
        stack.fire()
    encodings = ("none", "none", "latency") if draw.listed else ("direct", "direct", "none", "rate")
    settings: dict[str, Any] = {"num_steps": draw.steps, "readout": readout}
    settings["encoding"] = draw.random.choice(encodings)
    if draw.kind in WHOLE and draw.random.random() < 0.1:
        settings["num_steps"] = KINDS[draw.kind](draw.steps)
    if settings["encoding"] == "rate":
        settings["draws"] = RateDraws(draw.random.randint(0, 9))
    network = SpikingNetwork(*stack.layers, **settings)
    fill(network, draw)
    network = network.to(draw.dtype).eval()
    shape = (network.num_steps, *stack.shape) if network.timed else stack.shape
    return Drawn(network, shape, _tags(network, draw))


def _tags(network: SpikingNetwork, draw: Draw) -> dict[str, tuple[str, ...]]:
    names = {type(module).__name__ for module in network.modules()} - {"SpikingNetwork", "ModuleList"}
    heard = network.readout == "largest"
    readout = f"largest of {'potentials' if network.reads_potentials else 'an affine layer'}"
    thresholds = {draw.thresholds[id(neuron)] for neuron in network.neurons}
    sizes = {f"thresholds of {size:.0e}" for size in thresholds if not 0.1 < size < 10}
    if draw.unit != 1.0 and not isinstance(network.layers[-1], LIF):
        sizes.add(f"logits of {draw.unit:.0e}")
    return {
        "dtype": (str(draw.dtype).removeprefix("torch."),),
        "encoding": (network.encoding,),
        "readout": (readout if heard else network.readout,),
        "module": tuple(sorted(names)),
        "element": tuple(sorted(set(elements(network)))),
        "size": tuple(sizes or {"about 1"}),
        "grid": ("quarters" if draw.grid else "any",),
        "constant": (draw.name,),
        "reset": tuple(sorted({neuron.reset for neuron in network.neurons})),
        "T": (str(draw.steps),),
    }


def elements(network: SpikingNetwork) -> Iterator[str]:
    """Yield the names of what is special in a network."""
    before: nn.Module | None = None
    for layer in walk(network.layers):
        yield from _special(layer, "spikes" if isinstance(before, LIF) else "currents")
        before = layer
    for module in network.modules():
        if isinstance(module, Residual):
            parts = (*module.branch, *module.shortcut)
            yield from (f"sum around {name}" for part in parts for name in _special(part, "anything"))
            yield from ("sum around neurons" for part in parts if isinstance(part, LIF))


def _special(layer: nn.Module, behind: str) -> Iterator[str]:
    if isinstance(layer, Synapse):
        yield from (["synapse"] * (layer.decay > 0)) + (["delay"] * (layer.delay > 0))
    elif isinstance(layer, MAX_POOLS):
        yield f"max pool of {behind}"
    elif isinstance(layer, nn.AvgPool1d | nn.AvgPool2d):
        yield "average pool"
    elif isinstance(layer, Share):
        yield "share"
    elif isinstance(layer, VariedLIF):
        yield f"neurons that differ, {layer.decay.dim()} axes of constants"
    elif isinstance(layer, RefractoryLIF):
        yield "one-spike neurons" if isinstance(layer, OneSpikeLIF) or layer.rest is None else "resting neurons"
        yield from ["neurons that start elsewhere"] * (layer.start != 0)
    elif isinstance(layer, Recurrent):
        yield f"loop through {type(layer.feedback).__name__}"
        yield from ["loop through a synapse"] * (layer.synapse is not None)
    neuron = layer.neuron if isinstance(layer, Recurrent) else layer
    if isinstance(neuron, DLIF) and bool((neuron.input_scale < 0).any()):
        yield "negative input scale"


def fill(network: SpikingNetwork, draw: Draw) -> None:
    """Draw all weights; those before a neuron in units of its threshold."""
    unit = draw.unit
    for layer in reversed(list(walk(network.layers))):
        if isinstance(layer, LIF):
            unit = draw.thresholds[id(layer)]
            if isinstance(layer, Recurrent):
                _fill(layer.feedback, draw, unit)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            unit = _fill_norm(layer, draw, unit)
        elif isinstance(layer, WEIGHTED):
            unit = _fill(layer, draw, unit)
        elif isinstance(layer, Share):
            _fill(layer, draw, 1.0)


def _fill(layer: nn.Module, draw: Draw, unit: float) -> float:
    for parameter in layer.parameters(recurse=False):
        parameter.data = (draw.normal(*parameter.shape) * unit).to(parameter.dtype)
    return 1.0


def _fill_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, draw: Draw, unit: float) -> float:
    if layer.weight is None:  # a Normalize, whose constants are drawn
        return unit
    assert layer.running_mean is not None
    assert layer.running_var is not None
    size = layer.num_features
    mean, variance = draw.normal(size), 0.25 + draw.uniform(size)
    weight = draw.normal(size) * unit
    if draw.random.random() < 0.15:
        one = draw.random.randrange(size)
        mean[one] *= draw.random.choice(MEANS)
        variance[one] *= draw.random.choice(VARIANCES)
        weight[one] *= draw.random.choice(GAINS)
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
    layer.weight.data = weight.to(layer.weight.dtype)
    layer.bias.data = (draw.normal(size) * unit).to(layer.bias.dtype)
    return 1.0
