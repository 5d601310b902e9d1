"""What a rate code with given draws can spike: one chain of trains for each feature.

With draws u[t], s[t] = 1 iff u[t] < x. As x grows from l to h, a feature's spikes appear in the order of its draws
and never go, so the train with m spikes holds exactly the m smallest draws: of 2^T trains at most T + 1 are
reachable, m from #{t : u[t] < l} to #{t : u[t] < h}. Each m in between is the train of some x (unless draws are
equal, when the chain holds more than needed). So for any coefficients Σ_t A[t]·s[t] ranges exactly over some
prefix sums of A in the order of the draws. Features are independent over a box. A ball is taken as its box.

The draws are compared with x exactly, in float64, so a spike has no rounding; prefix sums round as any sum over t.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .box import Box
from .signals import InputSignal


@dataclass(frozen=True)
class RateTrains(InputSignal):
    """The spikes of a rate code; `box` holds each spike by itself: certain, impossible or open, (T, batch, ...).

    Attributes:
        order: the steps by rising draw, (T, ...).
        fewest, most: how many spikes a train has, (batch, ...).
    """

    order: Tensor
    fewest: Tensor
    most: Tensor

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range of Σ_t rows[k,t]·s[t] over each feature's chain."""
        ordered = rows[:, self.order.flatten()].unflatten(1, self.order.shape)
        sums = _prefix_sums(ordered.unsqueeze(2), 1)
        lower = torch.full((len(rows), *self.fewest.shape), torch.inf).to(rows)
        upper = -lower
        for count, total in enumerate(sums.unbind(1)):
            reachable = (self.fewest <= count) & (count <= self.most)
            lower = torch.where(reachable, lower.minimum(total), lower)
            upper = torch.where(reachable, upper.maximum(total), upper)
        return Box(lower, upper)

    def least(self, costs: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] over all chains, exactly, and the spikes that attain it, (T, S, ...)."""
        order = self.order.unsqueeze(1).expand_as(costs)
        sums = _prefix_sums(costs.gather(0, order), 0)
        count = torch.arange(len(sums), device=costs.device).reshape(-1, *([1] * (costs.dim() - 1)))
        reachable = (self.fewest[samples] <= count) & (count <= self.most[samples])
        least = torch.where(reachable, sums, torch.inf).min(0)
        spikes = (order.argsort(0) < least.indices).to(costs.dtype)
        return least.values.flatten(1).sum(1), spikes


def rate_trains(rates: Box, thresholds: Tensor) -> RateTrains:
    """Return the spikes of all rates in a box.

    Args:
        rates: x, (batch, ...).
        thresholds: u, (T, ...), float64, as in `RateDraws`.
    """
    draws = thresholds.to(rates.lower.device).unsqueeze(1)
    certain, possible = draws < rates.lower, draws < rates.upper
    return RateTrains(
        Box(certain.double(), possible.double()),
        len(draws),
        draws.squeeze(1).argsort(0),
        certain.sum(0),
        possible.sum(0),
    )


def _prefix_sums(values: Tensor, dim: int) -> Tensor:
    """Return the sums of the first 0, 1, …, T values along `dim`."""
    return torch.cat((torch.zeros_like(values.narrow(dim, 0, 1)), values.cumsum(dim)), dim)
