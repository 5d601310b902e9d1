"""F3: the priced table of a first-layer neuron.

With price ν on the neuron's current I, min over I in [l, u] of Σ_t A[t]·s[t](I) − ν·I is attained at an end of a
row of the table cut to [l, u], since the train is constant on a row: a minimum over the rows' corners.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .train_table import TableTrains


@dataclass(frozen=True)
class PricedTable:
    """The corners of the open neurons of a layer, for P pairs of a specification and a neuron.

    Attributes:
        low, high: the ends of each row cut to the current's box, (P, R); a row out of reach is (+inf, −inf).
        trains: (R, T).
    """

    low: Tensor
    high: Tensor
    trains: Tensor

    @staticmethod
    def of(found: TableTrains, lower: Tensor, upper: Tensor, pairs: tuple[Tensor, Tensor]) -> "PricedTable":
        """Return the corners for pairs (sample, neuron) of a layer whose currents lie in [lower, upper]."""
        table = found.table
        row = torch.arange(len(table.lower), device=lower.device)
        first, last = found.first[pairs][:, None], found.last[pairs][:, None]
        inside = (row >= first) & (row <= last)
        low = torch.where(inside, table.lower.maximum(lower[pairs][:, None]), torch.inf)
        high = torch.where(inside, table.upper.minimum(upper[pairs][:, None]), -torch.inf)
        return PricedTable(low, high, table.trains)

    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] − price·I, and the spikes and the current that attain it.

        Args:
            costs: A, (P, T).
            prices: ν, (P,).

        Returns:
            Values (P,), spikes (P, T), currents (P,).
        """
        value, row = self.rows(costs, prices).min(1)
        current = self._corner(prices).gather(1, row[:, None]).squeeze(1)
        return value, self.trains[row], current

    def rows(self, costs: Tensor, prices: Tensor) -> Tensor:
        """Return the minimum over each row by itself, (P, R); +inf for a row out of reach."""
        reachable = self.low <= self.high
        corner = torch.where(reachable, self._corner(prices), 0.0)
        return torch.where(reachable, costs @ self.trains.T - prices[:, None] * corner, torch.inf)

    def _corner(self, prices: Tensor) -> Tensor:
        return torch.where(prices[:, None] > 0, self.high, self.low)
