"""Counts of a layer that hears itself: two coupled runs, with rounding paid, beside what was known of its trains.

Without leak, and with subtraction of d, a neuron that heard the sum C[t] up to step t has v[t] = C[t] −
d·N[t−1] for its count N of spikes. Let it be known that each run is one of the exact recursion on currents that
stray by at most σ a step, which fires where v > θ⁺, and not where v < θ⁻ (`certify/rounding/recursion.py`). Let
N_low ≤ N ≤ N_high hold at all steps before t in all neurons. The sums of currents from below and from the
feedback, over all runs whose earlier counts lie there, are within [C_low, C_high] (the layer's own signals say
so, with their rounding), and

    N_low[t]  = N_low[t−1]  + [C_low[t]  − t·σ − d·N_low[t−1]  > θ⁺],
    N_high[t] = N_high[t−1] + [C_high[t] + t·σ − d·N_high[t−1] ≥ θ⁻]

hold N[t]. Proof: were N_low[t] > N[t], then N_low[t−1] = N[t−1] and the lower run fires; the run's own v[t] is
at least the lower one's, so above θ⁺, and it fires, too: a contradiction; the upper end alike. ∎ A feedback's
weights of either sign are taken care of where its sums are bounded: V·N lies in V·m ± |V|·r.

**Sums by any rows** follow by summation by parts, Σ_t r[t]·s[t] = Σ_t (r[t] − r[t+1])·N[t] with r[T+1] = 0, each
term at the end that its sign asks for. In float64 that takes T products and as many sums of numbers up to
Σ |r[t] − r[t+1]|·N_high[t]; 4(T + 4) roundings of that are paid. All is cut with what was known before, so that
nothing gets wider.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.circuit import Recurred
from ....models.deadline import check_time
from ....models.rules import Leaky, plain
from ...rounding import Rounding
from ..signals.affine import affine_map
from ..signals.box import Box
from ..signals.membrane import drive
from ..signals.signals import Balance, Signal
from ..signals.windows import Spans
from ..trains.recurrent import DelayedSpikes, FeedbackLoop

MOST_STEPS = 64
"""So many steps at most: each asks for sums over all steps before."""

EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class CountedSpikes(Signal):
    """Trains whose counts are known.

    Attributes:
        known: what else is known of them.
        low, high: the least and the most N[t], (T, batch, ...), float64.
    """

    known: Signal
    low: Tensor
    high: Tensor
    constant = False
    binary = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.low)

    def steps(self) -> Box:
        """Return the box of s[t] = N[t] − N[t−1]."""
        box, before = self.known.steps(), torch.zeros_like(self.low[:1])
        low = (self.low - torch.cat((before, self.high[:-1]))).clamp(0.0, 1.0)
        high = (self.high - torch.cat((before, self.low[:-1]))).clamp(0.0, 1.0)
        return Box(low.to(box.lower), high.to(box.upper)).intersection(box)

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of sums by parts, cut with what is known."""
        return self._summed(rows).intersection(self.known.combine(rows))

    def filtered(self, rule: Leaky) -> Box:
        """Return the known one; counts are asked for by rows."""
        return self.known.filtered(rule)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the ends of each window, cut with what is known."""
        box = self.known.windowed(asked, ends)
        return self._summed(asked.rows(ends).to(box.lower)).intersection(box)

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what is known."""
        return self.known.balance(rule)

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return what is known."""
        return self.known.margins(labels, known, rounding)

    def magnitude(self) -> Tensor:
        """Return what is known."""
        return self.known.magnitude()

    def _summed(self, rows: Tensor) -> Box:
        """Return ends of Σ_t rows[k,t]·s[t] from counts alone, (k, batch, ...)."""
        found = by_parts(rows, self.low, self.high)
        return found if rows.dtype == torch.float64 else found.outward(rows.dtype)


@dataclass(frozen=True)
class _CountsSoFar(Signal):
    """The trains of a layer before some step: counts of later steps are not known, and not asked for."""

    low: Tensor
    high: Tensor
    constant = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.low)

    def steps(self) -> Box:
        """Return any spikes."""
        return Box(torch.zeros_like(self.low), torch.ones_like(self.low))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of sums by parts, which later steps must not be in."""
        found = by_parts(rows, self.low, self.high)
        return found if rows.dtype == torch.float64 else found.outward(rows.dtype)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.low[0])


def by_parts(rows: Tensor, low: Tensor, high: Tensor) -> Box:
    """Return the ends of Σ_t rows[k,t]·s[t] for counts N of s within [low, high], in float64, rounding paid."""
    exact = rows.to(low)
    parts = exact - torch.cat((exact[:, 1:], torch.zeros_like(exact[:, :1])), 1)
    found = Box(low, high).combined(parts)
    slack = 4 * (len(low) + 4) * EPS * torch.tensordot(parts.abs(), high, 1)
    return Box(found.lower - slack, found.upper + slack)


def counted(below: Signal, node: Recurred, known: Signal, rounding: Rounding) -> Signal:
    """Return what is known of the spikes of a layer that hears itself, with its counts where these are monotone.

    Args:
        below: what comes from other layers.
        node: the layer.
        known: what is known of its spikes.
        rounding: the dtypes of the run and of the bound.
    """
    rule, steps = node.rule, known.num_steps
    assert plain(rule)
    if rule.decay != 1.0 or rule.reset != "subtract" or rule.scale is not None or steps > MOST_STEPS:
        return known
    loop, box = (
        FeedbackLoop(below, affine_map(node.feedback, rounding.bound), rounding, node.filter),
        known.steps(),
    )
    driven = drive(loop.current(DelayedSpikes(known, box)), rule, rounding)
    slack = driven.slack.double()
    low, high = (torch.zeros_like(box.lower, dtype=torch.float64) for _ in range(2))
    counts = Box(torch.zeros_like(low[0]), torch.zeros_like(low[0]))
    for t in range(1, steps + 1):
        check_time()
        prefix = torch.zeros(1, steps, dtype=rounding.bound, device=low.device)
        prefix[:, :t] = 1.0
        sums = loop.current(DelayedSpikes(_CountsSoFar(low, high), box)).combine(prefix)
        reached = Box(sums.lower[0].double(), sums.upper[0].double())
        counts = counts_behind(counts, reached, t * slack, driven.limits, rule.drop)
        low[t - 1], high[t - 1] = counts.lower, counts.upper
    return CountedSpikes(known, low, high)


def counts_behind(counts: Box, sums: Box, stray: Tensor, limits: tuple[float, float], drop: float) -> Box:
    """Return the least and the most N[t].

    Tests call it with numbers made by hand: in `counted` θ⁺ − θ⁻ is at most t·σ, and what one part of the slack
    leaves out another covers, so that runs alone could not tell whether all of it is paid.

    Args:
        counts: N[t−1].
        sums: C[t].
        stray: t·σ.
        limits: θ⁺, above which a run fires, and θ⁻, below which it does not.
        drop: d.
    """
    (surely, perhaps), (least, most) = limits, (counts.lower, counts.upper)
    under = _potential(sums.lower, drop * least, stray, -1.0)
    over = _potential(sums.upper, drop * most, stray, 1.0)
    return Box(least + (under > surely), most + (over >= perhaps))


def _potential(sums: Tensor, left: Tensor, stray: Tensor, sign: float) -> Tensor:
    """Return C − d·N, moved in the direction of `sign` by what it may stray, and by its rounding."""
    size = stray + 8 * EPS * (sums.abs() + left + stray)
    return sums - left + sign * size
