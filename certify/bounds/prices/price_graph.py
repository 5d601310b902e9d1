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

Currents that are still to come have segments of length 0. paths.c walks pairs of a specification and a neuron side
by side, in blocks that stay in cache.

Rounding: a path adds up at most 2·T values F(v), of at most T + 2 products each, whose factors were made by at
most 2·T operations: less than 200·T² in any order, and so many u of the sum of all moduli are paid (prices.py).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....kernels.paths import PackedGraphs, paths_kernel
from ..trains.train_graph import GraphTrains, slope_decay
from .priced import Priced, Pricing
from .stages import Stage


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
