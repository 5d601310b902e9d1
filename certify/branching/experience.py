"""What earlier splits of a row taught: pseudo-costs, as in integer programming."""

import torch
from torch import Tensor

PRIOR = 5.0
"""How many splits of average success a neuron is credited with before its first one."""
WORSE = 5 / 6
"""The weight of the worse child."""


class Experience:
    """How far splits of each neuron brought each row: the share of the bound's deficit that the children made up.

    The worse child counts five times as much as the better one: it is what is left to do, but where it gained
    nothing a better one still tells splits apart.

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
        made_up = torch.stack([1.0 - side.clamp_max(0.0) / before for side in (left, right)])
        gained = WORSE * made_up.amin(0) + (1.0 - WORSE) * made_up.amax(0)
        self._gained.index_put_((rows, neurons), gained + 0.01, accumulate=True)
        self._tried.index_put_((rows, neurons), torch.ones_like(gained), accumulate=True)
