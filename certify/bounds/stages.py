"""A feed-forward network under perturbation, layer by layer: what the priced bounds work on."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.rules import Leaky
from .affine import AffineMap
from .box import Box
from .propagation import SpikeBound, check_readout, input_signal, propagate, readout_row
from .rounding import Rounding
from .signals import AffineSignal, InputSignal, Signal, SumSignal
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

    def reach(self, width: Tensor) -> Tensor:
        """Return |W|·width: how far the chain moves for signals that move by `width`."""
        for layer in self.maps:
            width = layer.absolute(width)
        return width

    def pull_back(self, prices: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g, constant) with Σ prices·chain(x) = Σ g·x + constant, per row of `prices` (rows, ...)."""
        constant = prices.new_zeros(len(prices))
        for layer, shape in zip(reversed(self.maps), reversed(self.shapes), strict=True):
            constant = constant + (prices * layer.bias).flatten(1).sum(1)
            prices = layer.adjoint(prices, shape)
        return prices, constant


@dataclass(frozen=True)
class SourcedChain:
    """A chain from an earlier signal: the input for `source` 0, the spikes of stage i, from 1, for i."""

    source: int
    chain: Chain


@dataclass(frozen=True)
class Stage:
    """One spiking layer with the chains in front of it.

    Attributes:
        branches: its current is the sum of these; slack and biases that they share are the first one's.
        rule: of its neurons.
        found: what is known of its trains.
        lower, upper: its currents, (1 or T, batch, ...).
        split: where a branch restricts a neuron's trains, (batch, ...) of bool: its current carries a price even
            where only one train is left, since that train says where the current lies. None: no branch.
    """

    branches: tuple[SourcedChain, ...]
    rule: Leaky
    found: TableTrains | GraphTrains
    lower: Tensor
    upper: Tensor
    split: Tensor | None = None

    @property
    def chain(self) -> Chain:
        """Return the affine layers before it, where there is no residual sum among them."""
        return _single(self.branches)

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return the sum of its chains, all from one signal, as one matrix (n, features) and its bias (n,)."""
        shape = self.lower.shape[2:]
        unit = torch.eye(shape.numel(), dtype=self.lower.dtype, device=self.lower.device).view(-1, *shape)
        pulled = [branch.chain.pull_back(unit) for branch in self.branches]
        matrix, bias = (torch.stack(parts).sum(0) for parts in zip(*pulled, strict=True))
        return matrix.flatten(1), bias


@dataclass(frozen=True)
class Staged:
    """A network over a set of inputs.

    Attributes:
        source: the input set.
        stages: the spiking layers, first first.
        ends: the sum of chains that the readout takes.
        row: the readout over time, (T,).
        rounding: the dtype of the run.
    """

    source: InputSignal
    stages: tuple[Stage, ...]
    ends: tuple[SourcedChain, ...]
    row: Tensor
    rounding: Rounding

    @property
    def tail(self) -> Chain:
        """Return the chain behind the last stage, where there is no residual sum behind it."""
        return _single(self.ends)

    @property
    def sequential(self) -> bool:
        """Return whether each stage reads the one before it, and nothing else."""
        readers = [*(stage.branches for stage in self.stages), self.ends]
        return all(len(branches) == 1 and branches[0].source == index for index, branches in enumerate(readers))

    @property
    def gated(self) -> bool:
        """Return whether the input passes the first stage: all that is behind it reads spikes alone."""
        readers = [*(stage.branches for stage in self.stages[1:]), self.ends]
        return all(branch.source > 0 for branches in readers for branch in branches)


def staged(circuit: Circuit, inputs: Box, spikes: SpikeBound = window_spikes, sums: bool = False) -> Staged | None:
    """Return the network in stages, or None where it has no neuron or is no plain sequence of layers.

    Args:
        circuit: the network.
        inputs: the input set of each row of the batch.
        spikes: what finds the trains of each layer, first layer first.
        sums: whether residual sums are welcome.
    """
    if not sums and circuit.adds:
        return None
    rounding, source = Rounding(circuit.dtype), input_signal(circuit, inputs)
    recorded: list[Stage] = []
    signals: list[Signal] = [source]

    def record(current: Signal, rule: Leaky, rounding: Rounding) -> Signal:
        """Find the trains of a layer and note its stage."""
        found = spikes(current, rule, rounding)
        assert isinstance(found, TableTrains | GraphTrains)
        box = current.steps()
        recorded.append(Stage(_branches(current, signals), rule, found, box.lower, box.upper))
        signals.append(found)
        return found

    last = propagate(circuit, source, record, rounding)[-1]
    if not recorded:
        return None
    check_readout(circuit, last, rounding)
    first, *others = _branches(last, signals)
    if circuit.read.readout == "spikes":  # no affine layer's slack covers the rounding of the mean over time
        slack = first.chain.slack + 16 * rounding.unit * last.magnitude()
        first = replace(first, chain=replace(first.chain, slack=slack))
    ends = (first, *others)
    return Staged(source, tuple(recorded), ends, readout_row(circuit, inputs.lower)[0], rounding)


def priceable(stage: Stage) -> bool:
    """Return whether prices reach a layer: behind a table always, behind a graph unless its decay is so small that
    λ^{−(T−1)} passes `STEEPEST`."""
    if isinstance(stage.found, TableTrains):
        return True
    return stage.rule.decay ** (stage.found.num_steps - 1) * STEEPEST >= 1.0


def _single(branches: tuple[SourcedChain, ...]) -> Chain:
    (branch,) = branches
    return branch.chain


def _branches(signal: Signal, sources: list[Signal]) -> tuple[SourcedChain, ...]:
    """Return the chains from `sources` whose sum is `signal`."""
    found, slack = _paths(signal, sources)
    (source, first), *others = found
    rest = (SourcedChain(index, replace(chain, slack=torch.zeros_like(slack))) for index, chain in others)
    return (SourcedChain(source, replace(first, slack=slack)), *rest)


def _paths(signal: Signal, sources: list[Signal]) -> tuple[list[tuple[int, Chain]], Tensor]:
    """Return the chains, and how far the run may be from their sum.

    Each affine layer adds its own rounding to what it makes of the rounding before it, and its bias once.
    """
    for index, source in enumerate(sources):
        if signal is source:
            slack = torch.zeros_like(signal.magnitude())
            return [(index, Chain((), (), slack))], slack
    if isinstance(signal, SumSignal):
        first, one = _paths(signal.first, sources)
        second, other = _paths(signal.second, sources)
        own = signal.magnitude() * signal.rounding.gamma(4 * signal.num_steps + 8)
        return first + second, one + other + own
    assert isinstance(signal, AffineSignal)
    found, slack = _paths(signal.source, sources)
    shape = signal.source.magnitude().shape[1:]
    unbiased = replace(signal.map, bias=torch.zeros_like(signal.map.bias))
    maps = [signal.map] + [unbiased] * (len(found) - 1)
    longer = [
        (index, replace(chain, maps=(*chain.maps, layer), shapes=(*chain.shapes, shape)))
        for (index, chain), layer in zip(found, maps, strict=True)
    ]
    own = signal.map.slack(signal.source.magnitude(), signal.rounding, 4 * signal.num_steps + 8)
    return longer, signal.map.absolute(slack) + own
