"""F6: the priced graph of a later neuron: a shortest path whose edges know the currents that they need.

With prices μ on the scaled currents c, edge τ → t costs A[t] + E[τ,t], where E is the least −Σ_{τ<k≤t} μ_k·c_k
over currents in their boxes with v_k ≤ θ for k < t, v_t ≥ θ, and L_k ≤ v_k ≤ U_k. As a function of the potential
reached, that least cost is convex and piecewise linear:

    F_k(v) = min over c in [l_k, u_k] of F_{k−1}((v − c)/λ) − μ_k·c,

so F_k consists of one segment for each current since τ: one end (`base`, at cost `value`), and lengths whose
slopes −μ_i·λ^{−(k−i)} keep their order as k grows. One sort serves all steps; a bound on v cuts segments at the
top or pushes `base` along them at the bottom. All pairs of a specification and a neuron and all τ go at once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .train_graph import GraphTrains


@dataclass(frozen=True)
class PricedGraph:
    """The graphs of the open neurons of a hard-reset layer, for P pairs of a specification and a neuron.

    Attributes:
        decay: λ > 0.
        lower, upper: boxes of the scaled currents, (T, P).
        low, high: potentials since τ, [t−1] is (t, P).
        edges: [t−1] is (t, P) of bool; ends: (T + 1, P) of bool.
        surely, perhaps: θ ± tie.
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

    @staticmethod
    def of(found: GraphTrains, decay: float, pairs: tuple[Tensor, Tensor]) -> "PricedGraph":
        """Return the graphs of pairs (sample, neuron); `found` has its neurons flattened, (..., batch, neuron)."""

        def pick(tensor: Tensor) -> Tensor:
            return tensor.flatten(2)[:, pairs[0], pairs[1]]

        return PricedGraph(
            decay,
            pick(found.drives.lower),
            pick(found.drives.upper),
            tuple(pick(low) for low, _ in found.reach),
            tuple(pick(high) for _, high in found.reach),
            tuple(pick(edge) for edge in found.edges),
            pick(found.ends),
            found.drives.surely,
            found.drives.perhaps,
        )

    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min over paths of Σ_t costs[t]·s[t] − Σ_t prices[t]·c[t], and the spikes and currents there.

        Args:
            costs: A, (T, P).
            prices: μ, (T, P).

        Returns:
            Values (P,), spikes (T, P), currents (T, P).
        """
        segments = _Segments.start(self, prices)
        steps = [segments.advance(t, self) for t in range(len(prices))]
        lengths = [costs.new_zeros(costs.shape[1])]
        origins = []
        for t, step in enumerate(steps):
            arriving = torch.where(self.edges[t], torch.stack(lengths) + step.cost, torch.inf)
            length, origin = arriving.min(0)
            lengths.append(length + costs[t])
            origins.append(origin)
        rest = segments.rest()
        value, last = torch.where(self.ends, torch.stack(lengths) + rest.cost, torch.inf).min(0)
        return value, *_walk_back(self, segments, steps, rest, origins, last)


@dataclass(frozen=True)
class _Step:
    """Edges into one node: their cost (τ, P), and the current spent above its lower end, (τ, segment, P)."""

    cost: Tensor
    spent: Tensor


@dataclass
class _Segments:
    """F_k for every τ < k.

    Attributes:
        order: the time of each segment, in order of slope, (T, P).
        slope: −μ_i at c-units, (T, P).
        growth: λ^{k−i} of each segment at the present step, (T, P); 0 before its time.
        length: in v-units, (τ, T, P).
        base, value: (τ, P).
        forced: current that the lower bounds on v force to be spent, c-units, (τ, T, P).
    """

    decay: float
    order: Tensor
    slope: Tensor
    growth: Tensor
    length: Tensor
    base: Tensor
    value: Tensor
    forced: Tensor
    prices: Tensor

    @staticmethod
    def start(graph: PricedGraph, prices: Tensor) -> "_Segments":
        steps, pairs = prices.shape
        time = torch.arange(steps, device=prices.device, dtype=prices.dtype)
        order = (-prices * (graph.decay**time)[:, None]).argsort(0)
        return _Segments(
            decay=graph.decay,
            order=order,
            slope=-prices.gather(0, order),
            growth=torch.zeros_like(prices),
            length=prices.new_zeros(steps + 1, steps, pairs),
            base=prices.new_zeros(steps + 1, pairs),
            value=prices.new_zeros(steps + 1, pairs),
            forced=prices.new_zeros(steps + 1, steps, pairs),
            prices=prices,
        )

    def advance(self, t: int, graph: PricedGraph) -> _Step:
        """Take step t + 1 for every τ ≤ t; return the edges into its node."""
        self._grow(t, graph)
        length, base = self.length[: t + 1], self.base[: t + 1]
        ends = length.cumsum(1)
        before, total = ends - length, ends[:, -1]
        rate = self._rate()
        high = (graph.high[t] - base).minimum(total)
        step = self._spike(t, graph, length, before, rate, high)
        self._stay(t, graph, before, rate, high)
        return step

    def rest(self) -> _Step:
        """Return the least cost of silence to the end, from each τ."""
        ends = self.length.cumsum(1)
        rate = self._rate()
        aim = (self.length * (rate < 0)).sum(1)
        return self._spend(self.length, ends - self.length, rate, aim, len(self.length))

    def _grow(self, t: int, graph: PricedGraph) -> None:
        """Apply v ← λ·v + c: segments shrink by λ, and the present current's segment joins them."""
        present = self.order == t
        self.growth.mul_(self.decay).masked_fill_(present, 1.0)
        width = graph.upper[t] - graph.lower[t]
        self.length[: t + 1].mul_(self.decay).add_(present * width)
        self.base[: t + 1].mul_(self.decay).add_(graph.lower[t])
        self.value[: t + 1].sub_(self.prices[t] * graph.lower[t])

    def _rate(self) -> Tensor:
        """Return each segment's slope per unit of v, 0 for segments that are still to come."""
        return torch.where(self.growth > 0, self.slope / self.growth.clamp_min(1e-300), 0.0)

    def _spike(
        self, t: int, graph: PricedGraph, length: Tensor, before: Tensor, rate: Tensor, high: Tensor
    ) -> _Step:
        """Go at least to θ, on along falling segments, and not beyond U."""
        falling = (length * (rate < 0)).sum(1)
        least = (graph.low[t].clamp_min(graph.perhaps) - self.base[: t + 1]).clamp_min(0.0)
        return self._spend(length, before, rate, falling.maximum(least).minimum(high), t + 1)

    def _spend(self, length: Tensor, before: Tensor, rate: Tensor, aim: Tensor, count: int) -> _Step:
        used = (aim[:, None] - before).clamp_min(0.0).minimum(length)
        cost = self.value[:count] + (used * rate).sum(1)
        return _Step(cost, self._currents(used).add_(self.forced[:count]))

    def _stay(self, t: int, graph: PricedGraph, before: Tensor, rate: Tensor, high: Tensor) -> None:
        """Cut F to L ≤ v ≤ min(U, θ): the neuron stays silent."""
        length, base, value = self.length[: t + 1], self.base[: t + 1], self.value[: t + 1]
        top = (graph.surely - base).minimum(high).clamp_min(0.0)
        torch.minimum(length, (top[:, None] - before).clamp_min(0.0), out=length)
        bottom = (graph.low[t] - base).clamp_min(0.0)
        pushed = (bottom[:, None] - before).clamp_min(0.0).minimum(length)
        length.sub_(pushed)
        value.add_((pushed * rate).sum(1))
        base.add_(pushed.sum(1))
        self.forced[: t + 1].add_(self._currents(pushed))

    def _currents(self, used: Tensor) -> Tensor:
        """Turn lengths of v at this step into the currents that make them."""
        return torch.where(self.growth > 0, used / self.growth.clamp_min(1e-300), 0.0)


def _walk_back(
    graph: PricedGraph,
    segments: _Segments,
    steps: list[_Step],
    rest: _Step,
    origins: list[Tensor],
    last: Tensor,
) -> tuple[Tensor, Tensor]:
    """Follow the shortest path back from its last node; return its spikes and currents, each (T, P)."""
    node = last
    spent = _chosen(rest.spent, node)
    spikes = torch.zeros_like(graph.lower)
    for t in range(len(steps) - 1, -1, -1):
        here = node == t + 1
        spikes[t] = here
        origin = origins[t]
        spent = spent + torch.where(here, _chosen(steps[t].spent, origin), 0.0)
        node = torch.where(here, origin, node)
    currents = torch.zeros_like(graph.lower).scatter_(0, segments.order, spent)
    return spikes, graph.lower + currents


def _chosen(spent: Tensor, node: Tensor) -> Tensor:
    index = node.expand(1, spent.shape[1], -1)
    return spent.gather(0, index).squeeze(0)
