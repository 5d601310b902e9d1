"""From what was observed to a `SpikingNetwork`: layers in a chain, gains and leaks folded, a readout."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..networks import SpikingNetwork
from ..neurons import LIF
from .layers import affine, refuse, with_bias
from .neurons import ForeignNeuron, integrating, spiking
from .nir_modules import SumPool
from .observing import Observation, ObservedLayer, Source
from .refusal import ConversionRefused


def build(
    source: Source, seen: Observation, inputs: Tensor, readout: str | None
) -> tuple[SpikingNetwork, tuple[str, ...]]:
    """Return the network of the observed layers, and what was folded where, a line each.

    Args:
        source, seen: the module, and what a run of it on `inputs` showed.
        inputs: (batch, ...) or (batch, T, ...).
        readout: "mean", "spikes" or "potential"; None for the one that fits the last layer.

    Raises:
        ConversionRefused: for a layer that is not known, or something between layers.
    """
    _check_chain(source, seen, inputs)
    last = seen.layers[-1]
    final = last.neuron if last.neuron is not None and _reads_potential(last.neuron, readout) else None
    layers: list[nn.Module] = []
    notes: list[str] = []
    before: tuple[int, ...] = tuple(inputs.shape[2 if source.timed else 1 :])
    constant = not source.timed
    for observed in seen.layers:
        layers += _flattened(before, tuple(observed.given.shape[2:]), observed.name)
        _append(layers, observed, seen.num_steps, constant, observed is last and final is not None, notes)
        constant &= observed.neuron is None
        before = tuple(observed.gave.shape[2:])
    if len(before) > 1 and final is None:
        layers.append(nn.Flatten())
    return _network(layers, source, seen, "potential" if final is not None else readout), tuple(notes)


def _reads_potential(neuron: ForeignNeuron, readout: str | None) -> bool:
    if neuron.threshold is None and readout not in (None, "potential"):
        neuron.refuse(f"never fires, so readout {readout!r} does not fit it; expected potential")
    if readout == "potential" and neuron.threshold is not None and neuron.reset != "none":
        neuron.refuse("its potential is read, so it must not reset, or no bound knows it")
    return neuron.threshold is None or readout == "potential"


def _network(layers: list[nn.Module], source: Source, seen: Observation, readout: str | None) -> SpikingNetwork:
    encoding = "none" if source.timed else "direct"
    try:
        network = SpikingNetwork(*layers, num_steps=seen.num_steps, encoding=encoding, readout=readout)
    except (ValueError, TypeError) as error:
        raise ConversionRefused(str(error)) from error
    return network.to(seen.layers[0].given.dtype).eval()


def _append(
    layers: list[nn.Module], observed: ObservedLayer, steps: int, constant: bool, final: bool, notes: list[str]
) -> None:
    """Add the layer of `observed`, whose input may be constant over time, and its bias to the layer before."""
    if observed.neuron is None:
        layers.append(_affine(observed))
        return
    neuron = observed.neuron
    if final:
        layer = integrating(neuron, steps)
    elif neuron.threshold is None:
        neuron.refuse("never fires, and is not the last layer")
    else:
        layer = spiking(neuron, steps, constant)
    if neuron.bias != 0.0:
        _add_bias(layers, neuron)
    layers.append(layer)
    notes += _told(neuron, layer, final)


def _affine(observed: ObservedLayer) -> nn.Module:
    if isinstance(observed.module, SumPool):
        return observed.module.as_convolution(observed.given.shape[2], observed.given.dtype)
    return affine(observed.module, observed.name) or refuse(observed.module, observed.name)


def _add_bias(layers: list[nn.Module], neuron: ForeignNeuron) -> None:
    place = next((layer for layer in reversed(layers) if not isinstance(layer, nn.Flatten)), None)
    if place is None or with_bias(place, neuron.bias) is None:
        neuron.refuse("leaks to another potential than it starts from, and no layer before it can hold that")


def _told(neuron: ForeignNeuron, layer: nn.Module, final: bool) -> list[str]:
    """Return what was folded, in words."""
    told = []
    assert isinstance(layer, LIF)
    if abs(neuron.gain - 1.0) > 1e-6:
        where = "its output is scaled back" if final else f"threshold {layer.dynamics.threshold:g}"
        told.append(f"{neuron.name}: potentials in units of {neuron.gain:g} ({where})")
    if neuron.shift != 0.0:
        told.append(f"{neuron.name}: potentials are counted from {neuron.shift:g}")
    if neuron.bias != 0.0:
        told.append(f"{neuron.name}: a current of {neuron.bias:g} goes into the bias before it")
    if neuron.drop is not None and neuron.reset == "subtract" and neuron.drop != neuron.threshold:
        told.append(f"{neuron.name}: a spike takes {neuron.drop:g}, at a threshold of {neuron.threshold:g}")
    if neuron.synapse is not None:
        told.append(f"{neuron.name}: its synapse became an input scale over time")
    return told


def _flattened(before: Sequence[int], after: Sequence[int], name: str) -> list[nn.Module]:
    if tuple(before) == tuple(after):
        return []
    if len(after) == 1:
        return [nn.Flatten()]
    raise ConversionRefused(f"{name}: is given shape {tuple(after)} made of {tuple(before)}, expected to be flat")


def _check_chain(source: Source, seen: Observation, inputs: Tensor) -> None:
    """Raise unless each layer is given exactly what the one before gave."""
    before, name = inputs.transpose(0, 1) if source.timed else inputs.unsqueeze(0), "the input"
    for observed in seen.layers:
        if not _same(before, observed.given):
            raise ConversionRefused(
                f"{observed.name}: is not given what {name} gives; expected layers in one chain and nothing "
                "between them (a function, a skip connection, an encoder: give encoded inputs with "
                "encoding='none')"
            )
        before, name = observed.gave, observed.name


def _same(before: Tensor, after: Tensor) -> bool:
    """Compare values, however they are shaped, and a constant signal with each of its steps."""
    steps = max(len(before), len(after))
    before, after = (signal.expand(steps, *signal.shape[1:]).flatten(2) for signal in (before, after))
    return before.shape == after.shape and torch.equal(before, after)
