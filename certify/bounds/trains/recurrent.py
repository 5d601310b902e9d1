"""What is known of a layer that hears its own spikes, c[t] = x[t] + (V·s[t−1] + b), s[0] = 0 (F16).

**A pass.** Let `known` hold the layer's spikes s of every run over the input set. Then t ↦ s[t−1] is in
`DelayedSpikes(known)`, what the run makes of it in the affine image of that, and the run's c in the sum with x; a
`SpikeBound` makes of a signal that holds all currents one that holds all spikes. So what it finds holds s again.
Nothing is assumed of how x and s hang together, and windows over several steps (F5, F9) are asked of both.

**The start.** Step by step: where a box holds s[t−1], the sum's box holds c[t], and with the boxes of c[1..t] the
interval recursion of intervals.py gives one of s[t]; by induction over t this is sound. What its rounding pays for
grows with the widest current of all steps, which is taken for any spikes at all before the first step.

**A synapse** makes i[t] = κ·i[t−1] + c[t−d] of c. In a pass that is the filtered signal of derived.py; from
nothing it is the recursion of boxes there, beside the neuron's.

What a rate code with given draws can spike: one chain of trains for each feature.

With draws u[t], s[t] = 1 iff u[t] < x. As x grows from l to h, a feature's spikes appear in the order of its draws
and never go, so the train with m spikes holds exactly the m smallest draws: of 2^T trains at most T + 1 are
reachable, m from #{t : u[t] < l} to #{t : u[t] < h}. Each m in between is the train of some x (unless draws are
equal, when the chain holds more than needed). So for any coefficients Σ_t A[t]·s[t] ranges exactly over some
prefix sums of A in the order of the draws. Features are independent over a box. A ball is taken as its box.

The draws are compared with x exactly, in float64, so a spike has no rounding; prefix sums round as any sum over t.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from ....models.circuit import Recurred
from ....models.deadline import check_time
from ....models.elements.synapses import TemporalFilter
from ....models.rules import Leaky, plain
from ...rounding import Rounding, recursion_slack, sum_slack
from ...rounding import tie as threshold_tie
from ..intervals import StepSpikes, fired
from ..signals.affine import AffineMap, affine_map
from ..signals.derived import FilteredBoxes, FilteredSignal
from ..signals.membrane import Pull, scaled_spread
from ..signals.signals import AffineSignal, DerivedSignal, InputSignal, Signal, SpikeBound, SumSignal
from ..signals.windows import Box, Spans, Spread, delayed

PASSES = 2
"""How often a layer's trains are found from what was known of them before: more hardly narrows them."""


@dataclass(frozen=True)
class Known(Signal):
    """A signal in a box, each step on its own.

    Attributes:
        box: (T, batch, ...).
        size: its magnitude.
        constant, binary: see signals.py.
    """

    box: Box
    size: Tensor
    constant: bool = False
    binary: bool = False
    apart = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.box.lower)

    def steps(self) -> Box:
        """Return the box."""
        return self.box

    def combine(self, rows: Tensor) -> Box:
        """Return the range over the box."""
        return self.box.combined(rows)

    def magnitude(self) -> Tensor:
        """Return its size."""
        return self.size


@dataclass(frozen=True)
class DelayedSpikes(DerivedSignal):
    """y[t] = s[t−1], y[1] = 0.

    Attributes:
        source: what is known of s over time.
        box: what is known of s step by step, (T, batch, ...).
    """

    box: Box
    binary = True

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return False: the first step is another."""
        return False

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the steps of the source are."""
        return self.source.apart

    def steps(self) -> Box:
        """Return the box, one step later."""
        lower, upper = self.box.lower, self.box.upper
        silent = torch.zeros_like(lower[:1])
        return Box(torch.cat((silent, lower[:-1])), torch.cat((silent, upper[:-1])))

    def combine(self, rows: Tensor) -> Box:
        """Return the source's own sums: Σ_t rows[t]·s[t−1] = Σ_t rows[t+1]·s[t]."""
        return self.source.combine(torch.cat((rows[:, 1:], torch.zeros_like(rows[:, :1])), 1))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the source's own, a step sooner."""
        return delayed(self.source.windowed, asked, ends, 1)

    def magnitude(self) -> Tensor:
        """Return the source's."""
        return self.source.magnitude()


@dataclass(frozen=True)
class FeedbackLoop:
    """The current of a layer that hears itself.

    Attributes:
        below: x.
        feedback: V and b.
        rounding: the dtypes of the run and of the bound.
        filter: of c over time, or None.
        most: how many spikes a neuron may have at a step.
    """

    below: Signal
    feedback: AffineMap
    rounding: Rounding
    filter: TemporalFilter | None = None
    most: int = 1

    def current(self, spikes: Signal) -> Signal:
        """Return what the neurons get for delayed spikes."""
        heard = self._heard(spikes)
        return heard if self.filter is None else FilteredSignal(heard, self.filter, self.rounding)

    def _heard(self, spikes: Signal) -> Signal:
        """Return c for delayed spikes."""
        heard = AffineSignal(spikes, self.feedback, self.rounding)
        if heard.magnitude().shape[1:] != self.below.magnitude().shape[1:]:
            raise ValueError("network: a feedback does not keep the shape of its layer's spikes")
        return SumSignal(self.below, heard, self.rounding)

    def stepwise(self, rule: Leaky) -> StepSpikes:
        """Return the spikes of neurons of `rule`, step by step, from nothing."""
        middle, slack = self._nothing(), self._slack(rule)
        scale, tie = rule.scale_like(middle), threshold_tie(rule.threshold, self.rounding)
        current = Spread(middle, torch.zeros_like(middle))
        drives, follow = Pull(current, len(middle), rule.threshold + tie, rule.threshold - tie), self.follow()
        before = Box(torch.zeros_like(middle[:1]), torch.zeros_like(middle[:1]))
        trains = fired(drives, rule)
        for t in range(self.below.num_steps):
            check_time()
            found = scaled_spread(follow(t, before), None if scale is None else scale[t : t + 1])
            middle[t], drives.current.radius[t] = found.middle[0], found.radius[0] + slack
            must, may = next(trains)
            before = Box(must.clone()[None], may.clone()[None])
        return StepSpikes(drives, rule)

    @property
    def free(self) -> Signal:
        """Return what the neurons get for any spikes at all."""
        return self.current(self._any())

    def follow(self) -> Callable[[int, Box], Spread]:
        """Return what makes the box of a step's current of one of the spikes before, asked in order of time.

        It is that of as many samples, the first ones, as the spikes are of: never of fewer than at a step before.
        """
        below = self.below.spread()
        size = below.middle.abs() + below.radius
        synapse = FilteredBoxes.of(self.filter, self.below.num_steps, below.middle[:1, :1], self.rounding)

        def after(t: int, before: Box) -> Spread:
            """Return the box of the current at step t = 0..T−1; its sum rounds what its own two parts may be."""
            own, rows = slice(t % len(size), t % len(size) + 1), before.lower.shape[1]
            heard = self.feedback.spread(before.spread, before.upper, self.rounding)
            both = size[own, :rows] + heard.middle.abs() + heard.radius
            radius = below.radius[own, :rows] + heard.radius + sum_slack(both, 1, self.rounding)
            return synapse.after(Spread(below.middle[own, :rows] + heard.middle, radius))

        return after

    def _nothing(self) -> Tensor:
        """Return 0 for each step, sample and neuron."""
        like = self.below.steps().lower
        return like.new_zeros(self.below.num_steps, *like.shape[1:])

    def _any(self) -> Known:
        """Return any spikes at all, of one sample: they are alike in all of them."""
        silent = self._nothing()[:, :1]
        return Known(Box(silent, silent + self.most), torch.full_like(silent[0], self.most))

    def _slack(self, rule: Leaky) -> Tensor:
        """Return what the recursion's rounding may add to each step's scaled current, whatever the spikes are."""
        free = self.free
        spread = scaled_spread(free.spread(), rule.scale_like(free.magnitude()))
        widest = spread.middle.abs().add_(spread.radius).amax(0)
        return recursion_slack(widest, rule.decay, rule.span, free.num_steps, self.rounding)


def recurrent_spikes(below: Signal, node: Recurred, spikes: SpikeBound, rounding: Rounding) -> Signal:
    """Return what is known of the spikes of a layer that hears itself; arguments as in `looped`."""
    return looped(below, node, spikes, rounding)[1]


Found = TypeVar("Found", bound=Signal)


def looped(
    below: Signal, node: Recurred, spikes: Callable[[Signal, Leaky, Rounding], Found], rounding: Rounding
) -> tuple[Signal, Found]:
    """Return what is known of the currents of a layer that hears itself, and of the spikes under them.

    Args:
        below: x, what comes from other layers.
        node: the layer.
        spikes: what finds trains of neurons under a current.
        rounding: the dtypes of the run and of the bound.
    """
    assert plain(node.rule)
    loop = FeedbackLoop(below, affine_map(node.feedback, rounding.bound), rounding, node.filter)
    known = loop.stepwise(node.rule)
    box = known.steps()
    current = loop.current(DelayedSpikes(known, box))
    found = spikes(current, node.rule, rounding)
    for _ in range(1, PASSES):
        box = box.intersection(found.steps())
        current = loop.current(DelayedSpikes(found, box))
        found = spikes(current, node.rule, rounding)
    return current, found


@dataclass(frozen=True)
class RateTrains(InputSignal):
    """The spikes of a rate code; `box` holds each spike by itself: certain, impossible or open, (T, batch, ...).

    Attributes:
        order: the steps by rising draw, (T, ...).
        fewest, most: how many spikes a train has, (batch, ...).
    """

    order: Tensor
    fewest: Tensor
    most: Tensor
    binary = True

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range of Σ_t rows[k,t]·s[t] over each feature's chain."""
        ordered = rows[:, self.order.flatten()].unflatten(1, self.order.shape)
        sums = _prefix_sums(ordered, 1).unsqueeze(2).expand(-1, -1, len(self.fewest), *self.fewest.shape[1:])
        lower = upper = _picked(sums, 1, self.fewest)
        for more in range(1, self._longest + 1):
            total = _picked(sums, 1, (self.fewest + more).minimum(self.most))
            lower, upper = lower.minimum(total), upper.maximum(total)
        return Box(lower, upper)

    def least(self, costs: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] over all chains, exactly, and the spikes that attain it, (T, S, ...)."""
        sums = _prefix_sums(costs.gather(0, self.order.unsqueeze(1).expand_as(costs)), 0)
        fewest, most = self.fewest[samples], self.most[samples]
        least, count = _picked(sums, 0, fewest), fewest
        for more in range(1, self._longest + 1):
            other = (fewest + more).minimum(most)
            total = _picked(sums, 0, other)
            count, least = torch.where(total < least, other, count), least.minimum(total)
        return least.flatten(1).sum(1), (self.rank.unsqueeze(1) < count).to(costs.dtype)

    @cached_property
    def _longest(self) -> int:
        """Return the most open spikes of any chain."""
        return int((self.most - self.fewest).max())

    @cached_property
    def rank(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return how many draws come before each step's, (T, ...)."""
        return self.order.argsort(0)


def rate_trains(rates: Box, thresholds: Tensor) -> RateTrains:
    """Return the spikes of all rates in a box.

    Args:
        rates: x, (batch, ...).
        thresholds: u, (T, ...), float64, as in `RateDraws`.
    """
    draws = thresholds.to(rates.lower.device).unsqueeze(1)
    certain, possible = draws < rates.lower, draws < rates.upper
    return RateTrains(
        Box(certain.double(), possible.double()),
        len(draws),
        draws.squeeze(1).argsort(0),
        certain.sum(0),
        possible.sum(0),
    )


def _prefix_sums(values: Tensor, dim: int) -> Tensor:
    """Return the sums of the first 0, 1, …, T values along `dim`."""
    return torch.cat((torch.zeros_like(values.narrow(dim, 0, 1)), values.cumsum(dim)), dim)


def _picked(sums: Tensor, dim: int, count: Tensor) -> Tensor:
    """Return sums[..., count, ...] along `dim`, whose other axes but those before it are those of `count`."""
    index = count.unsqueeze(0).expand_as(sums.select(dim, 0)) if dim else count
    return sums.gather(dim, index.unsqueeze(dim)).squeeze(dim)
