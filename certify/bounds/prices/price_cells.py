"""F9 with prices: a shortest path over the cells of a layer that subtracts, with prices on its filtered currents.

For prices κ on L[t] = u[t] + d·S[t] (automaton.py), with S[t] = Σ_{k≤t} λ^{t−k}·s[k] of the path itself,

    Σ_t A[t]·s[t] − κ[t]·L[t] = Σ_t A'[t]·s[t] − κ[t]·u[t],    A'[k] = A[k] − d·Σ_{t≥k} λ^{t−k}·κ[t],

so a path pays A' for each spike and at each step the least −κ·u of the cell that it comes to, before any merge.
What merging forgets of S costs nothing here: the path knows its own train. Σ κ·L is linear in the layer before.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....models.rules import Leaky
from ..cells.automaton import CellTrains
from ..cells.merging import NOWHERE, Cells, candidates, merged, targets
from .priced import Priced, Pricing
from .stages import Stage

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
