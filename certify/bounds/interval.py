"""Per-step interval propagation: the published baseline (S-IBP, Liang et al., 2022).

At each step the potential lies in an interval; a spike is certain, impossible or open; after an open spike the
reset joins both cases into one interval. What that join forgets is what the spike trains of F1 and F2 keep.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.dynamics import Dynamics
from ...models.neurons import LIF
from .box import Box
from .membrane import Drive, drive
from .rounding import Rounding
from .signals import Signal


@dataclass(frozen=True)
class StepSpikes(Signal):
    """Spikes known step by step: `box` holds 0 or 1 for a decided spike and [0, 1] for an open one."""

    box: Box
    constant: bool = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.box.lower)

    def steps(self) -> Box:
        """Return the box."""
        return self.box

    def combine(self, rows: Tensor) -> Box:
        """Return the range over all choices of the open spikes, taken as independent."""
        positive, negative = rows.clamp_min(0), rows.clamp_max(0)
        low, high = self.box.lower, self.box.upper
        lower = torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)
        upper = torch.tensordot(positive, high, 1) + torch.tensordot(negative, low, 1)
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.box.lower[0, :1])


def interval_spikes(current: Signal, neuron: LIF, rounding: Rounding) -> StepSpikes:
    """Return the spikes of `neuron` step by step, for currents known step by step."""
    drives = drive(current, neuron, rounding)
    low = high = torch.zeros_like(drives.lower[0])
    certain, possible = [], []
    for lower, upper in zip(drives.lower, drives.upper, strict=True):
        v_low = torch.add(lower, low, alpha=neuron.dynamics.decay)
        v_high = torch.add(upper, high, alpha=neuron.dynamics.decay)
        must, may = v_low > drives.surely, v_high >= drives.perhaps
        certain.append(must)
        possible.append(may)
        low, high = _reset(v_low, v_high, must, may, drives, neuron.dynamics)
    return StepSpikes(Box(torch.stack(certain).double(), torch.stack(possible).double()))


def _reset(
    low: Tensor, high: Tensor, must: Tensor, may: Tensor, drives: Drive, dynamics: Dynamics
) -> tuple[Tensor, Tensor]:
    """Return the interval after reset: the case that fires joined with the case that stays silent."""
    if dynamics.reset == "none":
        return low, high
    silent_high = high.clamp_max(drives.surely)
    if dynamics.reset == "zero":  # a certain spike has low > 0, so that low.clamp_max(0) is 0 there
        return torch.where(may, low.clamp_max(0.0), low), silent_high.masked_fill(must, 0.0)
    fired_low = low.clamp_min(drives.perhaps) - dynamics.threshold
    fired_high = high - dynamics.threshold
    joined_low = torch.where(may, low.minimum(fired_low), low)
    joined_high = torch.where(may, silent_high.maximum(fired_high), high)
    return torch.where(must, fired_low, joined_low), torch.where(must, fired_high, joined_high)
