"""Prices on the currents of one layer: what each family of trains makes of them.

One spiking layer of a priced bound: its open neurons, pair by pair with the specifications.

F9 with prices: a shortest path over the cells of a layer that subtracts, with prices on its filtered currents.

For prices κ on L[t] = u[t] + d·S[t] (automaton.py), with S[t] = Σ_{k≤t} λ^{t−k}·s[k] of the path itself,

    Σ_t A[t]·s[t] − κ[t]·L[t] = Σ_t A'[t]·s[t] − κ[t]·u[t],    A'[k] = A[k] − d·Σ_{t≥k} λ^{t−k}·κ[t],

so a path pays A' for each spike and at each step the least −κ·u of the cell that it comes to, before any merge.
What merging forgets of S costs nothing here: the path knows its own train. Σ κ·L is linear in the layer before.

F6: the priced graph of a later neuron: a shortest path whose edges know the currents that they need.

With prices μ on the scaled currents c, edge τ → t costs A[t] + E[τ,t], where E is the least −Σ_{τ<k≤t} μ_k·c_k
over currents in their boxes with v_k ≤ θ for k < t, v_t ≥ θ, and L_k ≤ v_k ≤ U_k. As a function of the potential
reached, that least cost is convex and piecewise linear:

    F_k(v) = min over c in [l_k, u_k] of F_{k−1}((v − c)/λ) − μ_k·c,

so F_k consists of one segment for each current, of slope −μ_i·λ^{i−k} (and, where a reset leaves a potential in
an interval, one of slope 0 for that). Their order does not change with k, and one sort serves all steps. F_k is
kept as the ends e_0 ≤ e_1 ≤ … of its segments, in that order, and its value at e_0:

    a step:        e_j ← λ·e_j + l_k, and + (u_k − l_k) for the ends above segment k;
    a bound on v:  e_j ← min(max(e_j, bottom), top);
    a value:       F(v) = F(e_0) + Σ_j slope_j·(min(e_{j+1}, v) − min(e_j, v)).

Currents that are still to come have segments of length 0. paths.c walks pairs of a specification and a neuron side
by side, in blocks that stay in cache.

Rounding: a path adds up at most 2·T values F(v), of at most T + 2 products each, whose factors were made by at
most 2·T operations: less than 200·T² in any order, and so many u of the sum of all moduli are paid (prices.py).

F3: the priced table of a first-layer neuron.

With price ν on the neuron's current I, min over I in [l, u] of Σ_t A[t]·s[t](I) − ν·I is attained at an end of a
row of the table cut to [l, u], since the train is constant on a row: a minimum over the rows' corners.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, singledispatch

import torch
from torch import Tensor

from ....kernels.graph import PackedGraphs, paths_kernel
from ....models.deadline import check_time
from ....models.rules import Leaky
from ..cells.automaton import NOWHERE, Cells, CellTrains, candidates, merged, targets
from ..trains.train_graph import GraphTrains, slope_decay
from ..trains.train_table import TableTrains, TrainRows, Trains
from .stages import Stage


class Priced(ABC):
    """The trains of P pairs of a specification and a neuron, each of which has prices of its own."""

    @abstractmethod
    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] − prices[t]·c[t], and the spikes and what was priced there.

        Args:
            costs: A, (T, P).
            prices: on the scaled currents c, or on what they are `collected` to, (steps, P).

        Returns:
            Values (P,), spikes (T, P), currents (steps, P).
        """

    def rows(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the least on each row of a table by itself, (P, W), and each pair's first row, (P,); or None."""
        return None

    @property
    def graph(self) -> "PricedGraph | None":
        """Return these trains, where they are paths of a graph."""
        return None

    def collected(self, currents: Tensor) -> Tensor:
        """Return what the prices are on, for scaled currents (steps, P)."""
        return currents

    def charged(self, prices: Tensor) -> Tensor:
        """Return what prices mean for each scaled current, (steps, P): the adjoint of `collected`."""
        return prices


@dataclass(frozen=True)
class Pricing:
    """The priced trains of a layer, and what its prices are about.

    Attributes:
        trains: of P pairs.
        scale: a[t] of the prices' currents, (steps,).
        slack: what rounding may add to what each price is on, (steps, P).
        reach: a bound of what each pair's prices are on, and of what else its least value is made of, (P,).
        lasting: how much larger a price must be than a coefficient on one spike, (steps, 1); 0 where no price
            reaches the layer.
    """

    trains: Priced
    scale: Tensor
    slack: Tensor
    reach: Tensor
    lasting: Tensor


PART = 4096
"""Pairs that go at once."""


@dataclass(frozen=True)
class PricedCells(Priced):
    """The cells of the open neurons of a layer, for P pairs of a specification and a neuron.

    Attributes:
        rule: of the layer.
        moves: which cell each candidate merges into, K where it does not exist, (T, 2K, P).
        low, high: of the potential that each candidate leaves, (T, 2K, P).
    """

    rule: Leaky
    moves: Tensor
    low: Tensor
    high: Tensor

    @staticmethod
    def of(found: CellTrains, pairs: tuple[Tensor, Tensor]) -> "PricedCells":
        """Return the cells of pairs (sample, neuron)."""
        inflow, rule, count = found.inflow.at(*pairs), found.rule, found.count
        cells, moves, low, high = Cells.start(inflow.slack, count), [], [], []
        for t in range(found.num_steps):
            reached = candidates(cells, inflow, t, rule, 0.0, 1.0)
            target = targets(reached, count)
            moves.append(torch.where(target == NOWHERE, count, target))
            low.append(reached.low.masked_fill(~reached.alive, 0.0))
            high.append(reached.high.masked_fill(~reached.alive, 0.0))
            cells = merged(reached, target, count)
        return PricedCells(rule, torch.stack(moves), torch.stack(low), torch.stack(high))

    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min over paths of Σ_t costs[t]·s[t] − κ[t]·L[t], and the spikes and the L there."""
        parts = [slice(start, start + PART) for start in range(0, max(1, costs.shape[1]), PART)]
        found = [self._part(part)._shortest(costs[:, part], prices[:, part]) for part in parts]
        values, spikes, currents = (torch.cat(tensors, -1) for tensors in zip(*found, strict=True))
        return values, spikes, currents

    def collected(self, currents: Tensor) -> Tensor:
        """Return the filtered currents L."""
        return collected(currents, self.rule.decay)

    def charged(self, prices: Tensor) -> Tensor:
        """Return what prices on L mean for each current."""
        return charged(prices, self.rule.decay)

    def _part(self, pairs: slice) -> "PricedCells":
        return replace(self, moves=self.moves[..., pairs], low=self.low[..., pairs], high=self.high[..., pairs])

    def _shortest(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = costs - self.rule.drop * charged(prices, self.rule.decay)
        count = self.moves.shape[1] // 2
        length = costs.new_full((count, costs.shape[1]), torch.inf)
        length[0] = 0.0
        reached: list[Tensor] = []
        for t, moves in enumerate(self.moves):
            left = torch.where(prices[t] > 0, self.high[t], self.low[t])
            lengths = torch.cat((length, length + own[t])) - prices[t] * left
            reached.append(lengths.masked_fill_(moves == count, torch.inf))
            least = length.new_full((count + 1, length.shape[1]), torch.inf)
            length = least.scatter_reduce_(0, moves, reached[t], "amin")[:count]
        value, last = length.min(0)
        return value, *self._walk_back(reached, last, prices)

    def _walk_back(self, reached: list[Tensor], last: Tensor, prices: Tensor) -> tuple[Tensor, Tensor]:
        """Follow the shortest path back from its last cell; return its spikes and its L, (T, P) each."""
        count, cell = self.moves.shape[1] // 2, last
        spikes, left = torch.empty_like(prices), torch.empty_like(prices)
        for t in range(len(prices) - 1, -1, -1):
            there = reached[t].masked_fill(self.moves[t] != cell, torch.inf)
            origin = there.argmin(0)
            spikes[t] = origin >= count
            ends = torch.where(prices[t] > 0, self.high[t], self.low[t])
            left[t] = ends.gather(0, origin[None]).squeeze(0)
            cell = origin % count
        return spikes, left + self.rule.drop * collected(spikes, self.rule.decay)


def priced_cells(found: CellTrains, stage: Stage, pairs: tuple[Tensor, Tensor]) -> Pricing:
    """Return the priced cells of pairs (sample, neuron): prices are on filtered currents, which grow T times.

    A spike takes (1 − λ)/d of a price away from what is filtered, and 1/d at the end.
    """
    rule, steps, scale = stage.rule, found.num_steps, stage.scale
    shares = torch.ones_like(scale)[:, None] * max(1.0 - rule.decay, 1.0 / steps)
    shares[-1] = 1.0
    return Pricing(
        PricedCells.of(found, pairs),
        scale,
        slack=collected(stage.slack(scale, pairs) + found.inflow.slack.flatten(1)[pairs], rule.decay),
        reach=(stage.widest(scale, pairs) + rule.span) * steps**2,
        lasting=shares / rule.drop,
    )


def collected(values: Tensor, decay: float) -> Tensor:
    """Return Σ_{k≤t} decay^{t−k}·values[k] for each t, (T, ...)."""
    found = [values[0]]
    for value in values[1:]:
        found.append(value + decay * found[-1])
    return torch.stack(found)


def charged(prices: Tensor, decay: float) -> Tensor:
    """Return Σ_{t≥k} decay^{t−k}·prices[t] for each k, (T, ...): what prices on L mean for each current."""
    return collected(prices.flip(0), decay).flip(0)


@dataclass(frozen=True)
class PricedGraph(Priced):
    """The graphs of the open neurons of a layer, for P pairs of a specification and a neuron.

    Attributes:
        decay: λ > 0.
        lower, upper: boxes of the scaled currents, (T, P).
        low, high: potentials since τ, [t−1] is (t, P).
        edges: [t−1] is (t, P) of bool; ends: (T + 1, P) of bool.
        surely, perhaps: θ ± tie.
        starts: the potentials left over after a spike at τ, low and high, each (T + 1, P); None for 0.
    """

    decay: float
    lower: Tensor
    upper: Tensor
    low: tuple[Tensor, ...]
    high: tuple[Tensor, ...]
    edges: tuple[Tensor, ...]
    ends: Tensor
    surely: float
    perhaps: float
    starts: tuple[Tensor, Tensor] | None = None

    @property
    def graph(self) -> "PricedGraph":
        """Return these trains."""
        return self

    @staticmethod
    def of(found: GraphTrains, decay: float, pairs: tuple[Tensor, Tensor]) -> "PricedGraph":
        """Return the graphs of pairs (sample, neuron); `found` has its neurons flattened, (..., batch, neuron)."""

        def pick(tensor: Tensor) -> Tensor:
            return tensor.flatten(2)[:, pairs[0], pairs[1]]

        left = found.left
        return PricedGraph(
            decay,
            pick(found.drives.lower),
            pick(found.drives.upper),
            tuple(pick(low) for low, _ in found.reach),
            tuple(pick(high) for _, high in found.reach),
            tuple(pick(edge) for edge in found.edges),
            pick(found.ends),
            *found.drives.limits,
            None if left is None else (pick(left[0]), pick(left[1])),
        )

    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min over paths of Σ_t costs[t]·s[t] − Σ_t μ[t]·c[t], and the spikes and currents there."""
        found = paths_kernel().least(self.packed, costs.cpu(), prices.cpu())
        return found[0].to(costs.device), found[1].to(costs.device), found[2].to(costs.device)

    @cached_property
    def packed(self) -> PackedGraphs:
        """The same graphs as the compiled kernel reads them."""
        constants = (self.decay, slope_decay(self.decay, len(self.lower)), self.surely, self.perhaps)
        triangles = (torch.cat(rows) for rows in (self.low, self.high, self.edges))
        return PackedGraphs.of(constants, (self.lower, self.upper, *triangles, self.ends, *(self.starts or ())))


def priced_graph(found: GraphTrains, stage: Stage, pairs: tuple[Tensor, Tensor]) -> Pricing:
    """Return the priced graphs of pairs (sample, neuron): prices are on scaled currents.

    What they reach counts λ^{−(T−1)} times.
    """
    rule, steps, scale = stage.rule, found.num_steps, stage.scale
    return Pricing(
        PricedGraph.of(found, rule.decay, pairs),
        scale,
        slack=stage.slack(scale, pairs) + found.drives.slack.flatten(1)[pairs],
        reach=(stage.widest(scale, pairs) + rule.span) * steps / slope_decay(rule.decay, steps) ** (steps - 1),
        lasting=torch.ones_like(scale)[:, None] * float(stage.priceable),
    )


@dataclass(frozen=True)
class PricedTable(Priced):
    """The corners of the open neurons of a layer, for P pairs of a specification and a neuron.

    Attributes:
        row: the rows from each neuron's first one on, W ≤ R of them, (P, W).
        low, high: the ends of those rows cut to the current's box, 0 where out of reach, (P, W).
        barred: +inf where a row is out of reach, 0 elsewhere, (P, W).
        trains: (R, T).
    """

    row: Tensor
    low: Tensor
    high: Tensor
    barred: Tensor
    trains: Tensor

    @staticmethod
    def of(found: TrainRows, lower: Tensor, upper: Tensor, pairs: tuple[Tensor, Tensor]) -> "PricedTable":
        """Return the corners for pairs (sample, neuron) of a layer whose currents lie in [lower, upper]."""
        table, first, last = found.table, found.first.flatten(1)[pairs], found.last.flatten(1)[pairs]
        width = int((last - first).max()) + 1 if len(first) else 1
        row = first[:, None] + torch.arange(width, device=first.device)
        inside = row <= last[:, None]
        row = row.minimum(last[:, None])
        low = table.lower[row].maximum(lower[pairs][:, None])
        high = table.upper[row].minimum(upper[pairs][:, None])
        reachable = inside & (low <= high)
        barred = torch.zeros_like(low).masked_fill_(~reachable, torch.inf)
        return PricedTable(
            row, low.masked_fill_(~reachable, 0.0), high.masked_fill_(~reachable, 0.0), barred, table.trains
        )

    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] − ν·I, and the spikes and the current that attain it."""
        value, place = self._on_rows(costs, prices).min(1)
        place = place[:, None]
        current = torch.where(
            prices[0] > 0, self.high.gather(1, place).squeeze(1), self.low.gather(1, place).squeeze(1)
        )
        return value, self.trains[self.row.gather(1, place).squeeze(1)].T, current[None]

    def rows(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least on each row by itself, +inf for one out of reach."""
        return self._on_rows(costs, prices), self.row[:, 0]

    def _on_rows(self, costs: Tensor, prices: Tensor) -> Tensor:
        trains = (costs.T @ self.trains.T).gather(1, self.row)
        price = prices[0][:, None]
        return trains.add_(self.barred).sub_((price * self.low).maximum(price * self.high))


def priced_table(found: TrainRows, stage: Stage, pairs: tuple[Tensor, Tensor]) -> Pricing:
    """Return the priced table of pairs (sample, neuron).

    Prices are on the unscaled current, and the table already knows of the recursion's rounding.
    """
    scale = stage.lower.new_ones(1)
    return Pricing(
        PricedTable.of(found, stage.lower[0].flatten(1), stage.upper[0].flatten(1), pairs),
        scale,
        slack=stage.slack(scale, pairs),
        reach=stage.widest(scale, pairs),
        lasting=scale[:, None] * (stage.trains.num_steps / 2),
    )


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
