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

from ...models.networks import SpikingNetwork
from ...models.neurons import LIF
from ..bounds.box import Box
from ..bounds.propagation import check_readout, propagate
from ..bounds.rounding import Rounding
from ..bounds.signals import Signal
from .relaxation import Neuron
from .unrolled import Readout


@dataclass(frozen=True)
class Point(Signal):
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

    neurons: tuple[Neuron, ...]
    logits: Tensor


def slacks(network: SpikingNetwork, box: Box, readout: Readout, summands: int) -> Slacks:
    """Return the slacks of a run of `network` on inputs in `box`, bounded with sums of up to `summands` terms.

    Raises:
        OverflowError: where the run may overflow its dtype, or sums are too long to say anything.
    """
    rounding, own = Rounding(network.dtype), Rounding(torch.float64)
    relative = own.gamma(4 * summands + 1000)
    size = box.magnitude if network.encoding == "direct" else box.magnitude.amax(1)
    neurons: list[Neuron] = []

    def record(current: Signal, neuron: LIF, rounding: Rounding) -> Signal:
        neurons.append(_neuron(current, neuron, rounding, relative))
        return Point(torch.ones_like(current.steps().lower[0]), network.num_steps)

    layers = network.layers[:-1] if network.readout == "potential" else network.layers
    signal = propagate(layers, Point(size, network.num_steps), record, rounding)
    check_readout(network, signal, rounding)
    row = size.new_tensor([readout.weights]) * readout.factor
    largest = signal.magnitude() * row.abs().sum()
    logits = signal.combine(row).radius.squeeze(0) + (16 * rounding.unit + relative) * largest
    return Slacks(tuple(neurons), logits + rounding.smallest)


def _neuron(current: Signal, neuron: LIF, rounding: Rounding, relative: float) -> Neuron:
    dynamics, steps = neuron.dynamics, current.num_steps
    scale = neuron.scale(steps)
    steepest = 1.0 if scale is None else float(scale.detach().abs().max())
    widest = current.magnitude() * steepest
    size = sum(dynamics.decay**k for k in range(steps)) * (widest + dynamics.span)
    if not bool((size <= rounding.largest).all()):
        raise OverflowError(f"a membrane potential may reach {float(size.max()):.3g}, beyond {rounding.dtype}")
    run = current.steps().radius.amax(0) * steepest + rounding.smallest
    run = run + 8 * rounding.unit * (dynamics.decay * size + widest + dynamics.span)
    tie = 8 * rounding.unit * dynamics.threshold
    slack = 2 * run + relative * (size + widest + dynamics.span)
    return Neuron(dynamics, slack, dynamics.threshold + tie, dynamics.threshold - tie, relative)
