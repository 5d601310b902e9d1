"""Per-step interval propagation: the published baseline (S-IBP, Liang et al., 2022).

At each step the potential lies in an interval; a spike is certain, impossible or open; after an open spike the
reset joins both cases into one interval. What that join forgets is what the spike trains of F1 and F2 keep.
"""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding
from ..signals.box import Box, Spread
from ..signals.membrane import Pull, pull
from ..signals.signals import Signal, equal_weights
from .compiled_spikes import SpikesKernel, spikes_kernel


@dataclass(frozen=True)
class DrivenSpikes(Signal):
    """Spikes of a layer, computed when they are asked for.

    Attributes:
        pull: the currents.
        rule: of the layer.
    """

    pull: Pull
    rule: Leaky
    constant = False
    binary = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return self.pull.num_steps

    @property
    def kernel(self) -> SpikesKernel:
        """Return the kernel of these currents."""
        return spikes_kernel(self.pull.current.middle.dtype)

    def steps(self) -> Box:
        """Return the spikes step by step."""
        return self.spread().box

    def magnitude(self) -> Tensor:
        """Return 1 where a neuron may fire at some step, and 0 elsewhere."""
        return self.counted.upper.clamp(0, 1)

    @cached_property
    def counted(self) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        return self.combine(self.pull.current.middle.new_ones(1, self.num_steps))[0]


class StepSpikes(DrivenSpikes):
    """Spikes known step by step."""

    apart = True

    @cached_property
    def box(self) -> Box:
        """Return 0 or 1 for a decided spike and [0, 1] for an open one, (T, batch, ...)."""
        return self.spread().box

    def steps(self) -> Box:
        """Return the box."""
        return self.box

    def spread(self) -> Spread:
        """Return the box as middle and radius: exactly 0, ½ or 1 each."""
        return self.kernel.interval_steps(self.pull, self.rule)

    def combine(self, rows: Tensor) -> Box:
        """Return the range over all choices of the open spikes, taken as independent."""
        weights = equal_weights(rows)
        return self.box.combined(rows) if weights is None else self.counted.scaled(weights)

    @cached_property
    def counted(self) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        return self.kernel.interval_counts(self.pull, self.rule)


def interval_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> StepSpikes:
    """Return the spikes of `rule` step by step, for currents known step by step."""
    return StepSpikes(pull(current, rule, rounding), rule)
