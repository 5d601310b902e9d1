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
from .signals import Signal, equal_weights


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
        weights = equal_weights(rows)
        if weights is not None:
            return Box(self.box.lower.sum(0), self.box.upper.sum(0)).scaled(weights)
        positive, negative = rows.clamp_min(0), rows.clamp_max(0)
        low, high = self.box.lower.to(rows.dtype), self.box.upper.to(rows.dtype)
        lower = torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)
        upper = torch.tensordot(positive, high, 1) + torch.tensordot(negative, low, 1)
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.box.lower[0, :1])


def interval_spikes(current: Signal, neuron: LIF, rounding: Rounding) -> StepSpikes:
    """Return the spikes of `neuron` step by step, for currents known step by step.

    With lower ≤ upper, a spike that is certain (v_low > surely) is possible, too (v_high ≥ perhaps).
    """
    drives, decay = drive(current, neuron, rounding), neuron.dynamics.decay
    certain, possible = drives.lower.new_empty((2, *drives.lower.shape))
    low, high = torch.zeros_like(drives.lower[0]), torch.zeros_like(drives.upper[0])
    for lower, upper, must, may in zip(drives.lower, drives.upper, certain, possible, strict=True):
        torch.add(lower, low, alpha=decay, out=low)
        torch.add(upper, high, alpha=decay, out=high)
        torch.gt(low, drives.surely, out=must)
        torch.ge(high, drives.perhaps, out=may)
        _reset(low, high, must, may, drives, neuron.dynamics)
    return StepSpikes(Box(certain, possible))


def _reset(low: Tensor, high: Tensor, must: Tensor, may: Tensor, drives: Drive, dynamics: Dynamics) -> None:
    """Join, in place, the case that fires with the case that stays silent, for `must` and `may` of 0 or 1."""
    if dynamics.reset == "zero":
        # A low end is cut by 0 after a possible spike, and else by a value that it does not reach anyway; a high
        # end by 0 after a certain spike, and else by the highest potential that may stay silent.
        torch.minimum(low, _unless(may, drives.perhaps), out=low)
        torch.minimum(high, _unless(must, drives.surely), out=high)
    elif dynamics.reset == "subtract":
        fired_low = low.clamp_min(drives.perhaps) - dynamics.drop
        fired_high = high - dynamics.drop
        joined_low = torch.where(may > 0, low.minimum(fired_low), low)
        joined_high = torch.where(may > 0, high.clamp_max(drives.surely).maximum(fired_high), high)
        torch.where(must > 0, fired_low, joined_low, out=low)
        torch.where(must > 0, fired_high, joined_high, out=high)


def _unless(spike: Tensor, value: float) -> Tensor:
    """Return `value` where `spike` is 0, and exactly 0 where it is 1."""
    return torch.add(spike.new_tensor(value), spike, alpha=-value)
