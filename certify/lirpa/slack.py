"""How far the run, and auto_LiRPA's own arithmetic, may stray: one slack per neuron, one per logit.

The run. Its current Î errs from W·ŝ + b, exact at its own spikes, by the radius that the box bound gives a
*point*: what `propagate` makes of a signal known exactly is rounding alone. The membrane adds at most
8u·(λ|û| + |aI| + max(θ, d)), as in bounds/membrane.py. The sum of both is |e[t]| of relaxation.py.

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
from ..bounds.signals.signals import Signal
from ..rounding import Rounding, own_error, power_sum, reading_slack, recursion_slack, tie
from .relaxation import RelaxedLayer
from .unrolled import Readout


@dataclass(frozen=True)
class KnownSignal(Signal):
    """A signal known exactly, at 0, but of modulus up to `size`: boxes behind it are rounding errors."""

    size: Tensor
    num_steps: int
    constant: bool = False

    def steps(self) -> Box:
        """Return the point at one step, (1, batch, ...)."""
        return self.combine(self.size.new_zeros(1, self.num_steps))

    def combine(self, rows: Tensor) -> Box:
        """Return a point for each row."""
        zero = self.size.new_zeros(len(rows), *self.size.shape)
        return Box(zero, zero)

    def magnitude(self) -> Tensor:
        """Return the bound of the modulus."""
        return self.size


@dataclass(frozen=True)
class Slacks:
    """`neurons` of each spiking layer in execution order; `logits`: error of each logit, (1 or batch, classes)."""

    neurons: tuple[RelaxedLayer, ...]
    logits: Tensor


def slacks(circuit: Circuit, box: Box, readout: Readout, summands: int) -> Slacks:
    """Return the slacks of a run of `circuit` on inputs in `box`, bounded with sums of up to `summands` terms.

    Raises:
        OverflowError: where the run may overflow its dtype, or sums are too long to say anything.
    """
    rounding, relative = Rounding(circuit.dtype), own_error(4 * summands + 1000)
    size = circuit.arranged(box.magnitude).amax(0)
    layers: list[RelaxedLayer] = []

    def record(current: Signal, rule: Leaky, rounding: Rounding) -> Signal:
        layers.append(_relaxed(current, rule, rounding, relative))
        return KnownSignal(torch.ones_like(current.steps().lower[0]), circuit.num_steps)

    signal = propagate(circuit, KnownSignal(size, circuit.num_steps), record, rounding)[-1]
    check_readout(circuit, signal, rounding)
    row = size.new_tensor([readout.weights]) * readout.factor
    largest = signal.magnitude() * row.abs().sum()
    logits = signal.combine(row).radius.squeeze(0) + reading_slack(largest, rounding) + relative * largest
    return Slacks(tuple(layers), logits + rounding.smallest)


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
