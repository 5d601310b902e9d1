"""Per-step interval propagation: the published baseline (S-IBP, Liang et al., 2022).

At each step the potential lies in an interval; a spike is certain, impossible or open; after an open spike the
reset joins both cases into one interval. What that join forgets is what the spike trains of F1 and F2 keep.

`spikes.c`: the interval recursion, the graph of a hard reset, and tables under constant currents, in one pass.

Each number is what torch's operations compute, bit by bit: of its two variants that one is taken which rounds λ·u
+ I as torch does here (`models.running.compiled.variant`).

What a spike leaves of a potential of which both ends are known: the join of the interval recursion.

Let v lie in [low, high]; its spike is certain, impossible or open. A decided one leaves the ends of v·(1 − s), of
v − d·s, or of v. An open one may stay silent, with v ≤ θ, or fire, with v ≥ θ, and leaves both cases together:

    hard reset     [min(low, 0), min(high, θ)]
    subtracting    [min(low, max(low, θ) − d), max(min(high, θ), high − d)]

θ is taken at the end that widens: silence is possible up to `surely`, a spike from `perhaps` on. Bounds have hard
spikes, and pay for rounding in these two. Training has spikes with a surrogate's gradient, and both are θ:
gradients go through decided spikes, and through the ends of open ones that move with v.

What spikes a layer may have, step by step by torch's own operations: where currents depend on earlier spikes,
and the graph of train_graph.py where only its steps and sums are asked for, of resets that spikes.c has no graph
of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ...kernels.loading import load
from ...kernels.spikes import CompiledSpikes, SpikesLayer, spikes_layer
from ...models.rules import Leaky
from ...models.running.membrane import variant
from ..rounding import Rounding
from .signals.membrane import Pull, pull
from .signals.signals import Signal, equal_weights
from .signals.windows import Box, Spread


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


def after_reset(potential: Tensor, spikes: Tensor, reset: str, limits: tuple[float, float], drop: float) -> Tensor:
    """Return the ends of what is left, (2, ...).

    Args:
        potential: ends of v, (2, ...).
        spikes: the spikes that must be and those that may be, 0 or 1, (2, ...).
        reset: "zero", "subtract" or "none".
        limits: `surely` and `perhaps`.
        drop: d.
    """
    if reset == "none":
        return potential
    (low, high), (surely, perhaps) = potential, limits
    silent = high.detach().clamp_max(surely)
    if reset == "zero":
        decided, joined = potential * (1.0 - spikes), (low.clamp_max(0.0), silent)
    else:
        decided = torch.add(potential, spikes, alpha=-drop)
        joined = low.clamp(max=low.detach().clamp_min(perhaps) - drop), (high - drop).clamp(min=silent)
    return torch.where(spikes[0] < spikes[1], torch.stack(joined), decided)


def fired(pull: Pull, rule: Leaky) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield which spikes are certain and which are possible, 0 or 1, step by step.

    With lower ≤ upper, a spike that is certain (v_low > surely) is possible, too (v_high ≥ perhaps). A step's
    current is read when that step is asked for, and no earlier. What is yielded is overwritten at the next step.
    """
    middle, radius = pull.current.middle, pull.current.radius
    current, left, spikes = middle.new_zeros((3, 2, *middle.shape[1:]))
    (lower, upper), (must, may) = current, spikes
    for t in range(pull.num_steps):
        if t < len(middle):
            torch.sub(middle[t], radius[t], out=lower)
            torch.add(middle[t], radius[t], out=upper)
        potential = torch.add(current, left, alpha=rule.decay, out=left)
        low, high = potential.unbind()
        torch.gt(low, pull.surely, out=must)
        torch.ge(high, pull.perhaps, out=may)
        yield must, may
        left = after_reset(potential, spikes, rule.reset, (pull.surely, pull.perhaps), rule.drop)
