"""A max pool in a priced bound (F13): what is linear in its entries stands for the maximum.

For entries with ends [l_j, h_j], k the entry of the greatest l and, among these, of the greatest h:

    max_j x_j = x_k       where no other entry's h passes l_k, whatever the sign of a price
    max_j x_j ≥ x_k       for a price A ≥ 0
    max_j x_j ≤ max h     for a price A < 0

Of spikes the first line holds where one of them is certain, or one alone is possible. So behind decided spikes
nothing is lost. Rounding: the entries are the run's own, of which the maximum is one; float64 sums up prices and
constants, at most `4·(terms + 16)·u` of the sum of moduli.
"""

from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from ....models.elements.max_pooling import MaxWindows
from ..signals.box import Box


@dataclass(frozen=True)
class PoolLines:
    """What stands for each maximum, (1 or T, batch, outputs) each.

    Attributes:
        chosen: k, as an entry of the flattened signal.
        exact: whether the maximum is x_k.
        highest: max h.
        size: a bound of |x_k| and of |max h|.
        features: the shape of x, without batch.
        terms: how many prices one entry adds up, at most.
    """

    chosen: Tensor
    exact: Tensor
    highest: Tensor
    size: Tensor
    features: torch.Size
    terms: int

    @staticmethod
    def of(windows: MaxWindows, ends: Box) -> "PoolLines":
        """Return the lines of a pool whose entries lie between `ends`, (1 or T, batch, ...)."""
        features = ends.lower.shape[2:]
        places = windows.places(tuple(features)).to(ends.lower.device).flatten(0, -2)
        low, high = (_windowed(end, places) for end in (ends.lower, ends.upper))
        greatest = low.amax(-1, keepdim=True)
        place = torch.where(low == greatest, high, -torch.inf).argmax(-1, keepdim=True)
        others = high.scatter(-1, place, -torch.inf).amax(-1)
        chosen = places.expand(high.shape).gather(-1, place).squeeze(-1)
        highest = high.amax(-1)
        own = high.gather(-1, place).squeeze(-1).abs().maximum(greatest.squeeze(-1).abs())
        exact = others <= greatest.squeeze(-1)
        return PoolLines(chosen, exact, highest, own.maximum(highest.abs()), features, windows.count)

    def pulled(self, prices: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g, constant) with Σ prices·max ≥ Σ g·x + constant for each specification, float64's error paid.

        Args:
            prices: on the maxima, (time, S, ...).
            samples: which row of the batch each specification is about, (S,).
        """
        known, flat = self._about(samples), prices.flatten(2)
        kept = torch.where((flat >= 0) | known.exact, flat, 0.0)
        shape = (*prices.shape[:2], prod(self.features))
        pulled = prices.new_zeros(shape).scatter_add_(2, known.chosen.expand_as(flat), kept)
        constant = ((flat - kept) * known.highest).sum((0, 2))
        total = (flat.abs() * known.size).sum((0, 2))
        error = 4 * (len(flat) * flat.shape[2] + self.terms + 16) * torch.finfo(prices.dtype).eps
        return pulled.unflatten(2, self.features), constant - error * total

    def values(self, prices: Tensor, x: Tensor, samples: Tensor) -> Tensor:
        """Return what stands for the maxima of x, (1 or T, S, ...), at the signs of `prices`, flattened."""
        known, flat = self._about(samples), prices.flatten(2)
        steps = max(len(flat), len(x), len(known.chosen))
        chosen = known.chosen.expand(steps, -1, -1)
        own = x.flatten(2).expand(steps, -1, -1).gather(2, chosen)
        return torch.where((flat >= 0) | known.exact, own, known.highest)

    def _about(self, samples: Tensor) -> "PoolLines":
        """Return the lines of the batch's rows `samples`."""
        rows = (each[:, samples] for each in (self.chosen, self.exact, self.highest, self.size))
        chosen, exact, highest, size = rows
        return replace(self, chosen=chosen, exact=exact, highest=highest, size=size)


def _windowed(ends: Tensor, places: Tensor) -> Tensor:
    """Return each window's entries, (1 or T, batch, outputs, n); −inf where there is none."""
    return torch.nn.functional.pad(ends.flatten(2), (0, 1), value=-torch.inf)[..., places]
