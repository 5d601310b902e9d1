"""What is known of the greatest entries of windows, y[t] = max_j x_j[t], from what is known of x.

A maximum grows with each of its entries, so its ends are the maxima of ends, exactly; it never rounds. Of a sum
over time with weights r ≥ 0 the trains of x say more than its steps do:

    max_j Σ_t r[t]·x_j[t] ≤ Σ_t r[t]·max_j x_j[t] ≤ Σ_j Σ_t r[t]·x_j[t], the latter where x ≥ 0,

since the maximum is at least each entry, at each step, and of numbers ≥ 0 at most their sum. A row of mixed signs
is the difference of two such sums.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.elements.max_pooling import MaxWindows
from ...rounding import Rounding, over_time, product_error, weighted_slack
from .affine import fold
from .box import Box
from .signals import DerivedSignal


@dataclass(frozen=True)
class PooledSignal(DerivedSignal):
    """y[t] = max over each window of x[t], for a signal x.

    Where the ends become middle and radius for a layer that fires, they take four roundings of the bound's dtype;
    what such a layer pays for its own recursion, 8u·(|a·I| + …), has room for them beside its own three.
    """

    windows: MaxWindows
    rounding: Rounding

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source is."""
        return self.source.binary

    def steps(self) -> Box:
        """Return the maxima of the ends."""
        box = self.source.steps()
        return Box(self._largest(box.lower), self._largest(box.upper))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of the sums over time, from steps and from the source's own sums, rounding paid."""
        rows = rows.to(self.rounding.bound)
        found = self._weighted(rows.clamp_min(0))
        if bool((rows < 0).any()):
            less = self._weighted(rows.clamp_max(0).neg())
            found = Box(found.lower - less.upper, found.upper - less.lower)
        magnitude = self.magnitude()
        weight = rows.abs().sum(1).reshape(-1, *([1] * magnitude.dim()))
        slack = weighted_slack(magnitude * weight, self.num_steps, self.rounding)
        return Box(found.lower - slack, found.upper + slack)

    def magnitude(self) -> Tensor:
        """Return the maxima of the source's moduli."""
        return self.windows.largest(self.source.magnitude())

    def _weighted(self, rows: Tensor) -> Box:
        """Return the ends of Σ_t rows[k,t]·y[t] for rows ≥ 0."""
        ends = self.source.steps()
        lower, upper = self._largest(ends.lower), self._largest(ends.upper)
        if self.constant:
            return Box(lower[0], upper[0]).scaled(rows.sum(1))
        lower, upper = torch.tensordot(rows, lower, 1), torch.tensordot(rows, upper, 1)
        sums = self.source.combine(rows)
        lower = lower.maximum(self._largest(sums.lower))
        if float(ends.lower.min()) >= 0:
            upper = upper.minimum(self._total(sums.upper))
        return Box(lower, upper)

    def _largest(self, rows: Tensor) -> Tensor:
        return fold(self.windows.largest, rows)

    def _total(self, rows: Tensor) -> Tensor:
        """Return the sums of windows of sums over time, all ≥ 0, with the rounding of both."""
        found = fold(self.windows.total, rows)
        return found * (1.0 + product_error(over_time(self.num_steps), self.rounding, self.windows.count))
