"""`walks.c` for what points.py does: all layers of a chain in one pass, row by row.

A chain is layers that fire, each behind a dense layer of what the one before it fires, with or without a synapse
between, and each hearing itself or not, by a dense layer and a synapse or not. What such a layer is given, how far
its run may stray and what an open spike leaves is as in points.py. Two things differ: sums have another order, of
what is not 0, which γ_k covers in any order (certify/rounding/sums.py); and a row is walked from the step on at
which it differs from the one before, for up to there it is that one.

Nothing is said where a number comes near an overflow: then the walk is that of points.py, which refuses it. Radii
of currents and potentials are held below `tame`, γ_0 of float64 times what the run's dtype may reach. A radius has
at least that γ_0 times the moduli of all its products, so neither their sums overflow nor two of these together.

Of layers before the last one only that their spikes are spikes is passed on: who reads the logits asks the last.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels.walks import LANES, STATES, WalkLayer, WalkMap, walks_kernel
from ...models.circuit import Circuit, Filtered, Fired, Input, Mapped, Node, Recurred, fold
from ...models.deadline import check_time
from ...models.elements.synapses import TemporalFilter
from ...models.linear_maps import DenseMap, LinearMap
from ...models.rules import plain
from ...models.source import OWN
from ..rounding import Rounding, product_error, step_error, sum_slack, tie
from .points import PointInput, PointPropagation, PointSignals, Said, point_input, point_signals
from .propagation import Propagation
from .signals.affine import affine_map
from .signals.box import Box
from .signals.signals import Signal
from .trains.recurrent import Known
from .trains.trains import step_spikes

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
