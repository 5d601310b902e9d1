"""From what was observed to a `SpikingNetwork`: layers and sums in a chain, gains and leaks folded, a readout."""

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.elements.layers import Residual
from spikecert.models.elements.max_pooling import MAX_POOLS
from spikecert.models.elements.neurons import LIF
from spikecert.models.elements.varied import VariedLIF
from spikecert.models.linear_maps.sharing import Share
from spikecert.models.networks import SpikingNetwork
from spikecert.models.running.readouts import reads_potentials

from .adapting import adapted
from .constants import every
from .constants import told as in_digits
from .layers import normalizing, plain_layer, refuse, with_bias
from .neurons import ForeignNeuron, filtering, integrating, spiking
from .observing.arranging import Parallel, Step
from .observing.data_flow import INPUT, Adjusted, Joined, Origin, value
from .observing.drawing import DrawnSpikes
from .observing.following import not_given
from .observing.observed_layers import ObservedLayer
from .observing.observing import Observation, Source


def build(
    source: Source, seen: Observation, inputs: Tensor, readout: str | None
) -> tuple[SpikingNetwork, tuple[str, ...]]:
    """Return the network of the observed layers, and what was folded where, a line each.

    Args:
        source, seen: the module, and what a run of it on `inputs` showed.
        inputs: (batch, ...) or (batch, T, ...).
        readout: one of `models.readouts`; None for the one that fits the last layer.

    Raises:
        ConversionRefused: for a layer that is not known, or something between layers.
    """
    writer = _NetworkWriter(source, seen, inputs)
    writer.check()
    last = seen.layers[-1]
    read = last.neuron is not None and _reads_potential(last.neuron, readout)
    final = _Final(last.neuron, readout or "potential") if read and last.neuron is not None else None
    notes: list[str] = []
    layers = writer.written(seen.steps, final, notes)
    if last.gave.dim() > 3 and final is None:
        layers.append(nn.Flatten())
    usual = "potential" if final is not None and readout is None else readout
    return _network(layers, source, seen, usual), tuple(notes)


@dataclass(frozen=True)
class _Final:
    """A last neuron whose potentials are read, and how."""

    neuron: ForeignNeuron
    readout: str


@dataclass(frozen=True)
class _NetworkWriter:
    """Writes observed layers as modules.

    Attributes:
        source, seen: the module, and what a run of it showed.
        inputs: of that run.
    """

    source: Source
    seen: Observation
    inputs: Tensor

    def written(self, steps: tuple[Step, ...], final: _Final | None, notes: list[str]) -> list[nn.Module]:
        """Return steps in series as modules, and note what was folded; the potential of `final` is read."""
        layers: list[nn.Module] = []
        for step in steps:
            if isinstance(step, Adjusted):
                layers.append(self._normalizing(step))
                if step.numbers != (-1.0,):
                    notes.append(f"a constant beside the layers ({step.operation}) became a layer")
            elif isinstance(step, Parallel):
                paths = (self.written(path, final, notes) for path in (step.branch, step.shortcut))
                layers.append(Residual(*paths))
            else:
                layers += self._flattened(self._layers[step])
                if isinstance(self._layers[step].module, DrawnSpikes):
                    self._check_first(self._layers[step])
                    notes.append(f"{step}: fires by draws of the network's own, encoding 'rate'")
                    continue
                constant = self._constant(self._layers[step].origin)
                _append(layers, self._layers[step], self.seen.num_steps, constant, final, notes)
        return layers

    def _check_first(self, observed: ObservedLayer) -> None:
        """Raise unless an encoder is given what the module is given, at each step, and all else is behind it."""
        alone = self.seen.steps[0] == observed.name and observed.origin == INPUT and not self.source.timed
        shape = (self.seen.num_steps, *observed.given.shape[1:])
        if not alone or observed.gave.shape != shape:
            found = "first, with all else behind it" if not alone else "called at each step"
            raise ConversionRefused(f"{observed.name}: draws its spikes, and is not {found}; expected that")

    def _normalizing(self, step: Adjusted) -> nn.Module:
        """Return the layer (x − mean)/std that a constant is."""
        signal = value(step.source, self._signal)
        assert signal is not None
        if step.operation == "mul" and len(step.numbers) == 1 and step.numbers[0] < 0:
            return Share(step.numbers[0]).to(signal.dtype)
        numbers = step.numbers * (signal.shape[2] if len(step.numbers) == 1 else 1)
        return normalizing(step.operation, numbers, signal.dim() > 3, signal.dtype)

    def check(self) -> None:
        """Raise unless each layer is given exactly what it is said to be given."""
        for observed in self.seen.layers:
            before = value(observed.origin, self._signal)
            if before is not None and observed.heard is not None:
                before = before + observed.heard
            if before is None or not _same(before, observed.given):
                raise not_given(observed)

    @cached_property
    def _layers(self) -> dict[str, ObservedLayer]:
        return {observed.name: observed for observed in self.seen.layers}

    def _signal(self, name: str) -> Tensor:
        """Return what a layer gave, (T or 1, batch, ...)."""
        if name == "":
            return self.inputs.transpose(0, 1) if self.source.timed else self.inputs.unsqueeze(0)
        return self._layers[name].gave

    def _constant(self, origin: Origin) -> bool:
        """Return whether a signal is the same at every step."""
        if isinstance(origin, Joined):
            return self._constant(origin.one) and self._constant(origin.other)
        if isinstance(origin, Adjusted):
            return self._constant(origin.source)
        if origin.name == "":
            return not self.source.timed
        observed = self._layers[origin.name]
        if isinstance(observed.module, DrawnSpikes):
            return False
        return observed.neuron is None and self._constant(observed.origin)

    def _flattened(self, observed: ObservedLayer) -> list[nn.Module]:
        """Return the Flatten, or another shape, that a layer's input shows to be in front of it."""
        before, after = value(observed.origin, self._signal), observed.given
        assert before is not None
        if before.shape[2:] == after.shape[2:]:
            return []
        flat: list[nn.Module] = [] if before.dim() == 3 else [nn.Flatten()]
        return flat if after.dim() == 3 else [*flat, nn.Unflatten(1, tuple(after.shape[2:]))]


def _reads_potential(neuron: ForeignNeuron, readout: str | None) -> bool:
    potential = readout is not None and reads_potentials(readout, True)
    if neuron.threshold is None and not (readout is None or potential):
        neuron.refuse(f"never fires, so readout {readout!r} does not fit it; expected potential")
    if potential and neuron.threshold is not None and neuron.reset != "none":
        neuron.refuse("its potential is read, so it must not reset, or no bound knows it")
    return neuron.threshold is None or potential


def _network(layers: list[nn.Module], source: Source, seen: Observation, readout: str | None) -> SpikingNetwork:
    drawn = next((each.module for each in seen.layers if isinstance(each.module, DrawnSpikes)), None)
    encoding = "rate" if drawn is not None else "none" if source.timed else "direct"
    settings = {"num_steps": seen.num_steps, "encoding": encoding, "draws": None if drawn is None else drawn.draws}
    try:
        network = SpikingNetwork(*layers, readout=readout, **settings)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise ConversionRefused(str(error)) from error
    return network.to(seen.layers[0].given.dtype).eval()


def _append(
    layers: list[nn.Module],
    observed: ObservedLayer,
    steps: int,
    constant: bool,
    final: _Final | None,
    notes: list[str],
) -> None:
    """Add the layer of `observed`, whose input may be constant over time, and its bias to the layer before."""
    if observed.neuron is None:
        layers.append(_affine(observed))
        return
    neuron = observed.neuron
    if neuron.front is not None:
        layers.append(copy.deepcopy(neuron.front))
    ends = final is not None and neuron is final.neuron
    if ends and final is not None:
        made = integrating(neuron, steps, final.readout)
    elif neuron.threshold is None:
        neuron.refuse("never fires, and is not the last layer")
    else:
        made = [*filtering(neuron, constant), spiking(neuron, steps, constant)]
    if neuron.leaks:
        _add_bias(layers, neuron)
    layers += made
    notes += _told(neuron, made[-1], ends, len(made) > 1)


def _affine(observed: ObservedLayer) -> nn.Module:
    found = plain_layer(observed.module, observed.name) or adapted(observed.module, observed.given, observed.name)
    return found or refuse(observed.module, observed.name)


def bias_place(layers: list[nn.Module]) -> nn.Module | None:
    """Return the layer whose bias is a constant behind layers, if it has one."""
    passing = (nn.Flatten, *MAX_POOLS)  # max(x + b) is max(x) + b
    return next((layer for layer in reversed(layers) if not isinstance(layer, passing)), None)


def _add_bias(layers: list[nn.Module], neuron: ForeignNeuron) -> None:
    place, bias = bias_place(layers), neuron.bias
    if place is None or isinstance(bias, Tensor) or with_bias(place, bias) is None:
        neuron.refuse("leaks to another potential than it starts from, and no layer before it can hold that")


def _told(neuron: ForeignNeuron, layer: nn.Module, final: bool, filtered: bool) -> list[str]:
    """Return what was folded, in words."""
    notes: list[str] = []
    assert isinstance(layer, LIF)
    if not every(abs(neuron.gain - 1.0) <= 1e-6):
        threshold = layer.threshold if isinstance(layer, VariedLIF) else layer.dynamics.threshold
        where = "its output is scaled back" if final else f"threshold {in_digits(threshold)}"
        notes.append(f"{neuron.name}: potentials in units of {in_digits(neuron.gain)} ({where})")
    if not every(neuron.begins == 0.0):
        ends = f"starts from {in_digits(neuron.start)}, and resets to {in_digits(neuron.level)}"
        notes.append(f"{neuron.name}: {ends}")
    if not every(neuron.shift == 0.0):
        notes.append(f"{neuron.name}: potentials are counted from {in_digits(neuron.shift)}")
    if neuron.leaks:
        notes.append(f"{neuron.name}: a current of {in_digits(neuron.bias)} goes into the bias before it")
    if neuron.drop is not None and neuron.threshold is not None and neuron.reset == "subtract":
        ends = f"a spike takes {in_digits(neuron.drop)}, at a threshold of {in_digits(neuron.threshold)}"
        notes += [] if every(neuron.drop == neuron.threshold) else [f"{neuron.name}: {ends}"]
    if neuron.feedback is not None:
        notes.append(f"{neuron.name}: hears its own last spikes through {type(neuron.feedback).__name__}")
    if neuron.synapse is not None:
        alone = "a layer before it" if filtered else "an input scale over time"
        became = alone if neuron.feedback is None else "a part of its loop"
        notes.append(f"{neuron.name}: its synapse became {became}")
    if neuron.rest:
        notes.append(f"{neuron.name}: rests for {neuron.rest} step(s) behind each spike")
    if isinstance(layer, VariedLIF):
        notes.append(f"{neuron.name}: its constants differ within the layer, {tuple(layer.decay.shape)}")
    return notes


def _same(before: Tensor, after: Tensor) -> bool:
    """Compare values, however they are shaped, and a constant signal with each of its steps."""
    steps = max(len(before), len(after))
    before, after = (signal.expand(steps, *signal.shape[1:]).flatten(2) for signal in (before, after))
    return before.shape == after.shape and torch.equal(before, after)
