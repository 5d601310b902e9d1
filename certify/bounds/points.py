"""Inputs that are known exactly, one a row: potentials step by step, and both ways where a step is too close.

**One step.** The run's û[t−1] lies in a box [l, h], with |û| ≤ M, its scaled current in another one, with |x̂| ≤ X.
Then v̂[t] lies in λ·[l, h] + [x] ± 8u·(λM + X + δ) ± η (`certify/rounding/recursion.py`, of which this is one step,
with the M and X of that step and neuron in place of those of all). A spike leaves what after_reset of resets.py
says. Only how far numbers are from zero at their own step is paid for: over hundreds of steps that is what tells
an exact input's spikes in float32.

**Said spikes.** Of a row's runs those are meant in which the spikes are that are said to be, and not those that
are said not to be. So what is said takes the place of what a potential's box says of that spike, and decides which
of the two cases of after_reset goes on; the boxes of potentials are left as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, Node, Recurred, fold
from ...models.deadline import check_time
from ...models.rules import Leaky
from ..rounding import Rounding, check_potential, step_error, tie
from .intervals.resets import after_reset
from .propagation import Propagation, input_signal
from .signals.affine import affine_map
from .signals.box import Box, Spread
from .signals.membrane import scaled_spread
from .signals.signals import Signal
from .trains.recurrent import FeedbackLoop, Known
from .trains.trains import step_spikes

Entering = Callable[[int, Box], Spread]
"""The box of a step's current, of the step t = 0..T−1 and the layer's spikes of the step before."""


@dataclass(frozen=True)
class Said:
    """Spikes that are said to be there, 1, or not, −1, and where nothing is said 0: (T, rows, neurons), int8."""

    of: dict[Node, Tensor]

    def among(self, rows: Tensor) -> "Said":
        """Return what is said of some rows."""
        return Said({node: said[:, rows] for node, said in self.of.items()})


@dataclass(frozen=True)
class PointPropagation(Propagation):
    """What is known of signals of inputs that are known exactly.

    Attributes:
        said: of spikes.
        alike: at how many first steps all rows are alike, in what enters and in what is said: one is walked there.
    """

    said: Said = field(default_factory=lambda: Said({}))
    alike: int = 0

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return the spikes, step by step."""
        if type(node.rule) is not Leaky:
            return super().fired(node, x)
        spread = x.spread()
        size = len(spread.middle)

        def entering(t: int, before: Box) -> Spread:
            """Return the box of a step's current."""
            own, rows = slice(t % size, t % size + 1), before.lower.shape[1]
            return Spread(spread.middle[own, :rows], spread.radius[own, :rows])

        return self._walked(node, node.rule, entering, spread.middle[:1])

    def recurred(self, node: Recurred, x: Signal) -> Signal:
        """Return the spikes, step by step, each heard at the next."""
        if type(node.rule) is not Leaky:
            return super().recurred(node, x)
        loop = FeedbackLoop(x, affine_map(node.feedback, self.rounding.bound), self.rounding, node.filter)
        loop.free.magnitude()  # refuses what may overflow
        return self._walked(node, node.rule, loop.follow(), x.steps().lower[:1])

    def _walked(self, node: Node, rule: Leaky, entering: Entering, like: Tensor) -> Known:
        walk, rounding = PointWalk.before(rule, like[:, :1], self.of(node)), self.of(node)
        said, found, scale = self.said.of.get(node), list[Box](), rule.scale_like(like)
        for t in range(self.source.num_steps):
            check_time()
            walk = walk.of_rows(like) if t == self.alike else walk
            current = scaled_spread(entering(t, walk.spikes), None if scale is None else scale[t : t + 1])
            own = None if said is None else said[t].view_as(like)[:, : current.middle.shape[1]]
            walk = walk.after(current, own)
            found.append(walk.spikes)
        check_potential(walk.widest, rounding)
        lower = torch.cat([each.lower.expand_as(like) for each in found])
        box = Box(lower, torch.cat([each.upper.expand_as(like) for each in found]))
        return Known(box, box.upper.amax(0), binary=True)


@dataclass(frozen=True)
class PointWalk:
    """Where potentials are behind a step.

    Attributes:
        rule: of the neurons.
        rounding: of the run and the bound.
        left: ends of u, (2, 1, rows, ...).
        spikes: those of the step.
        widest: the largest potential so far.
    """

    rule: Leaky
    rounding: Rounding
    left: Tensor
    spikes: Box
    widest: Tensor

    @staticmethod
    def before(rule: Leaky, like: Tensor, rounding: Rounding) -> "PointWalk":
        """Return the first one, of entries as in `like`, (1, rows, ...)."""
        silent = torch.zeros_like(like)
        return PointWalk(rule, rounding, torch.stack((silent, silent)), Box(silent, silent), silent)

    def of_rows(self, like: Tensor) -> "PointWalk":
        """Return the same for as many rows as in `like`, of one."""
        spikes = Box(self.spikes.lower.expand_as(like), self.spikes.upper.expand_as(like))
        return replace(self, left=self.left.expand(2, *like.shape), spikes=spikes)

    def after(self, current: Spread, said: Tensor | None) -> "PointWalk":
        """Return the next one."""
        rule, decayed, near = self.rule, self.left * self.rule.decay, tie(self.rule.threshold, self.rounding)
        surely, perhaps = rule.threshold + near, rule.threshold - near
        size = decayed.abs().amax(0) + current.middle.abs() + current.radius
        error = step_error(0.0, size, size + rule.span, self.rounding) + self.rounding.smallest
        radius = current.radius + error
        potential = decayed + torch.stack((current.middle - radius, current.middle + radius))
        must, may = potential[0] > surely, potential[1] >= perhaps
        if said is not None:
            must, may = (must | (said > 0)) & (said >= 0), (may & (said >= 0)) | (said > 0)
        spikes = torch.stack((must, may)).to(potential)
        left = after_reset(potential, spikes, rule.reset, (surely, perhaps), rule.drop)
        return PointWalk(
            rule, self.rounding, left, Box(spikes[0], spikes[1]), self.widest.maximum(size + rule.span + error)
        )


def point_signals(made: Circuit, points: Tensor, said: Said) -> list[Signal]:
    """Return what is known of each node for inputs, (rows, ...) of float64, in the runs of which it is said."""
    source, rounding = input_signal(made, Box(points, points)), Rounding(made.dtype, whole=made.whole)
    alike = 0
    if len(points) > 1:
        enters = source.steps().lower
        alike = min(map(_alike, (enters.expand(made.num_steps, *enters.shape[1:]), *said.of.values())))
    return fold(made, PointPropagation(source, step_spikes, rounding, exact=made.exact, said=said, alike=alike))


def _alike(rows: Tensor) -> int:
    """Return at how many first steps all rows are alike, of (T, rows, ...)."""
    other = (rows != rows[:, :1]).flatten(1).any(1)
    return int(other.int().argmax()) if bool(other.any()) else len(rows)
