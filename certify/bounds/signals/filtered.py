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

Step by step. Where nothing is known of x but the box of each step, sums know no more of i than the recursion of
boxes [i[t]] = κ·[i[t−1]] + [x[t−d]] ± E does, T sums in place of T² products. The run's step is within 4.01u·(κM +
X) + η of κ·î[t−1] + x̂[t−d], which lie in those boxes; their middle and radius, at most κM + X large, take 7
roundings of the bound's. E pays for both, with the M and X of the step's own boxes.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.elements.synapses import TemporalFilter
from ...rounding import Rounding, filter_error, filtered_size, weighted_slack
from .box import Box, Spread
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

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the steps of the source are."""
        return self.source.apart

    def steps(self) -> Box:
        """Return the box of i[t] for each t: of sums of x, of its boxes, or of a delay its own steps, moved."""
        if not self.filter.moves and self.apart:
            return self.spread().box
        if not self.filter.moves:
            return self.combine(torch.eye(self.num_steps).to(self._largest))
        box, waits = self.source.steps(), min(self.filter.delay, self.num_steps)
        return Box(self._moved(box.lower, waits), self._moved(box.upper, waits))

    def spread(self) -> Spread:
        """Return the steps; of independent steps by a recursion of their boxes."""
        if self.filter.moves or not self.apart:
            return self.steps().spread
        entering = self.source.spread()
        boxes = FilteredBoxes.of(self.filter, self.num_steps, entering.middle[:1], self.rounding)
        parts = zip(entering.middle.split(1), entering.radius.split(1), strict=True)
        found = [boxes.after(Spread(*part)) for part in parts]
        return Spread(torch.cat([each.middle for each in found]), torch.cat([each.radius for each in found]))

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


@dataclass
class FilteredBoxes:
    """Boxes of i, step by step.

    Attributes:
        decay: κ.
        waiting: the boxes of x of the last d steps.
        state: the box of i.
        rounding: the dtypes of the run and of the bound.
    """

    decay: float
    waiting: list[Spread]
    state: Spread
    rounding: Rounding

    @staticmethod
    def of(filter: TemporalFilter | None, steps: int, like: Tensor, rounding: Rounding) -> "FilteredBoxes":
        """Return those before the first of T steps, of entries as in `like`, (1, batch, ...)."""
        silent = torch.zeros_like(like)
        nothing = Spread(silent, silent)
        if filter is None:
            return FilteredBoxes(0.0, [], nothing, rounding)
        return FilteredBoxes(filter.decay, [nothing] * min(filter.delay, steps), nothing, rounding)

    def after(self, current: Spread) -> Spread:
        """Return the box of i[t] from that of x[t]; M and X of E are those of the step's own boxes."""
        self.waiting.append(current)
        entering, before = self.waiting.pop(0), self.state
        if self.decay:
            left = Spread(self.decay * before.middle, self.decay * before.radius)
            most = left.middle.abs() + left.radius + entering.middle.abs() + entering.radius
            error = filter_error(0.0, most, most, self.rounding)
            entering = Spread(left.middle + entering.middle, left.radius + entering.radius + error)
        self.state = entering
        return entering
