"""What is known of a signal that a synapse filters, i[t] = κ·i[t−1] + x[t−d], from what is known of x.

A filter is an affine map over time, i = H·x. So Σ_t r[t]·i[t] = Σ_k (Hᵀr)[k]·x[k]: what the spike trains of x say
of several steps at once holds behind it, too.

Rounding. The run computes î[t] = fl(fl(κ̂·î[t−1]) + x̂[t−d]), κ̂ = fl(κ). With X ≥ |x̂|, M ≥ |î| and η for underflow,
each step strays from κ·î[t−1] + x̂[t−d] by |e[t]| ≤ 3.01u·κM + u·(κM + X) + η ≤ E = 8u·(κM + X) + η. The recursion
is linear, so î = H·x̂ + K·e with K[t,k] = κ^{t−k}, and |î − H·x̂| ≤ E·S, S = Σ_{n<T} κ^n. M = (1 + γ_{4T})·S·(X + η)
holds, since |î[t]| ≤ (1 + u)³·(κ·|î[t−1]| + X + η). A sum over time of the run's i takes T + 1 roundings more, and
here Hᵀr, of powers with two roundings each, and the source's own sum take 2T + 10 of the bound's dtype:
γ_{4T+8}·Σ|r|·M covers both, as Σ_k |Hᵀr|[k]·X ≤ Σ|r|·M. The same pays for i[a], |i[a]| ≤ Σ_{n<a} κ^n·X, and a
window behind it (`windowed`): 2T + 9 roundings of terms that together are those of Hᵀr. A pure delay, κ = 0, moves
numbers and rounds none.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.elements.synapses import TemporalFilter
from ...rounding import Rounding, filter_error, filtered_size, weighted_slack
from .box import Box
from .signals import DerivedSignal
from .windows import Spans, delayed


@dataclass(frozen=True)
class FilteredSignal(DerivedSignal):
    """i = H·x for a signal x; never taken for constant, though a delay of 0 and κ = 0 would leave it so."""

    filter: TemporalFilter
    rounding: Rounding

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return False."""
        return False

    def steps(self) -> Box:
        """Return the box of i[t] for each t: of sums of x, or of a delay its own steps, moved."""
        if not self.filter.moves:
            return self.combine(torch.eye(self.num_steps).to(self._largest))
        box, waits = self.source.steps(), min(self.filter.delay, self.num_steps)
        return Box(self._moved(box.lower, waits), self._moved(box.upper, waits))

    def combine(self, rows: Tensor) -> Box:
        """Return the source's combination by rows·H, rounding paid."""
        rows = rows.to(self.rounding.bound)
        through = rows.double() @ self.filter.rows(self.num_steps).to(rows.device)
        return self._widened(self.source.combine(through.to(rows)), rows.abs().sum(1))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the sum of what is left of i[a], its box, and of the source's window behind it, rounding paid.

        Where windows are as long as T, or weigh steps differently, each is asked for by itself: that joins both.
        """
        filter = self.filter
        if filter.moves:
            return self._widened(delayed(self.source.windowed, asked, ends, filter.delay), asked.sums(ends)[1])
        if asked.longest == self.num_steps or bool((asked.factors != 1.0).any()):
            return super().windowed(asked, ends)
        through, left = asked.through(filter.decay)
        box = delayed(self.source.windowed, through, ends, filter.delay)
        last, age = (place.to(box.lower.device) for place in asked.places(ends))
        before, known = last - age - 1, self._stepwise
        weight = left.to(box.lower)[age].view(-1, *([1] * (box.lower.dim() - 1)))
        weight = weight * (before > 0).to(weight).view(weight.shape)
        at = (before - 1).clamp_min(0)
        box = Box(box.lower + weight * known.lower[at], box.upper + weight * known.upper[at])
        return self._widened(box, asked.sums(ends)[1])

    @cached_property
    def _stepwise(self) -> Box:
        return self.steps()

    def _widened(self, box: Box, moduli: Tensor) -> Box:
        """Return a sum of i by rows of such moduli, rounding paid."""
        slack = self.slack * moduli.to(self.rounding.bound).reshape(-1, *([1] * self.slack.dim()))
        return Box(box.lower - slack, box.upper + slack)

    def magnitude(self) -> Tensor:
        """Return M, or max |x| for a delay."""
        return self._largest

    @cached_property
    def slack(self) -> Tensor:
        """Return how far the run's i may be from H·x of the run's own x at each step, its share of a sum included.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        sums = weighted_slack(self._largest, self.num_steps, self.rounding)
        if self.filter.moves:
            return sums
        error = filter_error(self.filter.decay, self._largest, self.source.magnitude(), self.rounding)
        return sums + error * self.filter.gain(self.num_steps)

    @cached_property
    def _largest(self) -> Tensor:
        size = self.source.magnitude()
        if self.filter.moves:
            return size
        return filtered_size(size, self.filter.gain(self.num_steps), self.num_steps, self.rounding)

    def _moved(self, ends: Tensor, waits: int) -> Tensor:
        ends = ends.expand(self.num_steps, *ends.shape[1:])
        return torch.cat((torch.zeros_like(ends[:waits]), ends[: self.num_steps - waits]))
