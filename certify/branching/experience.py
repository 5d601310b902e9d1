"""What earlier splits of a row taught: pseudo-costs, as in integer programming."""

import torch
from torch import Tensor

PRIOR = 5.0
"""How many splits of average success a neuron is credited with before its first one."""


class Experience:
    """How far splits of each neuron brought each row: the share of the bound's deficit that both children made up.

    Args:
        rows: of the search.
        neurons: of the layer that is split.
    """

    def __init__(self, rows: int, neurons: int) -> None:
        self._gained = torch.zeros(rows, neurons, dtype=torch.float64)
        self._tried = torch.zeros(rows, neurons, dtype=torch.float64)

    def weights(self, rows: Tensor) -> Tensor:
        """Return by how much a split of each neuron did better than the average, (N, neurons)."""
        mean = (self._gained.sum() / self._tried.sum().clamp_min(1.0)).clamp_min(1e-6)
        return (self._gained[rows] / mean + PRIOR) / (self._tried[rows] + PRIOR)

    def learn(self, rows: Tensor, neurons: Tensor, before: Tensor, left: Tensor, right: Tensor) -> None:
        """Note the bounds before a split and of both children, each (N,); bounds above 0 count as 0."""
        gained = 1.0 - left.minimum(right).clamp_max(0.0) / before
        self._gained.index_put_((rows, neurons), gained + 0.01, accumulate=True)
        self._tried.index_put_((rows, neurons), torch.ones_like(gained), accumulate=True)
