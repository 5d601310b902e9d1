"""`spikes.c`: the interval recursion, the graph of a hard reset, and tables under constant currents, in one pass.

Each number is what torch's operations compute, bit by bit: of its two variants that one is taken which rounds λ·u
+ I as torch does here (`models.running.compiled.variant`).
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.loading import load
from ....kernels.spikes import CompiledSpikes, SpikesLayer, spikes_layer
from ....models.rules import Leaky
from ....models.running.compiled import variant
from ..signals.box import Box, Spread
from ..signals.membrane import Pull


@dataclass(frozen=True)
class SpikesKernel:
    """The compiled kernel, asked about a layer that `Pull` drives."""

    compiled: CompiledSpikes

    def interval_steps(self, pull: Pull, rule: Leaky) -> Spread:
        """Return what each step's spike may be, as middle and radius: exactly 0, ½ or 1 each."""
        steps = _empty(pull, pull.num_steps)
        self.compiled.interval(*_known(pull, rule), steps, (None, None))
        return Spread(*_back(pull, steps))

    def interval_counts(self, pull: Pull, rule: Leaky) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        ends = _empty(pull)
        self.compiled.interval(*_known(pull, rule), (None, None), ends)
        return Box(*_back(pull, ends))

    def graph_steps(self, pull: Pull, rule: Leaky) -> Spread:
        """Return the steps of the graph of a hard reset."""
        steps = _empty(pull, pull.num_steps)
        self.compiled.graph(*_known(pull, rule), None, steps, (None, None))
        return Spread(*_back(pull, steps))

    def graph_paths(self, pull: Pull, rule: Leaky, row: Tensor) -> Box:
        """Return the least and the greatest Σ_t row[t]·s[t] of any path, (batch, ...)."""
        ends = _empty(pull)
        self.compiled.graph(*_known(pull, rule), row.cpu().contiguous(), (None, None), ends)
        return Box(*_back(pull, ends))

    def table_steps(self, pull: Pull, rule: Leaky, ends: Box, steps: Spread) -> Spread:
        """Return each neuron's steps under the constant current of `pull`.

        Args:
            pull, rule: of the layer.
            ends: the ends of the table's rows, (R,).
            steps: what each step is if the rows from i to j may be, (T, R, R).
        """
        filled = _empty(pull, pull.num_steps)
        tables = tuple(each.cpu().contiguous() for each in (ends.lower, ends.upper, steps.middle, steps.radius))
        self.compiled.table(*_known(pull, rule), tables, filled)
        return Spread(*_back(pull, filled))


@lru_cache
def spikes_kernel(dtype: torch.dtype) -> SpikesKernel:
    """Return the kernel that rounds λ·u + I as torch does here."""
    return SpikesKernel(load("spikes", dtype, CompiledSpikes, variant(dtype)))


def _empty(pull: Pull, *steps: int) -> tuple[Tensor, Tensor]:
    """Return two tensors to be filled, (batch, ...) or (T, batch, ...)."""
    middle = pull.current.middle
    lower, upper = torch.empty((2, *steps, *middle.shape[1:]), dtype=middle.dtype)
    return lower, upper


def _back(pull: Pull, filled: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what was filled, where the currents are."""
    return filled[0].to(pull.current.middle.device), filled[1].to(pull.current.middle.device)


def _known(pull: Pull, rule: Leaky) -> tuple[SpikesLayer, tuple[Tensor, Tensor]]:
    """Return the layer and its current as the kernel reads them."""
    middle, radius = (ends.cpu().contiguous() for ends in (pull.current.middle, pull.current.radius))
    constants = (rule.decay, pull.surely, pull.perhaps, rule.drop)
    layer = spikes_layer(middle, constants, rule.reset, pull.num_steps)
    return layer, (middle, radius)
