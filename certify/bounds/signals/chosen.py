"""What is known of a signal whose steps come from several: y[t] = x_t[t], as of layers of their own at each step.

A sum Σ_t r[t]·y[t] is Σ_t (r[t]·e_t)·x_t, e_t the t-th unit vector over time: each x_t answers for its own
step. What trains of spikes say of several steps at once is lost by that.

Rounding. Nothing is computed at a step: y[t] is what the run has of x_t[t]. A sum over time of the run's y rounds
T times, and the sum of T ends here T times in the bound's dtype, both of terms whose moduli add up to Σ|r|·M,
M ≥ |y|: γ_{4T+8}·Σ|r|·M pays for both, besides what each x_t pays for itself.
"""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ...rounding import Rounding, weighted_slack
from .box import Box
from .signals import Signal


@dataclass(frozen=True)
class ChosenSignal(Signal):
    """y[t] = x_t[t] for T signals; never taken for constant."""

    sources: tuple[Signal, ...]
    rounding: Rounding

    constant = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.sources)

    def steps(self) -> Box:
        """Return the box of each step, of its own signal."""
        boxes = [(t, source.steps()) for t, source in enumerate(self.sources)]
        ends = [(box.lower[t % len(box.lower)], box.upper[t % len(box.upper)]) for t, box in boxes]
        lower, upper = (torch.stack(end) for end in zip(*ends, strict=True))
        return Box(lower, upper)

    def combine(self, rows: Tensor) -> Box:
        """Return the sum of what each signal says of its own step, rounding paid."""
        rows = rows.to(self.rounding.bound)
        parts = (source.combine(self._own(rows, t)) for t, source in enumerate(self.sources))
        box = reduce(lambda one, other: one + other, (Box(part.lower, part.upper) for part in parts))
        slack = self.slack * rows.abs().sum(1).reshape(-1, *([1] * self.slack.dim()))
        return Box(box.lower - slack, box.upper + slack)

    def _own(self, rows: Tensor, t: int) -> Tensor:
        """Return rows of one step alone."""
        own = torch.zeros_like(rows)
        own[:, t] = rows[:, t]
        return own

    @property
    def slack(self) -> Tensor:
        """Return what a sum over time adds to each unit of weight."""
        return weighted_slack(self.magnitude(), self.num_steps, self.rounding)

    def magnitude(self) -> Tensor:
        """Return the greatest of all signals, at whatever step."""
        return reduce(torch.maximum, (source.magnitude() for source in self.sources))
