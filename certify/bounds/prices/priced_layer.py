"""One spiking layer of a priced bound: its open neurons, pair by pair with the specifications."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.deadline import check_time
from ..cells.automaton import CellTrains
from ..trains.train_table import TableTrains
from .price_cells import PricedCells, charged, collected
from .price_graph import PricedGraph
from .price_table import PricedTable
from .stages import Stage, priceable


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
        priced: the pairs' tables, graphs or cells. Behind cells, prices are on filtered currents.
        settled: spikes of the neurons whose train is certain, 0 elsewhere, (T, S, ...).
        scale: a[t] of the prices' currents: 1 behind a table, whose current is priced unscaled, (steps,).
        slack: what rounding may add to what each price is on, (steps, P).
        reach: a bound of the potentials and currents of each pair, times λ^{−(T−1)} behind a graph and T behind
            cells, (P,).
    """

    stage: Stage
    samples: Tensor
    pairs: tuple[Tensor, Tensor]
    priced: PricedTable | PricedGraph | PricedCells
    settled: Tensor
    scale: Tensor
    slack: Tensor
    reach: Tensor

    @staticmethod
    def of(stage: Stage, samples: Tensor) -> "PricedLayer":
        """Return the layer for specifications about `samples`, (S,)."""
        check_time()
        spikes = stage.found.steps()
        shape = spikes.lower.shape[2:]
        fixed = (spikes.lower == spikes.upper).flatten(2).all(0)
        if stage.split is not None:
            fixed &= ~stage.split.flatten(1)
        pairs = (~fixed)[samples].nonzero(as_tuple=True)
        where = (samples[pairs[0]], pairs[1])
        settled = torch.where(fixed, spikes.lower.flatten(2), 0.0)[:, samples].unflatten(2, shape)
        priced = _priced(stage, where)
        scale = _input_scale(stage)
        return PricedLayer(
            stage=stage,
            samples=samples,
            pairs=(pairs[0], pairs[1]),
            priced=priced,
            settled=settled,
            scale=scale,
            slack=_slack(stage, scale, where),
            reach=_reach(stage, scale, where),
        )

    @property
    def lasting(self) -> Tensor:
        """Return how much larger a price must be than a coefficient on one spike, (steps, 1).

        It is T/2 on a constant current, 0 where no price reaches the layer, and behind cells what a spike takes
        away from what is filtered: (1 − λ)/d, and 1/d at the end.
        """
        steps = len(self.settled)
        ones = torch.ones_like(self.scale)[:, None]
        if isinstance(self.priced, PricedTable):
            return ones * (steps / 2)
        if isinstance(self.priced, PricedGraph):
            return ones * float(priceable(self.stage))
        rule = self.stage.rule
        shares = ones * max(1.0 - rule.decay, 1.0 / steps)
        shares[-1] = 1.0
        return shares / rule.drop

    def start(self) -> Tensor:
        """Return prices of 0, (steps, P)."""
        return self.settled.new_zeros(len(self.scale), len(self.pairs[0]))

    def least(self, costs: Tensor, prices: Tensor, quick: bool = False) -> Least:
        """Return the minimum of Σ_t costs[t]·s[t] − prices[t]·c[t] over the layer's trains and currents."""
        check_time()
        chosen = costs.flatten(2)[:, self.pairs[0], self.pairs[1]]
        if isinstance(self.priced, PricedTable):
            value, spikes, currents = self.priced.least(chosen.T, prices[0])
            spikes, currents = spikes.T, currents[None]
        else:
            value, spikes, currents = self.priced.least(chosen, prices, quick)
        paid = value - (prices.abs() * self.slack).sum(0)
        weights = chosen.abs().sum(0)
        size = weights + prices.abs().sum(0) * self.reach
        trains = self.settled.flatten(2).clone()
        trains[:, self.pairs[0], self.pairs[1]] = spikes
        certain = (costs * self.settled).flatten(2).sum((0, 2))
        value = certain + self._summed(paid)
        return Least(value, self._summed(size), trains.view_as(self.settled), currents, weights)

    def spread(self, prices: Tensor) -> Tensor:
        """Return a[t]·prices on the unscaled currents of all neurons, (steps, S, ...)."""
        dense = self.settled.new_zeros(len(self.scale), *self.settled.shape[1:])
        if isinstance(self.priced, PricedCells):
            prices = charged(prices, self.stage.rule.decay)
        dense.flatten(2)[:, self.pairs[0], self.pairs[1]] = prices * self.scale[:, None]
        return dense

    def collected(self, currents: Tensor) -> Tensor:
        """Return what prices are on, for unscaled currents (steps, P): scaled and, behind cells, filtered ones."""
        scaled = currents * self.scale[:, None]
        return collected(scaled, self.stage.rule.decay) if isinstance(self.priced, PricedCells) else scaled

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
        return self.collected(made) - currents - prices.sign() * self.slack

    def allowed(self, prices: Tensor) -> Tensor:
        """Return the prices, or 0 where none reach the layer."""
        return prices if priceable(self.stage) else torch.zeros_like(prices)

    def _summed(self, per_pair: Tensor) -> Tensor:
        return per_pair.new_zeros(len(self.samples)).index_add_(0, self.pairs[0], per_pair)


def _priced(stage: Stage, where: tuple[Tensor, Tensor]) -> PricedTable | PricedGraph | PricedCells:
    found = stage.found
    if isinstance(found, CellTrains):
        return PricedCells.of(found, where)
    if not isinstance(found, TableTrains):
        return PricedGraph.of(found, stage.rule.decay, where, stage.rule.kernel)
    flat = TableTrains(found.table, found.first.flatten(1), found.last.flatten(1))
    return PricedTable.of(flat, stage.lower[0].flatten(1), stage.upper[0].flatten(1), where)


def _input_scale(stage: Stage) -> Tensor:
    if isinstance(stage.found, TableTrains):
        return stage.lower.new_ones(1)
    return stage.lower.new_tensor(stage.rule.factors(stage.found.num_steps))


def _slack(stage: Stage, scale: Tensor, where: tuple[Tensor, Tensor]) -> Tensor:
    """Return the chain's rounding, scaled, and the recursion's, for each pair and step."""
    shape = stage.lower.shape[1:]
    slack = stage.branches[0].chain.slack.expand(shape).flatten(1)[where] * scale.abs()[:, None]
    found = stage.found
    if isinstance(found, TableTrains):  # the table already knows of the recursion's rounding
        return slack
    if isinstance(found, CellTrains):
        return collected(slack + found.inflow.slack.flatten(1)[where], stage.rule.decay)
    return slack + found.drives.slack.flatten(1)[where]


def _reach(stage: Stage, scale: Tensor, where: tuple[Tensor, Tensor]) -> Tensor:
    widest = stage.lower.abs().maximum(stage.upper.abs()).amax(0).flatten(1)[where] * scale.abs().max()
    if isinstance(stage.found, TableTrains):
        return widest
    if isinstance(stage.found, CellTrains):
        return (widest + stage.rule.span) * stage.found.num_steps**2
    decay, steps = stage.rule.decay if priceable(stage) else 1.0, stage.found.num_steps
    return (widest + stage.rule.span) * steps / decay ** (steps - 1)
