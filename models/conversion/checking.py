"""Spike for spike: a network against what it was converted from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..elements.neurons import LIF
from ..elements.varied import ArrayLIF
from ..networks import SpikingNetwork, Trace
from ..running.encoding import MEANS, over_time
from ..running.running import run_layers
from ..validation import one_line
from .populations import grouped
from .refusal import ConversionRefused

ROUNDING = 256
"""How far outputs of two runs may be from each other, in roundings of the largest one."""
NEAR = 1e-5
"""A potential so near its threshold, as a share of it, was decided by rounding."""


@dataclass(frozen=True)
class SeenLayer:
    """The spikes of a neuron layer, (T or 1, batch, ...), and the line of code that makes them."""

    name: str
    gave: Tensor


@dataclass(frozen=True)
class Observation:
    """What a run of a module showed.

    Attributes:
        layers: those that fire, in the network's order.
        outputs: tensors that the module returned.
        num_steps: T.
        gain, shift: the outputs are gain·y + shift of what the network reads, y, at each step that is summed.
    """

    layers: tuple[SeenLayer, ...]
    outputs: tuple[Tensor, ...]
    num_steps: int
    gain: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class ConversionCheck:
    """What a comparison found.

    Attributes:
        samples, num_steps, layers: how much was compared.
        spikes: how many values of spiking layers were compared, samples × steps × neurons.
        mismatches: of those, how many differ, per spiking layer.
        rates: the share of neurons and steps that fired, per spiking layer: of a silent one little is known.
        output_error: the largest difference of an output, None where the source returns none that is comparable.
        reason: what does not match, in one line; "" if all does.
    """

    samples: int
    num_steps: int
    spikes: int
    mismatches: tuple[int, ...]
    rates: tuple[float, ...]
    output_error: float | None
    reason: str

    @property
    def layers(self) -> int:
        """Return how many spiking layers were compared."""
        return len(self.mismatches)

    @property
    def matches(self) -> bool:
        """Return whether every spike is the same, and the outputs are, to rounding."""
        return self.reason == ""


def are_alike(one: Tensor, other: Tensor) -> bool:
    """Return whether two outputs are the same but for rounding, which depends on where numbers are in memory."""
    if torch.equal(one, other) or one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return bool(((one - other).abs() <= ROUNDING * torch.finfo(one.dtype).eps * one.abs().max()).all())


def compare(network: SpikingNetwork, seen: Observation, inputs: Tensor, outputs: bool = True) -> ConversionCheck:
    """Compare the spikes of all firing layers and, unless `outputs` is False, the outputs with the logits.

    An output counts as the same if it is what the readout makes of what it reads over time, or that at each step;
    of a mean the sum, too.
    """
    with torch.no_grad():
        trace = network.trace(inputs)
    firing = len(trace.spikes) - network.reads_potentials
    if len(seen.layers) != firing or seen.num_steps != network.num_steps:
        reason = f"layers and steps: {len(seen.layers)} and {seen.num_steps} there, {firing} and "
        return ConversionCheck(
            len(inputs), network.num_steps, 0, (), (), None, f"{reason}{network.num_steps} here"
        )
    differ = [_differ(own, layer.gave) for own, layer in zip(trace.spikes[:firing], seen.layers, strict=True)]
    error = _output_error(network, seen, trace.logits)
    wrong = next((layer for layer, part in enumerate(differ) if bool(part.any())), None)
    reason = "" if wrong is None else _spike_reason(network, trace, seen.layers[wrong], wrong, differ[wrong])
    if not reason and outputs and error is None:
        reason = _output_reason(network, seen)
    mismatches, total = tuple(int(part.sum()) for part in differ), sum(part.numel() for part in differ)
    rates = tuple(float(spikes.mean()) for spikes in trace.spikes[:firing])
    return ConversionCheck(len(inputs), network.num_steps, total, mismatches, rates, error, reason)


def check_recorded(network: SpikingNetwork, inputs: Tensor, outputs: Tensor) -> None:
    """Raise ConversionRefused where a network gives other outputs than were recorded in its source.

    Args:
        network: in evaluation mode.
        inputs: as it takes them, but for their dtype.
        outputs: (batch, classes), as the readout has them, or sums for means; or (batch, T, classes), each step.
    """
    inputs = inputs.to(network.dtype)
    try:
        with torch.no_grad():
            own, steps = network(inputs), _each_step(network, inputs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConversionRefused(f"recorded: {one_line(error)}") from error
    given, summed = grouped(outputs.to(own), own.shape[-1]), network.num_steps if network.readout in MEANS else 1
    own, times = (steps, {1}) if given.dim() > own.dim() else (own, {1, summed})
    if given.shape != own.shape:
        expected = f"{tuple(own.shape)}, or those of each step, {tuple(steps.shape)}"
        raise ConversionRefused(f"recorded: got outputs of shape {tuple(outputs.shape)}, expected {expected}")
    near = ROUNDING * torch.finfo(own.dtype).eps * own.abs().max()
    right = [((given / n - own).abs() <= near).flatten(1).all(1) for n in times]
    wrong = min(((~each).nonzero() for each in right), key=len)
    if len(wrong):
        told = f"outputs differ at {len(wrong)} of {len(own)} inputs, first at input {int(wrong[0])}"
        raise ConversionRefused(f"recorded: {told}: its source does what it does not say, or had other settings")


def _each_step(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    """Return what a network's readout reads, (batch, T, ...)."""
    if network.reads_potentials:
        return network.trace(inputs).potentials[-1].transpose(0, 1)
    steps = run_layers(network.layers, network.encode(inputs), network.num_steps)
    return steps.expand(network.num_steps, *steps.shape[1:]).transpose(0, 1)


def _differ(own: Tensor, gave: Tensor) -> Tensor:
    """Return which spikes differ, (T, batch, neurons)."""
    return own.flatten(2) != gave.expand(len(own), *gave.shape[1:]).flatten(2)


def _spike_reason(network: SpikingNetwork, trace: Trace, seen: SeenLayer, layer: int, differ: Tensor) -> str:
    step, sample, neuron = differ.nonzero()[0].tolist()
    potential = float(trace.potentials[layer].flatten(2)[step, sample, neuron])
    threshold = _threshold(network.neurons[layer], trace.potentials[layer].shape[2:], neuron)
    if abs(potential - threshold) <= NEAR * max(1.0, threshold):
        why = "within rounding: convert in float64 (module.double(), sample.double())"
    else:
        why = "which no rounding explains: the layer does something else than its constants say"
    return (
        f"{seen.name}: {int(differ.sum())} of {differ.numel()} spikes differ, first at step {step + 1} "
        f"with a potential of {potential:.9g} at a threshold of {threshold:.9g}, {why}"
    )


def _threshold(layer: LIF, features: torch.Size, neuron: int) -> float:
    """Return θ of one neuron of a layer, by its place among the flattened features."""
    if isinstance(layer, ArrayLIF):
        return float(layer.threshold.expand(features).flatten()[neuron])
    return layer.dynamics.threshold


def _output_reason(network: SpikingNetwork, seen: Observation) -> str:
    shapes = ", ".join(str(tuple(out.shape)) for out in seen.outputs) or "no tensor"
    return (
        f"output: the module returns {shapes}, none of which is the mean, the sum or the last value over time of "
        f"what readout {network.readout!r} reads"
    )


def _output_error(network: SpikingNetwork, seen: Observation, logits: Tensor) -> float | None:
    """Return the error of the output that fits best, None if none fits."""
    times = network.num_steps if network.readout == "summed" else 1
    logits = (seen.gain * logits + times * seen.shift).to(logits.dtype)
    errors = [
        float((reading - logits).abs().max())
        for output in seen.outputs
        for reading in readings_of(output, network, logits)
    ]
    least, size = min(errors, default=None), float(logits.abs().max())
    most = min(1e-4, ROUNDING * torch.finfo(logits.dtype).eps) * size
    return least if least is not None and least <= most else None


def readings_of(output: Tensor, network: SpikingNetwork, logits: Tensor) -> list[Tensor]:
    """Return what an output may mean for the logits: it is read off already, or holds each step."""
    output, steps, readout = output.to(logits.dtype), network.num_steps, network.readout
    output = grouped(output, logits.shape[-1])
    if output.shape == logits.shape:
        return [output, output / steps] if readout in MEANS else [output]
    if output.shape == (len(logits), steps, *logits.shape[1:]) and len(logits) != steps:
        output = output.transpose(0, 1)
    if output.shape != (steps, *logits.shape):
        return []
    return [output.mean(0)] if readout in MEANS else [over_time(readout, output)]
