"""Spike for spike: a network against what it was converted from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikecert.models.conversion.populations import grouped
from spikecert.models.elements.neurons import LIF
from spikecert.models.elements.varied import VariedLIF
from spikecert.models.networks import SpikingNetwork, Trace
from spikecert.models.running.readouts import MEANS, over_time

from .observing.observed_layers import ROUNDING, ObservedLayer
from .observing.observing import Observation

NEAR = 1e-5
"""A potential so near its threshold, as a share of it, was decided by rounding."""


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


def compare(network: SpikingNetwork, seen: Observation, inputs: Tensor, outputs: bool = True) -> ConversionCheck:
    """Compare the spikes of all firing layers and, unless `outputs` is False, the outputs with the logits.

    An output counts as the same if it is what the readout makes of what it reads over time, or that at each step;
    of a mean the sum, too.
    """
    with torch.no_grad():
        trace = network.trace(inputs)
    firing = len(trace.spikes) - network.reads_potentials
    found = [observed for observed in seen.layers if observed.neuron is not None]
    if len(found) != len(trace.spikes) or seen.num_steps != network.num_steps:
        reason = f"layers and steps: {len(found)} and {seen.num_steps} there, {len(trace.spikes)} and "
        return ConversionCheck(
            len(inputs), network.num_steps, 0, (), (), None, f"{reason}{network.num_steps} here"
        )
    differ = [_differ(own, observed.gave) for own, observed in zip(trace.spikes[:firing], found, strict=False)]
    error = _output_error(network, seen, trace.logits)
    wrong = next((layer for layer, part in enumerate(differ) if bool(part.any())), None)
    reason = "" if wrong is None else _spike_reason(network, trace, found[wrong], wrong, differ[wrong])
    if not reason and outputs and error is None:
        reason = _output_reason(network, seen)
    mismatches, total = tuple(int(part.sum()) for part in differ), sum(part.numel() for part in differ)
    rates = tuple(float(spikes.mean()) for spikes in trace.spikes[:firing])
    return ConversionCheck(len(inputs), network.num_steps, total, mismatches, rates, error, reason)


def _differ(own: Tensor, gave: Tensor) -> Tensor:
    """Return which spikes differ, (T, batch, neurons)."""
    return own.flatten(2) != gave.expand(len(own), *gave.shape[1:]).flatten(2)


def _spike_reason(
    network: SpikingNetwork, trace: Trace, observed: ObservedLayer, layer: int, differ: Tensor
) -> str:
    step, sample, neuron = differ.nonzero()[0].tolist()
    potential = float(trace.potentials[layer].flatten(2)[step, sample, neuron])
    threshold = _threshold(network.neurons[layer], trace.potentials[layer].shape[2:], neuron)
    if abs(potential - threshold) <= NEAR * max(1.0, threshold):
        why = "within rounding: convert in float64 (module.double(), sample.double())"
    else:
        why = "which no rounding explains: the layer does something else than its constants say"
    return (
        f"{observed.name}: {int(differ.sum())} of {differ.numel()} spikes differ, first at step {step + 1} "
        f"with a potential of {potential:.9g} at a threshold of {threshold:.9g}, {why}"
    )


def _threshold(layer: LIF, features: torch.Size, neuron: int) -> float:
    """Return θ of one neuron of a layer, by its place among the flattened features."""
    if isinstance(layer, VariedLIF):
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
    last = seen.layers[-1].neuron
    if network.reads_potentials and last is not None:
        times = network.num_steps if network.readout == "summed" else 1
        logits = (last.gain * logits + times * last.shift).to(logits.dtype)
    errors = [
        float((reading - logits).abs().max())
        for output in seen.outputs
        for reading in _readings(output, network, logits)
    ]
    least, size = min(errors, default=None), float(logits.abs().max())
    most = min(1e-4, ROUNDING * torch.finfo(logits.dtype).eps) * size
    return least if least is not None and least <= most else None


def _readings(output: Tensor, network: SpikingNetwork, logits: Tensor) -> list[Tensor]:
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
