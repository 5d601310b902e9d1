"""`spikes.c` where a layer's kernel is "compiled": bitwise what torch's operations compute, in one pass.

It is used only after its results were bitwise those of eager_spikes.py on a probe with all resets and with ties.
"""

import ctypes
import itertools
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.loading import RESETS, load
from ....kernels.spikes import CompiledSpikes, SpikesLayer, spikes_layer
from ....models.rules import Leaky
from ..signals.box import Box, Spread
from ..signals.membrane import Pull
from .eager_spikes import interval_counts, interval_steps, step_graph


@dataclass(frozen=True)
class SpikesKernel:
    """The compiled kernel, asked about a layer that `Pull` drives."""

    compiled: CompiledSpikes

    @staticmethod
    def of(functions: ctypes.CDLL) -> "SpikesKernel":
        """Return the kernel of the functions of spikes.c."""
        return SpikesKernel(CompiledSpikes.of(functions))

    def interval_steps(self, pull: Pull, rule: Leaky) -> Spread:
        """Return what `eager_spikes.interval_steps` does."""
        steps = _empty(pull)
        self.compiled.interval(*_known(pull, rule), (steps.middle, steps.radius), (None, None))
        return steps

    def interval_counts(self, pull: Pull, rule: Leaky) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        fewest, most = pull.current.middle.new_empty((2, *pull.current.middle.shape[1:]))
        self.compiled.interval(*_known(pull, rule), (None, None), (fewest, most))
        return Box(fewest, most)

    def graph_steps(self, pull: Pull, rule: Leaky) -> Spread:
        """Return the steps of the graph of a hard reset."""
        steps = _empty(pull)
        self.compiled.graph(*_known(pull, rule), None, (steps.middle, steps.radius), (None, None))
        return steps

    def graph_paths(self, pull: Pull, rule: Leaky, row: Tensor) -> Box:
        """Return the least and the greatest Σ_t row[t]·s[t] of any path, (batch, ...)."""
        lower, upper = pull.current.middle.new_empty((2, *pull.current.middle.shape[1:]))
        self.compiled.graph(*_known(pull, rule), row.contiguous(), (None, None), (lower, upper))
        return Box(lower, upper)

    def table_steps(self, pull: Pull, rule: Leaky, ends: Box, steps: Spread) -> Spread:
        """Return each neuron's steps under the constant current of `pull`.

        Args:
            pull, rule: of the layer.
            ends: the ends of the table's rows, (R,).
            steps: what each step is if the rows from i to j may be, (T, R, R).
        """
        filled = _empty(pull)
        tables = tuple(tensor.contiguous() for tensor in (ends.lower, ends.upper, steps.middle, steps.radius))
        self.compiled.table(*_known(pull, rule), tables, (filled.middle, filled.radius))
        return filled


def kernel_for(wanted: str, pull: Pull) -> SpikesKernel | None:
    """Return the compiled kernel if it is `wanted`, there, and for currents like these."""
    middle, radius = pull.current.middle, pull.current.radius
    whole = middle.is_contiguous() and radius.is_contiguous() and middle.shape == radius.shape
    if wanted != "compiled" or middle.device.type != "cpu" or middle.numel() == 0 or not whole:
        return None
    found = spikes_kernel(middle.dtype)
    return found if isinstance(found, SpikesKernel) else None


@lru_cache
def spikes_kernel(dtype: torch.dtype) -> SpikesKernel | str:
    """Return the loaded kernel for `dtype`, or in one line why there is none."""
    return load("spikes.c", dtype, SpikesKernel.of, _agrees)


def _empty(pull: Pull) -> Spread:
    shape = (pull.num_steps, *pull.current.middle.shape[1:])
    return Spread(*pull.current.middle.new_empty((2, *shape)))


def _known(pull: Pull, rule: Leaky) -> tuple[SpikesLayer, tuple[Tensor, Tensor]]:
    """Return the layer and its current as the kernel reads them."""
    middle = pull.current.middle
    constants = (rule.decay, pull.surely, pull.perhaps, rule.drop)
    layer = spikes_layer(middle, constants, rule.reset, pull.num_steps)
    return layer, (middle, pull.current.radius)


def _agrees(built: SpikesKernel, dtype: torch.dtype) -> bool:
    """Return whether steps and sums come out bitwise as without the kernel."""
    for reset, decay, threshold in itertools.product(RESETS, (0.5, 0.9, 1.0), (0.75, 1.1)):
        rule, pull = Leaky(decay, threshold, reset), _probe(dtype, threshold)
        pairs = [
            (built.interval_steps(pull, rule).box, interval_steps(pull, rule).box),
            (built.interval_counts(pull, rule), interval_counts(pull, rule)),
        ]
        if reset == "zero":
            graph, row = step_graph(pull, rule), torch.linspace(-1.0, 1.3, pull.num_steps).to(dtype)
            pairs.append((built.graph_steps(pull, rule).box, graph.box.spread.box))
            pairs.append((built.graph_paths(pull, rule, row), graph.combine(row[None])[0]))
        if not all(torch.equal(a.lower, b.lower) and torch.equal(a.upper, b.upper) for a, b in pairs):
            return False
    return True


def _probe(dtype: torch.dtype, threshold: float) -> Pull:
    """Return currents many of which bring potentials exactly to a threshold."""
    generator = torch.Generator().manual_seed(0)
    middle, radius = torch.randn(2, 6, 1, 1003, generator=generator, dtype=torch.float64)
    radius.abs_().mul_(0.5)
    for ends in (middle, radius):
        ends[:, :, ::3] = (ends[:, :, ::3] * 8).round() / 8 * threshold
    return Pull(Spread(middle.to(dtype), radius.to(dtype)), 6, threshold, threshold)
