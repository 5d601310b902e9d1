"""How far the run, and auto_LiRPA's own arithmetic, may stray: one slack per neuron, one per logit.

The run. Its current Î errs from W·ŝ + b, exact at its own spikes, by the radius that the box bound gives a
*point*: what `propagate` makes of a signal known exactly is rounding alone. The membrane adds what
`recursion_slack` says. The sum of both is |e[t]| of relaxation.py.

auto_LiRPA computes in float64. Each coefficient that it passes backward is a sum of at most n products, so it
errs by γ_n times the same sum over moduli. A coefficient A of v[t] is passed on to λû, to the spikes before and
to the bias; so the error that this adds to the bound is at most γ_n·|A|·(λ|û| + |a|(|W||s| + |b|)), and |A|·slack
covers it once the slack holds γ_n·(…) too. What it adds up on the side (offsets of planes) is covered by
`relative`. Its intervals of z are sums of the same kind, which the slack widens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.rules import Leaky
from ..bounds.propagation import check_readout, propagate
from ..bounds.signals.box import Box
from ..bounds.signals.signals import InputSignal, Signal
from ..rounding import Rounding, own_error, power_sum, reading_slack, recursion_slack, tie
from .relaxation import RelaxedLayer


@dataclass(frozen=True)
class KnownSignal(InputSignal):
    """A signal known exactly, at 0, but of modulus up to `size`: boxes behind it are rounding errors."""

    size: Tensor

    def magnitude(self) -> Tensor:
        """Return the bound of the modulus."""
        return self.size


@dataclass(frozen=True)
class Slacks:
    """`neurons` of each spiking layer in execution order; `logits`: error of each logit, (1 or batch, classes)."""

    neurons: tuple[RelaxedLayer, ...]
    logits: Tensor


def slacks(circuit: Circuit, box: Box, row: Tensor) -> Slacks:
    """Return the slacks of a run of `circuit` on inputs in `box`, read by a row over time, (1, T).

    Raises:
        OverflowError: where the run may overflow its dtype, or sums are too long to say anything.
    """
    rounding, steps = Rounding.of(circuit), circuit.num_steps
    currents: list[tuple[Signal, Leaky]] = []

    def known(size: Tensor) -> KnownSignal:
        zero = torch.zeros_like(size[None])
        return KnownSignal(Box(zero, zero), steps, size)

    def record(current: Signal, rule: Leaky, rounding: Rounding) -> Signal:
        currents.append((current, rule))
        return known(torch.ones_like(current.steps().lower[0]))

    signals = propagate(circuit, known(circuit.arranged(box.magnitude).amax(0)), record, rounding)
    summands = 2 * sum(signal.steps().lower[0, 0].numel() for signal in signals[1:-1]) + 2 * box.lower[0].numel()
    relative = own_error(4 * steps * summands + 1000)
    check_readout(circuit, signals[-1], rounding)
    largest = signals[-1].magnitude() * row.abs().sum()
    logits = signals[-1].combine(row).radius.squeeze(0) + reading_slack(largest, rounding) + relative * largest
    layers = tuple(_relaxed(current, rule, rounding, relative) for current, rule in currents)
    return Slacks(layers, logits + rounding.smallest)


def _relaxed(current: Signal, rule: Leaky, rounding: Rounding, relative: float) -> RelaxedLayer:
    steps = current.num_steps
    steepest = max(map(abs, rule.factors(steps)))
    widest = current.magnitude() * steepest
    size = power_sum(rule.decay, steps) * (widest + rule.span)
    run = current.steps().radius.amax(0) * steepest
    run = run + recursion_slack(widest, rule.decay, rule.span, steps, rounding)
    either = tie(rule.threshold, rounding)
    slack = 2 * run + relative * (size + widest + rule.span)
    return RelaxedLayer(rule, slack, rule.threshold + either, rule.threshold - either, relative)
