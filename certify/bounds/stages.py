"""A feed-forward network under perturbation, layer by layer: what the priced bounds work on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.layers import Residual
from ...models.networks import SpikingNetwork
from ...models.neurons import LIF
from .affine import AffineMap
from .box import Box
from .propagation import SpikeBound, input_signal, propagate, readout_row
from .rounding import Rounding
from .signals import AffineSignal, InputSignal, Signal
from .train_graph import GraphTrains
from .train_table import TableTrains
from .trains import window_spikes

STEEPEST = 1e6
"""The greatest λ^{−(T−1)} for which the priced graph's arithmetic in float64 is trusted."""


@dataclass(frozen=True)
class Chain:
    """The affine layers between two signals, first layer first.

    Attributes:
        maps: the layers.
        shapes: the shape of each layer's input, without batch.
        slack: how far the run may be from the exact chain of its own input, broadcastable to (batch, ...).
    """

    maps: tuple[AffineMap, ...]
    shapes: tuple[torch.Size, ...]
    slack: Tensor

    @property
    def terms(self) -> int:
        """Return how many products one output sums, over all layers."""
        return sum(layer.terms for layer in self.maps)

    def apply(self, signal: Tensor) -> Tensor:
        """Return the chain of `signal`, (batch, ...)."""
        for layer in self.maps:
            signal = layer.linear(signal) + layer.bias
        return signal

    def magnitude(self, size: Tensor) -> Tensor:
        """Return the sum of moduli that the chain adds up for signals of modulus `size`."""
        for layer in self.maps:
            size = layer.absolute(size) + layer.bias_magnitude
        return size

    def pull_back(self, prices: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g, constant) with Σ prices·chain(x) = Σ g·x + constant, per row of `prices` (rows, ...)."""
        constant = prices.new_zeros(len(prices))
        for layer, shape in zip(reversed(self.maps), reversed(self.shapes), strict=True):
            constant = constant + (prices * layer.bias).flatten(1).sum(1)
            prices = layer.adjoint(prices, shape)
        return prices, constant


@dataclass(frozen=True)
class Stage:
    """One spiking layer with the chain in front of it.

    Attributes:
        chain: the affine layers before it.
        neuron: its dynamics.
        found: what is known of its trains.
        lower, upper: its currents, (1 or T, batch, ...).
        split: where a branch restricts a neuron's trains, (batch, ...) of bool: its current carries a price even
            where only one train is left, since that train says where the current lies. None: no branch.
    """

    chain: Chain
    neuron: LIF
    found: TableTrains | GraphTrains
    lower: Tensor
    upper: Tensor
    split: Tensor | None = None


@dataclass(frozen=True)
class Staged:
    """A network over a set of inputs.

    Attributes:
        source: the input set.
        stages: the spiking layers, first first.
        tail: the chain behind the last one.
        row: the readout over time, (T,).
        rounding: the dtype of the run.
    """

    source: InputSignal
    stages: tuple[Stage, ...]
    tail: Chain
    row: Tensor
    rounding: Rounding


def staged(network: SpikingNetwork, inputs: Box, spikes: SpikeBound = window_spikes) -> Staged | None:
    """Return the network in stages, or None where it is no plain sequence of layers with a neuron.

    Args:
        network: the network.
        inputs: the input set of each row of the batch.
        spikes: what finds the trains of each layer, first layer first.
    """
    if any(isinstance(layer, Residual) for layer in network.layers):
        return None
    rounding, source = Rounding(network.dtype), input_signal(network, inputs)
    recorded: list[Stage] = []

    def record(current: Signal, neuron: LIF, rounding: Rounding) -> Signal:
        found = spikes(current, neuron, rounding)
        assert isinstance(found, TableTrains | GraphTrains)
        box = current.steps()
        recorded.append(Stage(_chain(current), neuron, found, box.lower, box.upper))
        return found

    layers = network.layers[:-1] if network.readout == "potential" else network.layers
    last = propagate(layers, source, record, rounding)
    if not recorded:
        return None
    return Staged(source, tuple(recorded), _chain(last), readout_row(network, inputs.lower)[0], rounding)


def priceable(stage: Stage) -> bool:
    """Return whether prices reach a layer: behind a table always, behind a graph with a hard reset and a decay
    that is not so small that λ^{−(T−1)} passes `STEEPEST`."""
    dynamics = stage.neuron.dynamics
    if isinstance(stage.found, TableTrains):
        return True
    steps = stage.found.num_steps
    return dynamics.reset == "zero" and dynamics.decay ** (steps - 1) * STEEPEST >= 1.0


def _chain(signal: Signal) -> Chain:
    """Collect the affine layers that end in `signal`."""
    parts: list[AffineSignal] = []
    while isinstance(signal, AffineSignal):
        parts.append(signal)
        signal = signal.source
    parts.reverse()
    shapes = tuple(part.source.magnitude().shape[1:] for part in parts)
    return Chain(tuple(part.map for part in parts), shapes, _slack(parts, signal))


def _slack(parts: Sequence[AffineSignal], source: Signal) -> Tensor:
    """Add up each layer's own rounding and what it makes of the rounding before it."""
    slack = torch.zeros_like(source.magnitude())
    for part in parts:
        own = part.map.slack(part.source.magnitude(), part.rounding, 4 * part.num_steps + 8)
        slack = part.map.absolute(slack) + own
    return slack
