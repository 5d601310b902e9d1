"""What a rate code with given draws can spike: one chain of trains for each feature.

With draws u[t], s[t] = 1 iff u[t] < x. As x grows from l to h, a feature's spikes appear in the order of its draws
and never go, so the train with m spikes holds exactly the m smallest draws: of 2^T trains at most T + 1 are
reachable, m from #{t : u[t] < l} to #{t : u[t] < h}. Each m in between is the train of some x (unless draws are
equal, when the chain holds more than needed). So for any coefficients Σ_t A[t]·s[t] ranges exactly over some
prefix sums of A in the order of the draws. Features are independent over a box. A ball is taken as its box.

The draws are compared with x exactly, in float64, so a spike has no rounding; prefix sums round as any sum over t.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..signals.signals import InputSignal
from ..signals.windows import Box


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
    binary = True

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range of Σ_t rows[k,t]·s[t] over each feature's chain."""
        ordered = rows[:, self.order.flatten()].unflatten(1, self.order.shape)
        sums = _prefix_sums(ordered, 1).unsqueeze(2).expand(-1, -1, len(self.fewest), *self.fewest.shape[1:])
        lower = upper = _picked(sums, 1, self.fewest)
        for more in range(1, self._longest + 1):
            total = _picked(sums, 1, (self.fewest + more).minimum(self.most))
            lower, upper = lower.minimum(total), upper.maximum(total)
        return Box(lower, upper)

    def least(self, costs: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] over all chains, exactly, and the spikes that attain it, (T, S, ...)."""
        sums = _prefix_sums(costs.gather(0, self.order.unsqueeze(1).expand_as(costs)), 0)
        fewest, most = self.fewest[samples], self.most[samples]
        least, count = _picked(sums, 0, fewest), fewest
        for more in range(1, self._longest + 1):
            other = (fewest + more).minimum(most)
            total = _picked(sums, 0, other)
            count, least = torch.where(total < least, other, count), least.minimum(total)
        return least.flatten(1).sum(1), (self.rank.unsqueeze(1) < count).to(costs.dtype)

    @cached_property
    def _longest(self) -> int:
        """Return the most open spikes of any chain."""
        return int((self.most - self.fewest).max())

    @cached_property
    def rank(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return how many draws come before each step's, (T, ...)."""
        return self.order.argsort(0)


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


def _picked(sums: Tensor, dim: int, count: Tensor) -> Tensor:
    """Return sums[..., count, ...] along `dim`, whose other axes but those before it are those of `count`."""
    index = count.unsqueeze(0).expand_as(sums.select(dim, 0)) if dim else count
    return sums.gather(dim, index.unsqueeze(dim)).squeeze(dim)
