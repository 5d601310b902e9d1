"""Per-step interval propagation: the published baseline (S-IBP, Liang et al., 2022).

At each step the potential lies in an interval; a spike is certain, impossible or open; after an open spike the
reset joins both cases into one interval. What that join forgets is what the spike trains of F1 and F2 keep.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...models.rules import Leaky
from .blocks import blocks
from .box import Box, Spread
from .compiled_spikes import kernel_for
from .membrane import Pull, pull
from .rounding import Rounding
from .signals import Signal, equal_weights


@dataclass(frozen=True)
class StepSpikes(Signal):
    """Spikes known step by step, computed when they are asked for.

    Attributes:
        pull: the currents.
        dynamics: of the layer.
        kernel: "eager", or "compiled" where that is there: bitwise the same.
    """

    pull: Pull
    dynamics: Leaky
    kernel: str = "eager"
    constant: bool = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return self.pull.num_steps

    @cached_property
    def box(self) -> Box:
        """Return 0 or 1 for a decided spike and [0, 1] for an open one, (T, batch, ...)."""
        return self.spread().box

    def steps(self) -> Box:
        """Return the box."""
        return self.box

    def spread(self) -> Spread:
        """Return the box as middle and radius: exactly 0, ½ or 1 each."""
        kernel = kernel_for(self.kernel, self.pull)
        return self._steps() if kernel is None else kernel.interval_steps(self.pull, self.dynamics)

    def _steps(self) -> Spread:
        shape = (self.num_steps, *self.pull.current.middle.shape[1:])
        middle, radius = self.pull.current.middle.new_empty((2, *shape))
        for rows in blocks(middle):
            for t, (certain, possible) in enumerate(self._fired(rows)):
                half = possible.mul(0.5)
                torch.add(half, certain, alpha=0.5, out=middle[t, rows])
                torch.sub(half, certain, alpha=0.5, out=radius[t, rows])
        return Spread(middle, radius)

    def combine(self, rows: Tensor) -> Box:
        """Return the range over all choices of the open spikes, taken as independent."""
        weights = equal_weights(rows)
        if weights is not None:
            return self.counts().scaled(weights)
        positive, negative = rows.clamp_min(0), rows.clamp_max(0)
        low, high = self.box.lower.to(rows.dtype), self.box.upper.to(rows.dtype)
        lower = torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)
        upper = torch.tensordot(positive, high, 1) + torch.tensordot(negative, low, 1)
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.pull.current.middle[0, :1])

    def counts(self) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        kernel = kernel_for(self.kernel, self.pull)
        if kernel is not None:
            return kernel.interval_counts(self.pull, self.dynamics)
        fewest, most = torch.zeros_like(self.pull.current.middle[0]), torch.zeros_like(self.pull.current.middle[0])
        for rows in blocks(fewest[None]):
            for certain, possible in self._fired(rows):
                fewest[rows] += certain
                most[rows] += possible
        return Box(fewest, most)

    def _fired(self, rows: slice) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield which spikes of some samples are certain and which are possible, 0 or 1, step by step.

        With lower ≤ upper, a spike that is certain (v_low > surely) is possible, too (v_high ≥ perhaps).
        """
        middle, radius = self.pull.current.middle[:, rows], self.pull.current.radius[:, rows]
        lower, upper, low, high, must, may = middle.new_zeros((6, *middle.shape[1:]))
        for t in range(self.num_steps):
            if t < len(middle):
                torch.sub(middle[t], radius[t], out=lower)
                torch.add(middle[t], radius[t], out=upper)
            torch.add(lower, low, alpha=self.dynamics.decay, out=low)
            torch.add(upper, high, alpha=self.dynamics.decay, out=high)
            torch.gt(low, self.pull.surely, out=must)
            torch.ge(high, self.pull.perhaps, out=may)
            yield must, may
            _reset(low, high, must, may, self.pull, self.dynamics)


def interval_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> StepSpikes:
    """Return the spikes of `rule` step by step, for currents known step by step."""
    return StepSpikes(pull(current, rule, rounding), rule, rule.kernel)


def _reset(low: Tensor, high: Tensor, must: Tensor, may: Tensor, pulled: Pull, dynamics: Leaky) -> None:
    """Join, in place, the case that fires with the case that stays silent, for `must` and `may` of 0 or 1."""
    if dynamics.reset == "zero":
        # A low end is cut by 0 after a possible spike, and else by a value that it does not reach anyway; a high
        # end by 0 after a certain spike, and else by the highest potential that may stay silent.
        torch.minimum(low, _unless(may, pulled.perhaps), out=low)
        torch.minimum(high, _unless(must, pulled.surely), out=high)
    elif dynamics.reset == "subtract":
        fired_low = low.clamp_min(pulled.perhaps) - dynamics.drop
        fired_high = high - dynamics.drop
        joined_low = torch.where(may > 0, low.minimum(fired_low), low)
        joined_high = torch.where(may > 0, high.clamp_max(pulled.surely).maximum(fired_high), high)
        torch.where(must > 0, fired_low, joined_low, out=low)
        torch.where(must > 0, fired_high, joined_high, out=high)


def _unless(spike: Tensor, value: float) -> Tensor:
    """Return `value` where `spike` is 0, and exactly 0 where it is 1."""
    return torch.add(spike.new_tensor(value), spike, alpha=-value)
