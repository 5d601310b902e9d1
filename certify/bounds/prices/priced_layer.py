"""One spiking layer of a priced bound: its open neurons, pair by pair with the specifications."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from ....models.deadline import check_time
from ..cells.automaton import CellTrains
from ..trains.base import Trains
from ..trains.train_graph import GraphTrains
from ..trains.train_table import TableTrains
from .price_cells import priced_cells
from .price_graph import priced_graph
from .price_table import priced_table
from .priced import Pricing
from .stages import Stage

MOST_SIZE = 1e290
"""The greatest sum of moduli of which anything is said."""


@dataclass(frozen=True)
class Least:
    """The minimum of a layer's part of the bound.

    Attributes:
        value: per specification, slack paid, (S,).
        size: the sum of moduli that went into it, (S,).
        spikes: what attains it, (T, S, ...).
        currents: of the priced neurons, as their prices are about them, (steps, P).
        weights: how much a spike of each priced neuron costs, Σ_t |costs[t]|, (P,).
    """

    value: Tensor
    size: Tensor
    spikes: Tensor
    currents: Tensor
    weights: Tensor


@dataclass(frozen=True)
class PricedLayer:
    """A layer for S specifications; only neurons whose train is open carry a price.

    Attributes:
        stage: the layer.
        samples: which row of the batch each specification is about, (S,).
        pairs: specification and (flat) neuron of each price, P each.
        settled: spikes of the neurons whose train is certain, 0 elsewhere, (T, S, ...).
        priced: the pairs' trains.
    """

    stage: Stage
    samples: Tensor
    pairs: tuple[Tensor, Tensor]
    settled: Tensor
    priced: Pricing

    @staticmethod
    def of(stage: Stage, samples: Tensor) -> "PricedLayer":
        """Return the layer for specifications about `samples`, (S,)."""
        check_time()
        spikes = stage.trains.steps()
        shape = spikes.lower.shape[2:]
        fixed = (spikes.lower == spikes.upper).flatten(2).all(0)
        if stage.split is not None:
            fixed &= ~stage.split.flatten(1)
        pairs = (~fixed)[samples].nonzero(as_tuple=True)
        where = (samples[pairs[0]], pairs[1])
        settled = torch.where(fixed, spikes.lower.flatten(2), 0.0)[:, samples].unflatten(2, shape)
        return PricedLayer(stage, samples, (pairs[0], pairs[1]), settled, priced(stage.trains, stage, where))

    def start(self) -> Tensor:
        """Return prices of 0, (steps, P)."""
        return self.settled.new_zeros(len(self.priced.scale), len(self.pairs[0]))

    def least(self, costs: Tensor, prices: Tensor) -> Least:
        """Return the minimum of Σ_t costs[t]·s[t] − prices[t]·c[t] over the layer's trains and currents.

        All that is added up on the way is at most `size`, so where that is not huge nothing overflows, and no NaN
        hides in a comparison; of the others nothing is said: −∞.
        """
        check_time()
        chosen = costs.flatten(2)[:, self.pairs[0], self.pairs[1]]
        weights = chosen.abs().sum(0)
        size = weights + prices.abs().sum(0) * self.priced.reach
        tame = size <= MOST_SIZE
        asked = (torch.where(tame, each, 0.0) for each in (chosen, prices))
        value, spikes, currents = self.priced.trains.least(*asked)
        paid = value.masked_fill(~tame, -torch.inf) - (prices.abs() * self.priced.slack).sum(0)
        trains = self.settled.flatten(2).clone()
        trains[:, self.pairs[0], self.pairs[1]] = spikes
        certain = (costs * self.settled).flatten(2).sum((0, 2))
        value = certain + self._summed(paid)
        return Least(value, self._summed(size), trains.view_as(self.settled), currents, weights)

    def spread(self, prices: Tensor) -> Tensor:
        """Return a[t]·prices on the unscaled currents of all neurons, (steps, S, ...)."""
        scale = self.priced.scale
        dense = self.settled.new_zeros(len(scale), *self.settled.shape[1:])
        dense.flatten(2)[:, self.pairs[0], self.pairs[1]] = self.priced.trains.charged(prices) * scale[:, None]
        return dense

    def collected(self, currents: Tensor) -> Tensor:
        """Return what prices are on, for unscaled currents (steps, P): scaled and, behind cells, filtered ones."""
        return self.priced.trains.collected(currents * self.priced.scale[:, None])

    def gradient(self, signals: Sequence[Tensor], currents: Tensor, prices: Tensor) -> Tensor:
        """Return the supergradient: currents that the signals make, less those of the minimiser, less slack.

        Args:
            signals: the input and each stage's spikes, (1 or T, S, ...) each, as `SourcedChain.origin` counts.
            currents: of the minimiser, (steps, P).
            prices: (steps, P).
        """
        made, branches = torch.zeros_like(currents), self.stage.branches
        dense = self.spread(prices) if not all(branch.direct for branch in branches) else prices
        for branch in branches:
            part = branch.carried(signals, dense, self.samples)
            made = made + part.flatten(2)[:, self.pairs[0], self.pairs[1]]
        return self.collected(made) - currents - prices.sign() * self.priced.slack

    def allowed(self, prices: Tensor) -> Tensor:
        """Return the prices, or 0 where none reach the layer."""
        return prices if self.stage.priceable else torch.zeros_like(prices)

    def _summed(self, per_pair: Tensor) -> Tensor:
        return per_pair.new_zeros(len(self.samples)).index_add_(0, self.pairs[0], per_pair)


@singledispatch
def priced(found: Trains, stage: Stage, pairs: tuple[Tensor, Tensor]) -> Pricing:
    """Return the priced trains of pairs (sample, neuron) of a layer."""
    raise TypeError(f"trains: got {type(found).__name__}, which no prices reach")


priced.register(TableTrains, priced_table)
priced.register(GraphTrains, priced_graph)
priced.register(CellTrains, priced_cells)
