"""F6: the priced graph of a later neuron: a shortest path whose edges know the currents that they need.

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

Currents that are still to come have segments of length 0. All pairs of a specification and a neuron and all τ go
at once, `PART` pairs at a time so that they stay in cache. paths.c answers where it is wanted and no number is
huge: with the same numbers but for the order in which the T + 2 terms of a value are summed.

Rounding: a path adds up at most 2·T values F(v), of at most T + 2 products each, whose factors were made by at
most 2·T operations: less than 200·T² in any order, and so many u of the sum of all moduli are paid (prices.py).
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ....kernels import CompiledPaths, PackedGraphs, load
from ....models.rules import Leaky
from ...rounding import Rounding
from ..signals.box import Box
from ..signals.signals import InputSignal
from ..trains.train_graph import GraphTrains, graph_trains, slope_decay
from .priced import Priced, Pricing
from .stages import Stage

PART = 8192
"""Pairs that go at once."""


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
        kernel: what answers: "eager", or "compiled" where that is there.
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
    kernel: str = "eager"

    @staticmethod
    def of(found: GraphTrains, decay: float, pairs: tuple[Tensor, Tensor], kernel: str = "eager") -> "PricedGraph":
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
            kernel,
        )

    def least(self, costs: Tensor, prices: Tensor, tame: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return min over paths of Σ_t costs[t]·s[t] − Σ_t μ[t]·c[t], and the spikes and currents there."""
        compiled = paths_for(self.kernel, costs) if tame else None
        if compiled is not None:
            return compiled.least(self.packed, costs, prices)
        values, spikes, currents = (
            costs.new_empty(costs.shape[1]),
            torch.empty_like(costs),
            torch.empty_like(costs),
        )
        for start in range(0, costs.shape[1], PART):
            part = slice(start, start + PART)
            path = _shortest(self.part(part), costs[:, part], prices[:, part])
            values[part], spikes[:, part], currents[:, part] = path
        return values, spikes, currents

    @cached_property
    def packed(self) -> PackedGraphs:
        """The same graphs as the compiled kernel reads them."""
        constants = (self.decay, slope_decay(self.decay, len(self.lower)), self.surely, self.perhaps)
        triangles = (torch.cat(rows) for rows in (self.low, self.high, self.edges))
        return PackedGraphs.of(constants, (self.lower, self.upper, *triangles, self.ends, *(self.starts or ())))

    def part(self, pairs: slice) -> "PricedGraph":
        """Return the graphs of some pairs."""
        return replace(
            self,
            lower=self.lower[:, pairs],
            upper=self.upper[:, pairs],
            low=tuple(low[:, pairs] for low in self.low),
            high=tuple(high[:, pairs] for high in self.high),
            edges=tuple(edge[:, pairs] for edge in self.edges),
            ends=self.ends[:, pairs],
            starts=None if self.starts is None else (self.starts[0][:, pairs], self.starts[1][:, pairs]),
        )


def priced_graph(found: GraphTrains, stage: Stage, pairs: tuple[Tensor, Tensor]) -> Pricing:
    """Return the priced graphs of pairs (sample, neuron): prices are on scaled currents.

    What they reach counts λ^{−(T−1)} times.
    """
    rule, steps, scale = stage.rule, found.num_steps, stage.scale
    return Pricing(
        PricedGraph.of(found, rule.decay, pairs, rule.kernel),
        scale,
        slack=stage.slack(scale, pairs) + found.drives.slack.flatten(1)[pairs],
        reach=(stage.widest(scale, pairs) + rule.span) * steps / slope_decay(rule.decay, steps) ** (steps - 1),
        lasting=torch.ones_like(scale)[:, None] * float(stage.priceable),
    )


def _shortest(graph: PricedGraph, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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


def paths_for(wanted: str, like: Tensor) -> CompiledPaths | None:
    """Return the compiled paths if they are `wanted`, there, and for tensors like this one."""
    if wanted != "compiled" or like.device.type != "cpu" or like.dtype != torch.float64 or like.numel() == 0:
        return None
    found = paths()
    return found if isinstance(found, CompiledPaths) else None


@lru_cache
def paths() -> CompiledPaths | str:
    """Return the kernel if its values on a probe are torch's, up to the order of sums, or why there is none."""
    return load("paths.c", torch.float64, CompiledPaths.of, _agrees)


def _agrees(built: CompiledPaths, dtype: torch.dtype) -> bool:
    """Return whether values and spikes on a probe are those of torch's operations."""
    steps, neurons, generator = 6, 203, torch.Generator().manual_seed(0)
    ends = torch.randn(2, steps, 1, neurons, generator=generator, dtype=dtype).mul_(0.8).sort(0).values
    costs, prices = torch.randn(2, steps, neurons, generator=generator, dtype=dtype)
    pairs = torch.zeros(neurons, dtype=torch.long), torch.arange(neurons)
    for reset in ("zero", "subtract"):
        found = graph_trains(InputSignal(Box(ends[0], ends[1]), steps), Leaky(0.9, reset=reset), Rounding(dtype))
        graph = PricedGraph.of(found, 0.9, pairs)
        expected, answer = graph.least(costs, prices), built.least(graph.packed, costs, prices)
        if not all(torch.allclose(*pair, rtol=1e-9, atol=1e-9) for pair in zip(expected, answer, strict=True)):
            return False
    return True
