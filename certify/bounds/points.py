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
from ...models.rules import Leaky, plain
from ..rounding import Rounding, check_potential, step_error, tie
from .intervals.resets import after_reset
from .propagation import Propagation, input_signal
from .signals.affine import affine_map
from .signals.box import Box, Spread
from .signals.membrane import scaled_spread
from .signals.signals import InputSignal, Signal
from .trains.recurrent import FeedbackLoop, Known
from .trains.trains import step_spikes

Entering = Callable[[int, Box], Spread]
"""The box of a step's current, of the step t = 0..T−1 and the layer's spikes of the step before."""


@dataclass(frozen=True)
class Said:
    """Spikes that are said to be there or not.

    Attributes:
        marks: as many of each row, (rows, k, 4): the step, the layer among those that fire, the neuron, rising in
            this order; and 1 where the spike is there, −1 where it is not.
    """

    marks: Tensor

    @staticmethod
    def nothing(points: Tensor) -> "Said":
        """Return what is said of points, (rows, ...), where nothing is."""
        return Said(torch.empty(len(points), 0, 4, dtype=torch.long, device=points.device))

    def among(self, rows: Tensor) -> "Said":
        """Return what is said of some rows."""
        return Said(self.marks[rows])

    def both_ways(self, spikes: Tensor) -> "Said":
        """Return the same twice, with a spike of each row, (rows, 3), that is there, and then not."""
        ways = (torch.cat((spikes, torch.full_like(spikes[:, :1], way)), 1) for way in (1, -1))
        return Said(torch.cat([torch.cat((self.marks, own[:, None]), 1) for own in ways]))

    def of(self, layer: int, shape: tuple[int, int, int]) -> Tensor | None:
        """Return what is said of a layer, (T, rows, neurons) of int8, 0 where nothing is; None: nothing at all."""
        row, place = (self.marks[:, :, 1] == layer).nonzero(as_tuple=True)
        if not len(row):
            return None
        said = torch.zeros(shape, dtype=torch.int8, device=row.device)
        step, _, neuron, way = self.marks[row, place].unbind(1)
        said[step, row, neuron] = way.to(torch.int8)
        return said


@dataclass(frozen=True)
class PointSignals:
    """What is known of inputs that are known exactly.

    Attributes:
        known: of each node, in the runs of which it is said.
        opened: the step, layer and neuron of each row's first open spike, −1 where all are told, (rows, 3).
    """

    known: list[Signal]
    opened: Tensor


@dataclass(frozen=True)
class PointInput(InputSignal):
    """Points, which have a magnitude of their own at each step: a layer that fires follows, or nothing at all."""

    def sized(self) -> tuple[Spread, Tensor]:
        """Return the points and their moduli."""
        spread = self.spread()
        return spread, spread.middle.abs()


@dataclass(frozen=True)
class PointPropagation(Propagation):
    """What is known of signals of inputs that are known exactly.

    Attributes:
        said: of spikes.
        firing: the layers that fire, in order.
        alike: at how many first steps all rows are alike, in what enters and in what is said: one is walked there.
    """

    said: Said = field(default_factory=lambda: Said.nothing(torch.empty(0)))
    firing: tuple[Node, ...] = ()
    alike: int = 0

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return the spikes, step by step."""
        if not plain(node.rule):
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
        if not plain(node.rule):
            return super().recurred(node, x)
        loop = FeedbackLoop(x, affine_map(node.feedback, self.rounding.bound), self.rounding, node.filter)
        loop.free.magnitude()  # refuses what may overflow
        return self._walked(node, node.rule, loop.follow(), x.steps().lower[:1])

    def _walked(self, node: Node, rule: Leaky, entering: Entering, like: Tensor) -> Known:
        walk, rounding = PointWalk.before(rule, like[:, :1], self.of(node)), self.of(node)
        steps, found, scale = self.source.num_steps, list[Box](), rule.scale_like(like)
        said = self.said.of(self.firing.index(node), (steps, like.shape[1], like[0, 0].numel()))
        for t in range(steps):
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


def point_signals(made: Circuit, points: Tensor, said: Said) -> PointSignals:
    """Return what is known of each node for inputs, (rows, ...) of float64, in the runs of which it is said."""
    source, rounding = point_input(made, points), Rounding.of(made)
    alike = 0
    if len(points) > 1:
        enters = source.steps().lower
        first = int(said.marks[:, :, 0].min()) if said.marks.numel() else made.num_steps
        alike = min(_alike(enters.expand(made.num_steps, *enters.shape[1:])), first)
    options = {"exact": made.exact, "said": said, "firing": made.fired, "alike": alike}
    known = fold(made, PointPropagation(source, step_spikes, rounding, **options))
    boxes = [signal.steps() for node, signal in zip(made.nodes, known, strict=True) if node in made.fired]
    return PointSignals(known, _first_open(boxes, points))


def point_input(made: Circuit, points: Tensor) -> InputSignal:
    """Return what enters the first layer."""
    found = input_signal(made, Box(points, points))
    return PointInput(found.box, found.num_steps) if type(found) is InputSignal else found


def _first_open(boxes: list[Box], points: Tensor) -> Tensor:
    """Return the step, layer and neuron of each row's first open spike, −1 where there is none, (rows, 3)."""
    found = torch.full((len(points), 3), -1, device=points.device)
    if not boxes:
        return found
    opened = [(box.lower < box.upper).flatten(2) for box in boxes]
    steps = len(opened[0])
    first = torch.stack([torch.where(own.any(2).any(0), own.any(2).int().argmax(0), steps) for own in opened])
    step, layer = first.min(0)
    for index, own in enumerate(opened):
        mine = ((step < steps) & (layer == index)).nonzero().flatten()
        neuron = own[step[mine], mine].int().argmax(1)
        found[mine] = torch.stack((step[mine], torch.full_like(mine, index), neuron), 1)
    return found


def _alike(rows: Tensor) -> int:
    """Return at how many first steps all rows are alike, of (T, rows, ...)."""
    other = (rows != rows[:, :1]).flatten(1).any(1)
    return int(other.int().argmax()) if bool(other.any()) else len(rows)
