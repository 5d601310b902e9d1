"""The affine layers between two signals as one exact map, with the rounding that the run adds to it.

A max pool is no affine layer, and a synapse is one over time. A chain behind either starts from it, and it
remembers the chains in front of it. A layer that hears itself is such a synapse of its own spikes: a delay.

A max pool in a priced bound (F13): what is linear in its entries stands for the maximum.

For entries with ends [l_j, h_j], k the entry of the greatest l and, among these, of the greatest h:

    max_j x_j = x_k       where no other entry's h passes l_k, whatever the sign of a price
    max_j x_j ≥ x_k       for a price A ≥ 0
    max_j x_j ≤ max h     for a price A < 0

Of spikes the first line holds where one of them is certain, or one alone is possible. So behind decided spikes
nothing is lost. Rounding: the entries are the run's own, of which the maximum is one; float64 sums up prices and
constants, at most `4·(terms + 16)·u` of the sum of moduli.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod

import torch
from torch import Tensor

from ....models.elements.layers import MaxWindows
from ...rounding import over_time, weighted_slack
from ..trains.recurrent import DelayedSpikes
from .affine import AffineMap
from .derived import ChosenSignal, FilteredSignal, JoinedSignal, PooledSignal, SharedSignal, placed
from .signals import AffineSignal, Signal, SumSignal
from .windows import Box


@dataclass(frozen=True)
class PoolLines:
    """What stands for each maximum, (1 or T, batch, outputs) each.

    Attributes:
        chosen: k, as an entry of the flattened signal.
        exact: whether the maximum is x_k.
        highest: max h.
        size: a bound of |x_k| and of |max h|.
        features: the shape of x, without batch.
        terms: how many prices one entry adds up, at most.
    """

    chosen: Tensor
    exact: Tensor
    highest: Tensor
    size: Tensor
    features: torch.Size
    terms: int

    @staticmethod
    def of(windows: MaxWindows, ends: Box) -> "PoolLines":
        """Return the lines of a pool whose entries lie between `ends`, (1 or T, batch, ...)."""
        features = ends.lower.shape[2:]
        places = windows.places(tuple(features)).to(ends.lower.device).flatten(0, -2)
        low, high = (_windowed(end, places) for end in (ends.lower, ends.upper))
        greatest = low.amax(-1, keepdim=True)
        place = torch.where(low == greatest, high, -torch.inf).argmax(-1, keepdim=True)
        others = high.scatter(-1, place, -torch.inf).amax(-1)
        chosen = places.expand(high.shape).gather(-1, place).squeeze(-1)
        highest = high.amax(-1)
        own = high.gather(-1, place).squeeze(-1).abs().maximum(greatest.squeeze(-1).abs())
        exact = others <= greatest.squeeze(-1)
        return PoolLines(chosen, exact, highest, own.maximum(highest.abs()), features, windows.count)

    def pulled(self, prices: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g, constant) with Σ prices·max ≥ Σ g·x + constant for each specification, float64's error paid.

        Args:
            prices: on the maxima, (time, S, ...).
            samples: which row of the batch each specification is about, (S,).
        """
        known, flat = self._about(samples), prices.flatten(2)
        kept = torch.where((flat >= 0) | known.exact, flat, 0.0)
        shape = (*prices.shape[:2], prod(self.features))
        pulled = prices.new_zeros(shape).scatter_add_(2, known.chosen.expand_as(flat), kept)
        constant = ((flat - kept) * known.highest).sum((0, 2))
        total = (flat.abs() * known.size).sum((0, 2))
        error = 4 * (len(flat) * flat.shape[2] + self.terms + 16) * torch.finfo(prices.dtype).eps
        return pulled.unflatten(2, self.features), constant - error * total

    def values(self, prices: Tensor, x: Tensor, samples: Tensor) -> Tensor:
        """Return what stands for the maxima of x, (1 or T, S, ...), at the signs of `prices`, flattened."""
        known, flat = self._about(samples), prices.flatten(2)
        steps = max(len(flat), len(x), len(known.chosen))
        chosen = known.chosen.expand(steps, -1, -1)
        own = x.flatten(2).expand(steps, -1, -1).gather(2, chosen)
        return torch.where((flat >= 0) | known.exact, own, known.highest)

    def _about(self, samples: Tensor) -> "PoolLines":
        """Return the lines of the batch's rows `samples`."""
        rows = (each[:, samples] for each in (self.chosen, self.exact, self.highest, self.size))
        chosen, exact, highest, size = rows
        return replace(self, chosen=chosen, exact=exact, highest=highest, size=size)


def _windowed(ends: Tensor, places: Tensor) -> Tensor:
    """Return each window's entries, (1 or T, batch, outputs, n); −inf where there is none."""
    return torch.nn.functional.pad(ends.flatten(2), (0, 1), value=-torch.inf)[..., places]


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
class PooledBranches:
    """A max pool of a sum of chains, with what stands for its maxima.

    Attributes:
        branches: whose sum it pools; the run's own entries stray from that by the first one's slack.
        lines: of its windows.
        pool: the signal.
    """

    branches: tuple["SourcedChain", ...]
    lines: PoolLines
    pool: PooledSignal

    @staticmethod
    def of(pool: PooledSignal, sources: list[Signal]) -> "PooledBranches":
        """Return a pool behind chains from `sources`."""
        return PooledBranches(
            branches_of(pool.source, sources), PoolLines.of(pool.windows, pool.source.steps()), pool
        )

    def pulled(self, prices: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return `PoolLines.pulled` about the chains in place of the run's own entries: their rounding is paid."""
        pulled, constant = self.lines.pulled(prices, samples)
        slack = self.branches[0].chain.slack
        slack = slack.expand(self.lines.chosen.shape[1], *self.lines.features)[samples]
        paid = (pulled.abs() * slack).flatten(2).sum((0, 2))
        return pulled, constant - paid * (1.0 + 1e-6)

    def carried(self, signals: Sequence[Tensor], prices: Tensor, samples: Tensor) -> Tensor:
        """Return what stands for the maxima of what `signals` make, at prices (time, S, ...) on them."""
        pulled, _ = self.lines.pulled(prices, samples)
        total = _carried(self.branches, signals, pulled, samples)
        return self.lines.values(prices, total, samples).unflatten(2, prices.shape[2:])

    def reach(self, widths: Iterator[Tensor]) -> Tensor:
        """Return how far the maxima move at most for sources that move by the next of `widths`."""
        return self.pool.windows.total(_reach(self.branches, widths))


@dataclass(frozen=True)
class FilteredBranches:
    """A filter over time of a sum of chains: prices p on H·x are prices Hᵀ·p on x, and nothing is lost.

    Attributes:
        branches: whose sum it filters; how far the run strays from that is in the slack behind the filter.
        rows: H, (T, T).
    """

    branches: tuple["SourcedChain", ...]
    rows: Tensor

    def pulled(self, prices: Tensor, samples: Tensor) -> tuple[Tensor, float]:
        """Return Hᵀ·prices, (T, S, ...), and the constant 0."""
        return torch.tensordot(self.rows.T, prices, 1), 0.0

    def carried(self, signals: Sequence[Tensor], prices: Tensor, samples: Tensor) -> Tensor:
        """Return H·x of what `signals` make, at prices (T, S, ...) on it."""
        pulled, _ = self.pulled(prices, samples)
        total = _carried(self.branches, signals, pulled, samples)
        return torch.tensordot(self.rows, total.expand(len(self.rows), *total.shape[1:]), 1)

    def reach(self, widths: Iterator[Tensor]) -> Tensor:
        """Return how far it moves at most for sources that move by the next of `widths` at each step."""
        return _reach(self.branches, widths) * self.rows.sum(1).max()


@dataclass(frozen=True)
class SourcedChain:
    """A chain from an earlier signal.

    Attributes:
        origin: 0 for the input, i for the spikes of stage i, from 1, the stage's own ones for what it hears of
            itself; or a max pool or a filter of such chains.
        chain: from there.
    """

    origin: int | PooledBranches | FilteredBranches
    chain: Chain

    @property
    def sources(self) -> tuple[int, ...]:
        """Return where it starts, those of pools and filters in order."""
        if isinstance(self.origin, int):
            return (self.origin,)
        return tuple(source for branch in self.origin.branches for source in branch.sources)

    @property
    def direct(self) -> bool:
        """Return whether it starts from a signal itself, and not from a max pool or a filter."""
        return isinstance(self.origin, int)

    def reach(self, widths: Iterator[Tensor]) -> Tensor:
        """Return how far it moves at most for sources that move by the next of `widths`, (batch, ...)."""
        if isinstance(self.origin, int):
            return self.chain.reach(next(widths))
        return self.chain.reach(self.origin.reach(widths))

    def carried(self, signals: Sequence[Tensor], prices: Tensor, samples: Tensor) -> Tensor:
        """Return what it makes of signals, (1 or T, S, ...).

        Args:
            signals: the input and each stage's spikes.
            prices: on its outputs, (time, S, ...), for which maxima become linear.
            samples: which row of the batch each specification is about.
        """
        if isinstance(self.origin, int):
            signal = signals[self.origin]
        else:
            pulled, _ = self.chain.pull_back(prices.flatten(0, 1))
            signal = self.origin.carried(signals, pulled.unflatten(0, prices.shape[:2]), samples)
        return self.chain.apply(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])


Origin = int | PooledBranches | FilteredBranches


def _carried(
    branches: tuple[SourcedChain, ...], signals: Sequence[Tensor], prices: Tensor, samples: Tensor
) -> Tensor:
    """Return the sum of what chains make of `signals`, at prices on it."""
    first, *others = (branch.carried(signals, prices, samples) for branch in branches)
    return sum(others, first)


def _reach(branches: tuple[SourcedChain, ...], widths: Iterator[Tensor]) -> Tensor:
    """Return how far a sum of chains moves at most."""
    return torch.stack([branch.reach(widths) for branch in branches]).sum(0)


def branches_of(signal: Signal, sources: list[Signal]) -> tuple[SourcedChain, ...]:
    """Return the chains from `sources` whose sum is `signal`."""
    found, slack = paths(signal, sources)
    (origin, first), *others = found
    rest = (SourcedChain(index, replace(chain, slack=torch.zeros_like(slack))) for index, chain in others)
    return (SourcedChain(origin, replace(first, slack=slack)), *rest)


def paths(signal: Signal, sources: list[Signal]) -> tuple[list[tuple[Origin, Chain]], Tensor]:
    """Return the chains, and how far the run may be from their sum.

    Each affine layer adds its own rounding to what it makes of the rounding before it, and its bias once. A pool
    adds what a sum over time of its outputs may lose; a filter adds its own rounding to Σ κ^n times the rounding
    before it.
    """
    for index, source in enumerate(sources):
        if signal is source:
            slack = torch.zeros_like(signal.magnitude())
            return [(index, Chain((), (), slack))], slack
    if isinstance(signal, SharedSignal):
        return paths(signal.source, sources)
    if isinstance(signal, JoinedSignal):
        return _joined_paths(signal, sources)
    if isinstance(signal, SumSignal):
        first, one = paths(signal.first, sources)
        second, other = paths(signal.second, sources)
        own = weighted_slack(signal.magnitude(), signal.num_steps, signal.rounding)
        return first + second, one + other + own
    if isinstance(signal, PooledSignal):
        own = weighted_slack(signal.magnitude(), signal.num_steps, signal.rounding)
        return [(PooledBranches.of(signal, sources), Chain((), (), torch.zeros_like(own)))], own
    if isinstance(signal, FilteredSignal):
        branches = branches_of(signal.source, sources)
        slack = branches[0].chain.slack * signal.filter.gain(signal.num_steps) + signal.slack
        rows = signal.filter.rows(signal.num_steps).to(slack)
        return [(FilteredBranches(branches, rows), Chain((), (), torch.zeros_like(slack)))], slack
    if isinstance(signal, ChosenSignal):
        return _chosen_paths(signal, sources)
    if isinstance(signal, DelayedSpikes):
        slack = torch.zeros_like(signal.magnitude())
        start, delay = Chain((), (), slack), torch.ones(signal.num_steps - 1).diag(-1).to(slack)
        return [(FilteredBranches((SourcedChain(len(sources), start),), delay), start)], slack
    assert isinstance(signal, AffineSignal)
    found, slack = paths(signal.source, sources)
    shape = signal.source.magnitude().shape[1:]
    unbiased = replace(signal.map, bias=torch.zeros_like(signal.map.bias))
    maps = [signal.map] + [unbiased] * (len(found) - 1)
    longer = [
        (index, replace(chain, maps=(*chain.maps, layer), shapes=(*chain.shapes, shape)))
        for (index, chain), layer in zip(found, maps, strict=True)
    ]
    own = signal.map.slack(signal.source.magnitude(), signal.rounding, over_time(signal.num_steps))
    return longer, signal.map.absolute(slack) + own


def _chosen_paths(signal: ChosenSignal, sources: list[Signal]) -> tuple[list[tuple[Origin, Chain]], Tensor]:
    """Return the chains of each step behind a filter that lets nothing else through: their sum is exact."""
    parts = [branches_of(source, sources) for source in signal.sources]
    slack = reduce(torch.maximum, (branches[0].chain.slack for branches in parts)) + signal.slack
    kept = torch.eye(signal.num_steps).to(slack)
    start = Chain((), (), torch.zeros_like(slack))
    return [
        (FilteredBranches(branches, row.diag()), start) for branches, row in zip(parts, kept, strict=True)
    ], slack


def _joined_paths(signal: JoinedSignal, sources: list[Signal]) -> tuple[list[tuple[Origin, Chain]], Tensor]:
    """Return the chain of each part, which puts it at its places among zeros: their sum is exact."""
    slack, found = torch.zeros_like(signal.magnitude()), []
    for part, places in zip(signal.parts, signal.places, strict=True):
        (index,) = (index for index, source in enumerate(sources) if source is part)
        shape = torch.Size([len(places)])
        found.append((index, Chain((placed(places, signal.features),), (shape,), torch.zeros_like(slack))))
    return found, slack
