"""Inputs that are known exactly, one a row: potentials step by step, and both ways where a step is too close.

**One step.** The run's û[t−1] lies in a box [l, h], with |û| ≤ M, its scaled current in another one, with |x̂| ≤ X.
Then v̂[t] lies in λ·[l, h] + [x] ± 8u·(λM + X + δ) ± η (`certify/rounding.py`, of which this is one step,
with the M and X of that step and neuron in place of those of all). A spike leaves what after_reset of intervals.py
says. Only how far numbers are from zero at their own step is paid for: over hundreds of steps that is what tells
an exact input's spikes in float32.

**Said spikes.** Of a row's runs those are meant in which the spikes are that are said to be, and not those that
are said not to be. So what is said takes the place of what a potential's box says of that spike, and decides which
of the two cases of after_reset goes on; the boxes of potentials are left as they are.

`walks.c` for what points.py does: all layers of a chain in one pass, row by row.

A chain is layers that fire, each behind a dense layer of what the one before it fires, with or without a synapse
between, and each hearing itself or not, by a dense layer and a synapse or not. What such a layer is given, how far
its run may stray and what an open spike leaves is as in points.py. Two things differ: sums have another order, of
what is not 0, which γ_k covers in any order (certify/rounding.py); and a row is walked from the step on at
which it differs from the one before, for up to there it is that one.

Nothing is said where a number comes near an overflow: then the walk is that of points.py, which refuses it. Radii
of currents and potentials are held below `tame`, γ_0 of float64 times what the run's dtype may reach. A radius has
at least that γ_0 times the moduli of all its products, so neither their sums overflow nor two of these together.

Of layers before the last one only that their spikes are spikes is passed on: who reads the logits asks the last.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...kernels.walks import LANES, STATES, WalkLayer, WalkMap, walks_kernel
from ...models.circuit import Circuit, Filtered, Fired, Input, Mapped, Node, Recurred, fold
from ...models.deadline import check_time
from ...models.elements.synapses import TemporalFilter
from ...models.linear_maps import DenseMap, LinearMap
from ...models.rules import Leaky, plain
from ...models.source import OWN
from ..rounding import Rounding, check_potential, product_error, step_error, sum_slack, tie
from .intervals import after_reset
from .propagation import Propagation, input_signal
from .signals.affine import affine_map
from .signals.membrane import scaled_spread
from .signals.signals import InputSignal, Signal
from .signals.windows import Box, Spread
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


Walker = Callable[[Circuit, Tensor, Said], PointSignals]

MOST_STATES = 1 << 25
"""Numbers of the states of a row over time: 256 MiB."""


def walker(made: Circuit) -> Walker:
    """Return what makes signals: the kernel of a chain, or torch's operations."""
    return point_signals if chain(made) is None else _walked


def _walked(made: Circuit, points: Tensor, said: Said) -> PointSignals:
    """Return what `point_signals` does."""
    found = compiled_signals(made, points, said)
    return point_signals(made, points, said) if found is None else found


@dataclass(frozen=True)
class ChainedLayer:
    """A layer that fires, as nodes.

    Attributes:
        mapped: the dense layer before it.
        filter: κ of a synapse between both, 0 for none.
        node: itself.
    """

    mapped: Mapped
    filter: float
    node: Fired | Recurred

    @property
    def size(self) -> int:
        """Return the number of neurons."""
        assert isinstance(self.mapped.map, DenseMap)
        return len(self.mapped.map.weight)


@dataclass(frozen=True)
class WalkChain:
    """Layers that fire, one behind the other; `front` only renames the input's coordinates."""

    front: tuple[LinearMap, ...]
    layers: tuple[ChainedLayer, ...]


def chain(made: Circuit) -> WalkChain | None:
    """Return a circuit's layers that fire as a chain; None where they are none that the kernel knows."""
    last = max((index for index, node in enumerate(made.nodes) if node in made.fired), default=0)
    first, *nodes = made.nodes[: last + 1]
    straight = all(node.sources == (index,) for index, node in enumerate(nodes))
    behind = all(source >= last for node in made.nodes[last + 1 :] for source in node.sources)
    on_cpu = made.device.type == "cpu" and not made.whole and isinstance(first, Input) and first.draws is None
    if not (last and straight and behind and on_cpu):
        return None
    front = list[LinearMap]()
    while nodes and isinstance(head := nodes[0], Mapped) and head.map.reshapes:
        front.append(head.map)
        nodes.pop(0)
    layers = list[ChainedLayer]()
    while nodes:
        found = _chained(nodes)
        if found is None:
            return None
        layers.append(found)
    if made.allowance is not OWN and any(each.filter for each in layers):
        return None  # a synapse's step is paid here by what it holds, and not by all that a source may hold
    states = STATES * made.num_steps * sum(each.size + LANES for each in layers)
    return WalkChain(tuple(front), tuple(layers)) if states <= MOST_STATES else None


def _chained(nodes: list[Node]) -> ChainedLayer | None:
    """Take a layer from the front of a list; None where there is none that the kernel knows."""
    mapped, node = nodes.pop(0), nodes.pop(0) if nodes else None
    filter = node.filter if isinstance(node, Filtered) else None
    node = nodes.pop(0) if isinstance(node, Filtered) and nodes else node
    if not isinstance(mapped, Mapped) or not isinstance(node, Fired | Recurred) or not plain(node.rule):
        return None
    maps = (mapped.map, node.feedback) if isinstance(node, Recurred) else (mapped.map,)
    filters = (filter, node.filter) if isinstance(node, Recurred) else (filter,)
    known = all(type(each) is DenseMap for each in maps) and not any(each and each.delay for each in filters)
    return ChainedLayer(mapped, _decay(filter), node) if known else None


def _decay(filter: TemporalFilter | None) -> float:
    return 0.0 if filter is None else filter.decay


def compiled_signals(made: Circuit, points: Tensor, said: Said) -> PointSignals | None:
    """Return what `point_signals` does of a chain, by the kernel; None where numbers are too large for it."""
    known, source, rounding = chain(made), point_input(made, points), Rounding.of(made)
    if known is None or not isinstance(source, PointInput):
        return None
    entering = source.box.lower.transpose(0, 1)
    for each in known.front:
        entering = each.linear(entering.flatten(0, 1)).unflatten(0, entering.shape[:2])
    if entering.dim() != 3 or entering.shape[2] != known.layers[0].mapped.map.terms:
        return None
    reader = PointPropagation(source, step_spikes, rounding, exact=made.exact)
    reach = [entering.abs().amax(), *[entering.new_ones(()) for _ in known.layers[1:]]]
    layers = [_layer(reader, each, most) for each, most in zip(known.layers, reach, strict=True)]
    tame = rounding.largest * product_error(0, Rounding(torch.float64))
    found = walks_kernel().walk(layers, entering.contiguous(), said.marks, made.num_steps, tame, check_time)
    if found is None:
        return None
    certain, possible = (ends.transpose(0, 1) for ends in found[:2])
    last = Known(Box(certain, possible), possible.amax(0), binary=True)
    walked = WalkedPropagation(source, step_spikes, rounding, exact=made.exact, last=made.fired[-1], walked=last)
    return PointSignals(fold(made, walked), found[2])


def _layer(reader: PointPropagation, known: ChainedLayer, reach: Tensor) -> WalkLayer:
    """Return a layer with what its run and the bound may be off, for entries that are at most `reach`."""
    rule, node, own = known.node.rule, known.node, reader.of(known.node)
    assert plain(rule)
    near, rounding = tie(rule.threshold, own), reader.rounding
    one = torch.ones(1, dtype=torch.float64)
    constants = (
        rule.decay,
        rule.threshold + near,
        rule.threshold - near,
        rule.drop,
        rule.span,
        step_error(0.0, 0.0, 1.0, own),
        own.smallest,
    )
    synapses = step_error(0.0, 0.0, 1.0, rounding), rounding.smallest, float(sum_slack(one, 1, rounding))
    heard = None
    if isinstance(node, Recurred):
        heard = _map(node.feedback, one, _decay(node.filter), rounding)
    mapped = _map(known.mapped.map, reach, known.filter, reader.of(known.mapped))
    return WalkLayer(mapped, heard, rule.scale_like(one), constants, synapses, rule.reset)


def _map(dense: LinearMap, reach: Tensor, filter: float, rounding: Rounding) -> WalkMap:
    """Return a dense layer as the kernel reads it, with what it may be off in the run and here."""
    assert isinstance(dense, DenseMap)
    made, size = affine_map(dense, rounding.bound), (len(dense.weight),)
    errors = product_error(torch.arange(made.terms + 1, dtype=torch.float64), rounding)
    bias, most = (each.expand(size).contiguous() for each in (made.bias, made.bias_magnitude))
    lost = made.underflow(reach, rounding)
    return WalkMap(dense.weight.to(rounding.bound), bias, most, errors, lost, filter)


@dataclass(frozen=True)
class WalkedPropagation(Propagation):
    """What is known of signals where a kernel has walked all layers that fire.

    Attributes:
        last: the last of them.
        walked: its spikes; of those before it nothing is known.
    """

    last: Node | None = None
    walked: Known | None = None

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return the spikes."""
        return self._spiking(node, x)

    def recurred(self, node: Recurred, x: Signal) -> Signal:
        """Return the spikes."""
        return self._spiking(node, x)

    def _spiking(self, node: Node, x: Signal) -> Known:
        assert self.walked is not None
        if node is self.last:
            return self.walked
        one = torch.ones_like(x.magnitude())
        ends = one.expand(x.num_steps, *one.shape)
        return Known(Box(torch.zeros_like(ends), ends), one, binary=True)
