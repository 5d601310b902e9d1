"""F4: input-output gains as certificates of the real network.

Take a reference run on the sample itself. A perturbation of the input moves a layer's currents by w with
Σ_t ‖w[t]‖² ≤ ρ², ρ = (proven norm of the affine map)·(bound of what moves its input): the gain. A neuron can leave
its reference train only if its own share ‖w_j‖ reaches the distance between its reference and the nearest row
that holds another train:

* behind a constant current, a row of F1's table, at distance |I_j − row|;
* elsewhere, 'the trains agree before step t and differ there': while they agree, the potentials differ by at most
  g_t·‖w_j‖, g_t² = Σ (λ^{t−k}·a[k])² over the steps since the last reset of the reference (pattern-preserving
  bound), so the distance is |v̄[t] − θ|/g_t. From t on, the train may be anything.

So each neuron has rows (distance d_r, effect e_r), and the worst effect of the layer is at most

    max over choices r_j with Σ_j d_{r_j}² ≤ ρ² of Σ_j e_{r_j} ≤ min over κ ≥ 0 of κρ² + Σ_j max_r (e_r − κ·d_r²),

separable, and convex in κ. With e = the margin lost it certifies the last layer; with e = the squared change of
the train it bounds what moves the next layer's input. The run's rounding is taken off each distance.
"""

import math
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from ....models.rules import Leaky
from ....models.running.membrane import simulate
from ..trains.base import Trains
from ..trains.train_graph import GraphTrains
from ..trains.train_table import TableTrains
from .stages import Stage

SEARCH = 40
"""Golden-section steps for κ: any κ gives a sound bound, so this is only a matter of tightness."""


@dataclass(frozen=True)
class Rows:
    """What each neuron of a layer may do, and how far it must be moved for it.

    Attributes:
        distance: d, (batch, neurons, rows); inf for a row that is out of reach.
        least, most: the spikes that the row admits, (batch, neurons, rows, T).
        reference: s̄, (T, batch, ...).
    """

    distance: Tensor
    least: Tensor
    most: Tensor
    reference: Tensor

    def lost(self, costs: Tensor, samples: Tensor) -> Tensor:
        """Return the most that Σ_t costs[t]·s[t] can fall below its reference, (S, neurons, rows).

        Args:
            costs: A, (T, S, ...).
            samples: of each specification, (S,).
        """
        weight = costs.flatten(2).permute(1, 2, 0)[:, :, None]
        before = self._reference()[samples]
        fall = weight.clamp_min(0) * (before - self.least[samples])
        return (fall + weight.clamp_max(0) * (before - self.most[samples])).sum(3)

    def changed(self) -> Tensor:
        """Return the most spikes that differ from the reference, (batch, neurons, rows)."""
        before = self._reference()
        return (before - self.least).maximum(self.most - before).sum(3)

    def _reference(self) -> Tensor:
        return self.reference.flatten(2).permute(1, 2, 0)[:, :, None]


@singledispatch
def gain_rows(found: Trains, stage: Stage, current: Tensor) -> Rows:
    """Return the rows of a layer for its reference currents, (1 or T, batch, ...)."""
    raise TypeError(f"trains: got {type(found).__name__}, which no gains reach")


@gain_rows.register
def _table_rows(found: TableTrains, stage: Stage, current: Tensor) -> Rows:
    """Return the rows behind a constant current."""
    current = current[0]
    table, flat = found.table, current.flatten(1)[:, :, None]
    row = torch.arange(len(table.lower), device=current.device)
    first, last = found.first.flatten(1)[:, :, None], found.last.flatten(1)[:, :, None]
    slack = stage.chain.slack.expand_as(current).flatten(1)[:, :, None]
    away = (table.lower - flat).maximum(flat - table.upper) - slack
    inside = (row >= first) & (row <= last)
    distance = torch.where(inside, away.clamp_min(0.0), torch.inf)
    own = torch.searchsorted(table.upper, flat.squeeze(2).contiguous())
    reference = table.trains[own].permute(2, 0, 1).unflatten(2, current.shape[1:])
    trains = table.trains.expand(*distance.shape, -1)
    return Rows(distance, trains, trains, reference)


@gain_rows.register
def _graph_rows(found: GraphTrains, stage: Stage, current: Tensor) -> Rows:
    """Return the rows behind currents that vary."""
    rule, steps = stage.rule, found.num_steps
    current = current.expand(steps, *current.shape[1:])
    factors = current.new_tensor(rule.factors(steps))
    potentials, spikes = simulate(current, factors, rule.dynamics, steps)
    slack = found.drives.slack + factors.abs().max() * stage.chain.slack
    margin = (potentials - rule.threshold).abs() - 2 * steps * slack
    margin = margin - (found.drives.surely - found.drives.perhaps)
    distance = torch.where(margin <= 0, 0.0, margin / _reach(spikes, factors, rule))
    distance = distance.flatten(2).permute(1, 2, 0)
    box = found.steps()
    low, high, own = (part.flatten(2).permute(1, 2, 0) for part in (box.lower, box.upper, spikes))
    late = torch.ones(steps, steps, dtype=torch.bool, device=current.device).triu()
    least = torch.where(late, low[:, :, None], own[:, :, None])
    most = torch.where(late, high[:, :, None], own[:, :, None])
    same = own[:, :, None]
    return Rows(
        torch.cat((torch.zeros_like(distance[:, :, :1]), distance), 2),
        torch.cat((same, least.minimum(same)), 2),
        torch.cat((same, most.maximum(same)), 2),
        spikes,
    )


def _reach(spikes: Tensor, factors: Tensor, rule: Leaky) -> Tensor:
    """Return g_t, the ℓ2 gain from a current's perturbation to the potential at t while the trains agree."""
    square, reach = torch.zeros_like(spikes[0]), []
    for spike, factor in zip(spikes, factors, strict=True):
        square = rule.decay**2 * square + factor**2
        reach.append(square.sqrt() * (1 + 1e-12))
        if rule.reset == "zero":
            square = square * (1.0 - spike)
    return torch.stack(reach)


def worst_sum(effect: Tensor, distance: Tensor, budget: Tensor) -> Tensor:
    """Return min over κ ≥ 0 of κ·budget² + Σ_j max_r (effect − κ·distance²), (batch,).

    Args:
        effect: e, (batch, neurons, rows).
        distance: d, with the shape of `effect`; inf for a row that is out of reach.
        budget: ρ, (batch,).

    The function of κ is convex; a golden-section search on log κ finds its least value nearly, and every κ that
    it visits (and κ = 0) is an upper bound, so the least visited is returned.
    """
    square = distance.square()
    reachable = distance <= budget[:, None, None]
    effect = torch.where(reachable, effect, -torch.inf)
    square = torch.where(reachable, square, 0.0)

    def value(kappa: Tensor) -> Tensor:
        return kappa * budget.square() + (effect - kappa[:, None, None] * square).amax(2).sum(1)

    low, high = torch.full_like(budget, -20.0), torch.full_like(budget, 20.0)
    best = value(torch.zeros_like(budget))
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(SEARCH):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        at_left, at_right = value(left.exp()), value(right.exp())
        best = best.minimum(at_left).minimum(at_right)
        falling = at_left > at_right
        low, high = torch.where(falling, left, low), torch.where(falling, high, right)
    return best + 1e-12 * (best.abs() + effect.clamp_min(0).amax(2).sum(1))
