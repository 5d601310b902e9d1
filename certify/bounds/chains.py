"""The affine layers between two signals as one exact map, with the rounding that the run adds to it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .affine import AffineMap
from .signals import AffineSignal, Signal, SumSignal


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

    def matrix(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Return the chain as a matrix, (outputs, features), and its bias, (outputs,), for outputs of `shape`."""
        if len(self.maps) == 1 and self.maps[0].weights is not None:
            weight = self.maps[0].weights[0]
            return weight, self.maps[0].bias.expand(len(weight))
        unit = torch.eye(shape.numel(), dtype=self.slack.dtype, device=self.slack.device).view(-1, *shape)
        pulled, bias = self.pull_back(unit)
        return pulled.flatten(1), bias

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


def branches_of(signal: Signal, sources: list[Signal]) -> tuple[SourcedChain, ...]:
    """Return the chains from `sources` whose sum is `signal`."""
    found, slack = paths(signal, sources)
    (source, first), *others = found
    rest = (SourcedChain(index, replace(chain, slack=torch.zeros_like(slack))) for index, chain in others)
    return (SourcedChain(source, replace(first, slack=slack)), *rest)


def paths(signal: Signal, sources: list[Signal]) -> tuple[list[tuple[int, Chain]], Tensor]:
    """Return the chains, and how far the run may be from their sum.

    Each affine layer adds its own rounding to what it makes of the rounding before it, and its bias once.
    """
    for index, source in enumerate(sources):
        if signal is source:
            slack = torch.zeros_like(signal.magnitude())
            return [(index, Chain((), (), slack))], slack
    if isinstance(signal, SumSignal):
        first, one = paths(signal.first, sources)
        second, other = paths(signal.second, sources)
        own = signal.magnitude() * signal.rounding.gamma(4 * signal.num_steps + 8)
        return first + second, one + other + own
    assert isinstance(signal, AffineSignal)
    found, slack = paths(signal.source, sources)
    shape = signal.source.magnitude().shape[1:]
    unbiased = replace(signal.map, bias=torch.zeros_like(signal.map.bias))
    maps = [signal.map] + [unbiased] * (len(found) - 1)
    longer = [
        (index, replace(chain, maps=(*chain.maps, layer), shapes=(*chain.shapes, shape)))
        for (index, chain), layer in zip(found, maps, strict=True)
    ]
    own = signal.map.slack(signal.source.magnitude(), signal.rounding, 4 * signal.num_steps + 8)
    return longer, signal.map.absolute(slack) + own
