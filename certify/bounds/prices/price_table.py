"""F3: the priced table of a first-layer neuron.

With price ν on the neuron's current I, min over I in [l, u] of Σ_t A[t]·s[t](I) − ν·I is attained at an end of a
row of the table cut to [l, u], since the train is constant on a row: a minimum over the rows' corners.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..trains.forms import TrainRows
from .priced import Priced, Pricing
from .stages import Stage


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
