"""Shortest priced paths (priced_layer.py), and what prices prove, by torch: what paths.c and prove.c come to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikecert.certify.bounds.prices.price_search import pair_prices
from spikecert.certify.bounds.prices.priced_layer import PricedGraph
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import Staged
from spikecert.certify.bounds.trains.train_graph import slope_decay
from spikecert.certify.branching.nodes.decisions import RowRanges, root, trim_rows
from spikecert.kernels.climb import ProvenNodes


def shortest(graph: PricedGraph, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    segments = _Segments.of(prices, graph)
    state = _State.start(graph, segments)
    lengths, origins, steps = [costs.new_zeros(costs.shape[1])], [], []
    for t, edge in enumerate(graph.edges):
        step = state.advance(t, graph, segments, prices[t])
        length, origin = torch.where(edge, torch.stack(lengths) + step.cost, torch.inf).min(0)
        lengths.append(length + costs[t])
        origins.append(origin)
        steps.append(step)
    rest, cost = state.rest(segments, len(steps) - 1)
    value, last = torch.where(graph.ends, torch.stack(lengths) + cost, torch.inf).min(0)
    return value, *_walk_back(graph, segments, steps, origins, rest, last)


@dataclass(frozen=True)
class _Segments:
    """What does not change with k.

    Attributes:
        rank: the place of each current's segment in the order of slopes, (T, P); one more for where v starts.
        turn: how many segments fall: F is least at e[turn], (1, 1, P).
        bends: slope_{j−1} − slope_j at step 0, slopes being 0 outside, (ends, P); λ^{−k} times that at step k.
        decay: `slope_decay`.
    """

    rank: Tensor
    turn: Tensor
    bends: Tensor
    decay: float

    @staticmethod
    def of(prices: Tensor, graph: PricedGraph) -> "_Segments":
        """Sort the segments of `prices`, (T, P)."""
        decay = slope_decay(graph.decay, len(prices))
        time = torch.arange(len(prices), device=prices.device, dtype=prices.dtype)
        slopes = -prices * (decay**time)[:, None]
        if graph.starts is not None:
            slopes = torch.nn.functional.pad(slopes, (0, 0, 0, 1))
        slopes, order = slopes.sort(0)
        places = torch.arange(len(slopes), device=prices.device)[:, None].expand_as(order)
        rank = torch.empty_like(order).scatter_(0, order, places)
        bends = torch.nn.functional.pad(slopes, (0, 0, 1, 0)) - torch.nn.functional.pad(slopes, (0, 0, 0, 1))
        return _Segments(rank, (slopes < 0).sum(0)[None, None], bends, decay)

    def rise(self, ends: Tensor, reached: Tensor, t: int) -> Tensor:
        """Return F(reached) − F(e_0) at step t, (τ, P)."""
        return ends.minimum(reached[:, None]).mul_(self.bends * self.decay**-t).sum(1)

    def lowest(self, ends: Tensor) -> Tensor:
        """Return where F is least, (τ, P)."""
        return ends.gather(1, self.turn.expand(len(ends), 1, -1)).squeeze(1)


@dataclass(frozen=True)
class _PathStep:
    """One step: ends before they are cut, (τ, ends, P); potential and cost of the edge from each τ, (τ, P)."""

    ends: Tensor
    reached: Tensor
    cost: Tensor


@dataclass
class _State:
    """F for every τ ≤ k: its ends (T + 1, ends, P), and its value at e_0, (T + 1, P)."""

    ends: Tensor
    value: Tensor

    @staticmethod
    def start(graph: PricedGraph, segments: _Segments) -> "_State":
        """Return F before the first step: no segment but that of where v starts."""
        value = graph.lower.new_zeros(graph.ends.shape)
        ends = value.new_zeros(len(value), *segments.bends.shape)
        if graph.starts is not None:
            low, high = graph.starts
            place = torch.arange(ends.shape[1], device=ends.device)[:, None]
            torch.where(place > segments.rank[-1], high[:, None], low[:, None], out=ends)
        return _State(ends, value)

    def advance(self, t: int, graph: PricedGraph, segments: _Segments, price: Tensor) -> _PathStep:
        """Take step t + 1 for every τ ≤ t; return the edges into its node."""
        value = self.value[: t + 1].sub_(price * graph.lower[t])
        place = torch.arange(self.ends.shape[1], device=price.device)[:, None]
        above = (place > segments.rank[t]) * (graph.upper[t] - graph.lower[t])
        ends = torch.add(above + graph.lower[t], self.ends[: t + 1], alpha=graph.decay)
        low, high = graph.low[t], graph.high[t].minimum(ends[:, -1])
        reached = segments.lowest(ends).maximum(low.clamp_min(graph.perhaps)).minimum(high)
        cost = value + segments.rise(ends, reached, t)
        bottom = low.maximum(ends[:, 0])
        value.add_(segments.rise(ends, bottom, t))
        torch.maximum(ends, bottom[:, None], out=self.ends[: t + 1])
        self.ends[: t + 1].clamp_max_(high.clamp_max(graph.surely)[:, None])
        return _PathStep(ends, reached, cost)

    def rest(self, segments: _Segments, t: int) -> tuple[Tensor, Tensor]:
        """Return where the potential ends in silence, from each τ, and the cost."""
        reached = segments.lowest(self.ends)
        return reached, self.value + segments.rise(self.ends, reached, t)


def _walk_back(
    graph: PricedGraph,
    segments: _Segments,
    steps: list[_PathStep],
    origins: list[Tensor],
    rest: Tensor,
    last: Tensor,
) -> tuple[Tensor, Tensor]:
    """Follow the shortest path back from its last node; return its spikes and currents, each (T, P)."""
    node, potential = last, _at(rest, last)
    spikes, currents = torch.empty_like(graph.lower), torch.empty_like(graph.lower)
    for t in range(len(steps) - 1, -1, -1):
        here = node == t + 1
        spikes[t] = here
        node = torch.where(here, origins[t], node)
        potential = torch.where(here, _at(steps[t].reached, origins[t]), potential)
        place = node * len(segments.bends) + segments.rank[t]
        start, end = (_at(steps[t].ends.flatten(0, 1), place + k) for k in (0, 1))
        torch.add(graph.lower[t], (potential - start).clamp_min(0.0).minimum(end - start), out=currents[t])
        potential = (potential - currents[t]) / max(graph.decay, 1e-300)
    return spikes, currents


def _at(rows: Tensor, row: Tensor) -> Tensor:
    return rows.gather(0, row[None]).squeeze(0)


def proven(network: Staged, specifications: Specifications, prices: tuple[Tensor, ...]) -> ProvenNodes:
    """Return what prices, last layer first, prove of each node, by torch's operations."""
    problem = PricedProblem.of(network, specifications)
    rows = root(network.stages[0].trains, len(specifications.samples))
    assert isinstance(rows, RowRanges)
    pairs = pair_prices(problem, tuple(price.double() for price in prices))
    found = problem.evaluate(pairs)
    left = trim_rows(problem, pairs, found, rows)
    return ProvenNodes(found.bound, left.first.long(), left.last.long())
