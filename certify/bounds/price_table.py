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
        corner = torch.where(prices[:, None] > 0, self.high, self.low)
        reachable = self.low <= self.high
        priced = costs @ self.trains.T - prices[:, None] * torch.where(reachable, corner, 0.0)
        value, row = torch.where(reachable, priced, torch.inf).min(1)
        return value, self.trains[row], corner.gather(1, row[:, None]).squeeze(1)
