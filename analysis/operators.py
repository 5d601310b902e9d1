"""The linear operator in front of each spiking layer: from the signals it reads to its input current.

A layer may read several signals (the network's input, and spikes of earlier layers) through residual sums. Its
operator acts on all of them, stacked: I = Σ_j W_j s_j + b, of which only the W_j matter to a perturbation. Filters
over time commute with it: a layer's operator names those that each of its signals goes through.
"""

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..models import LIF, SpikingNetwork
from ..models.circuit import Algebra, Circuit, circuit, fold, nodes
from ..models.elements.synapses import TemporalFilter
from ..models.linear_maps import DenseMap, FlattenMap, LinearMap, ScaleMap, Shape
from ..models.linear_maps.averaging import UnflattenMap, WholeInputMap
from ..models.linear_neuron import LinearNeuron, leaking
from ..models.rules import LEAKY, VARIED, Leaky
from ..models.validation import check_weights
from .expressions import Applied, Expression, Reference, Total, leaves

INPUT = -1
"""The index of the network's input among the signals; spiking layer k is signal k."""


@dataclass(frozen=True)
class LayerOperator:
    """What stands in front of one spiking layer (or, without a rule, the readout behind the last).

    Attributes:
        name: the path of the neuron in the network, as in its state dict.
        expression: the linear map.
        sources: the shapes of the signals that it reads, by index.
        rule, layer: of the spiking layer, as numbers and with gradients; None for the readout.
        peaks: what stands behind each source of an index below that of the input: a max pool.
        filters: the synapses that each signal goes through, the first first.
    """

    name: str
    expression: Expression
    sources: Mapping[int, Shape]
    rule: Leaky | LinearNeuron | None = None
    layer: LIF | None = None
    filters: tuple[TemporalFilter, ...] = ()
    peaks: "Mapping[int, Peaks]" = field(default_factory=dict)

    @property
    def signals(self) -> dict[int, Shape]:
        """Return the shapes of the signals that are read, through max pools, too."""
        found = {index: shape for index, shape in self.sources.items() if index >= INPUT}
        for peak in self.peaks.values():
            found |= peak.inner.signals
        return dict(sorted(found.items()))

    @property
    def decay(self) -> float:
        """Return λ of a spiking layer; of neurons that differ the greatest.

        Any gain of the filter Σ_k λ^{t−k}·w[k] from one norm of ℓ1, ℓ2, ℓ∞ to another grows with λ ∈ [0, 1], since
        its matrix has no entry below 0 and each grows; and ‖ε_j‖ ≤ g(λ_j)·‖w_j‖ ≤ g(max λ)·‖w_j‖ neuron by neuron.
        """
        assert self.rule is not None
        return self.rule.slowest

    @cached_property
    def chain(self) -> tuple[LinearMap, ...] | None:
        """Return the maps in order, scales folded into weights before them, or None if there is a sum."""
        applied: list[Applied] = []
        node = self.expression
        while isinstance(node, Applied):
            applied.insert(0, node)
            node = node.operand
        return tuple(_folded(applied)) if isinstance(node, Reference) else None

    @cached_property
    def dense(self) -> DenseMap | None:
        """Return the one dense map where the operator is that and reshaping, else None.

        On images a dense map acts along the last axis alone, row by row: its weight is not the matrix then.
        """
        maps = [linear for linear in self.chain or () if not linear.reshapes]
        only = maps[0] if len(maps) == 1 else None
        if not isinstance(only, DenseMap) or tuple(only.weight.shape) != (self.rows, self.columns):
            return None
        return only

    @property
    def columns(self) -> int:
        """Return the number of entries of all signals that are read."""
        return sum(_size(shape) for shape in self.sources.values())

    @property
    def rows(self) -> int:
        """Return the number of neurons."""
        return _size(self.expression.shape)

    def absolute(self) -> "LayerOperator":
        """Return the operator of absolute maps: its matrix bounds |A| entry by entry."""
        return replace(self, expression=self.expression.absolute())

    def apply(self, stacked: Tensor) -> Tensor:
        """Return A·x for stacked signals (batch, columns) → (batch, rows)."""
        parts = stacked.split([_size(shape) for shape in self.sources.values()], dim=1)
        signals = {
            index: part.reshape(-1, *shape)
            for (index, shape), part in zip(self.sources.items(), parts, strict=True)
        }
        return self.expression.evaluate(signals).flatten(1)

    def adjoint(self, output: Tensor) -> Tensor:
        """Return Aᵀ·y for outputs (batch, rows) → (batch, columns)."""
        with torch.enable_grad():
            zero = output.new_zeros(len(output), self.columns).requires_grad_()
            (gradient,) = torch.autograd.grad(self.apply(zero), zero, output)
        return gradient


@dataclass(frozen=True)
class Peaks:
    """The greatest entries of windows of a linear expression in signals.

    |max_j x_j − max_j y_j| ≤ max_j |x_j − y_j|, and of m windows that hold an entry each has its change at most
    once. So ‖pool(x) − pool(y)‖_p^p ≤ Σ_windows Σ_j |x_j − y_j|^p ≤ m·‖x − y‖_p^p: a max pool is m^{1/p}-
    Lipschitz, and 1-Lipschitz in ℓ∞, where windows overlap, too. Time steps are pooled one by one.

    Attributes:
        inner: the operator of what is pooled.
        shared: m, the most windows that hold one entry.
    """

    inner: LayerOperator
    shared: int


def layer_operators(
    network: SpikingNetwork, input_shape: Shape | None = None, live: bool = False, filters: bool = False
) -> tuple[LayerOperator, ...]:
    """Return the operator of each spiking layer in execution order, then that of the readout if it is affine.

    Args:
        network: any network with finite weights.
        input_shape: of one sample at one step; None: found from the layers, where they leave one choice.
        live: hold the weights themselves, so that gradients reach them, and leave them unchecked.
        filters: whether synapses are welcome: what is made of the operators must know their `filters`.

    Raises:
        TypeError: for a layer that no node, or a rule that no gain, is known of.
        ValueError: for NaN or inf in the weights, or an input shape that does not fit or is not unique.
    """
    if not live:
        check_weights(network)
    made = circuit(network)
    shape = input_shape_of(made) if input_shape is None else tuple(input_shape)
    reading = _Reading(shape, live)
    fold(made, reading)
    if not filters and made.filters:
        raise TypeError("network: has a synapse, and this analysis knows gains of layers without one only")
    return tuple(reading.operators)


def input_shape_of(made: Circuit) -> Shape:
    """Return the only input shape, with square images, that fits a network's layers.

    Raises:
        ValueError: where no shape or several fit, for then the caller must say.
    """
    front = made.maps[0]
    if isinstance(front, UnflattenMap) and front.axis == 1 and min(front.sizes) > 0:
        return (math.prod(front.sizes),)
    first = next(linear for linear in made.maps if linear.square(1) is not None)
    one, two = first.square(1), first.square(2)
    assert one is not None
    if one == two:  # a dense layer, which leaves one choice where only a Flatten stands before it
        if all(isinstance(linear, FlattenMap | WholeInputMap) for linear in made.maps[: made.maps.index(first)]):
            return one
        raise ValueError(
            "input_shape: got None, and the layers do not determine it: give (channels, height, width), or data"
        )
    fitting = [shape for size in range(1, 257) if (shape := first.square(size)) and _fits(made, shape)]
    if len(fitting) == 1:
        return fitting[0]
    sides = [shape[-1] for shape in fitting]
    sizes = f"square images of {sides[0]} to {sides[-1]} all fit" if fitting else "no square image fits"
    axes = "length" if len(one) == 2 else "height, width"
    raise ValueError(f"input_shape: got None, and {sizes}: give ({one[0]}, {axes}), or data")


def _fits(made: Circuit, shape: Shape) -> bool:
    try:
        fold(made, _Reading(shape))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Path:
    """An expression in the signals, and the synapses that each of these goes through."""

    expression: Expression
    filters: tuple[TemporalFilter, ...] = ()


@dataclass(frozen=True)
class _Reading(Algebra[_Path]):
    """Collects the operator in front of each spiking layer; a node's value is its expression in the signals."""

    reader: ClassVar[str] = "the analysis of gains"
    answers: ClassVar[frozenset[str]] = frozenset({LEAKY, VARIED})

    shape: Shape
    live: bool = False
    operators: list[LayerOperator] = field(default_factory=list)
    peaks: dict[int, Peaks] = field(default_factory=dict)

    def input(self, node: nodes.Input) -> _Path:
        """Return the input."""
        return _Path(Reference(self.shape, INPUT))

    def mapped(self, node: nodes.Mapped, x: _Path) -> _Path:
        """Return the map of an expression, in float64 unless it is live."""
        linear = node.map if self.live else node.map.to(torch.float64, "cpu")
        return replace(x, expression=Applied(linear.output_shape(x.expression.shape), linear, x.expression))

    def pooled(self, node: nodes.Pooled, x: _Path) -> _Path:
        """Return the maxima as a signal of their own, of an index below that of the input."""
        if self.live:
            raise self.refuse(node, "a max pool, through which a gain has no gradient here")
        if x.filters:
            raise self.refuse(node, "a max pool of what synapses filter")
        index, shape = INPUT - 1 - len(self.peaks), x.expression.shape
        self.peaks[index] = Peaks(self._operator(node.name, x), node.windows.shared(shape))
        return _Path(Reference(tuple(node.windows.largest(torch.zeros(1, *shape)).shape[1:]), index))

    def filtered(self, node: nodes.Filtered, x: _Path) -> _Path:
        """Return the expression, which step by step is the same, and note the filter."""
        return replace(x, filters=(*x.filters, node.filter))

    def added(self, node: nodes.Added, x: _Path, y: _Path) -> _Path:
        """Return the sum."""
        one, other = x.expression, y.expression
        if one.shape != other.shape:
            raise ValueError(f"input_shape: {node.name} adds {one.shape} and {other.shape}")
        if sorted(x.filters, key=astuple) != sorted(y.filters, key=astuple):
            raise self.refuse(node, "a sum of signals that go through different synapses")
        return replace(x, expression=Total(one.shape, one, other))

    def fired(self, node: nodes.Fired, x: _Path) -> _Path:
        """Note a spiking layer's operator, and return its spikes."""
        self._note(node, x)
        return _Path(Reference(x.expression.shape, len(self.operators) - 1))

    def recurred(self, node: nodes.Recurred, x: _Path) -> _Path:
        """Refuse a layer that hears itself: its current is no linear map of earlier signals alone."""
        raise self.refuse(node, f"a {type(node.layer).__name__}, whose current holds its own last spikes")

    def read(self, node: nodes.Read, x: _Path) -> _Path:
        """Note the operator of an affine readout, or of neurons whose potential is read."""
        if node.rule is not None:
            self._note(node, x)
        elif x.filters or not isinstance(x.expression, Reference):
            self.operators.append(self._operator("readout", x))
        return x

    def _note(self, node: nodes.Fired | nodes.Read, x: _Path) -> None:
        assert leaking(node.rule)
        self.operators.append(self._operator(node.name, x, node.rule, node.layer))

    def _operator(
        self, name: str, path: _Path, rule: Leaky | LinearNeuron | None = None, layer: LIF | None = None
    ) -> LayerOperator:
        sources = dict(sorted((leaf.index, leaf.shape) for leaf in set(leaves(path.expression))))
        peaks = {index: self.peaks[index] for index in sources if index < INPUT}
        return LayerOperator(name, path.expression, sources, rule, layer, path.filters, peaks)


def _folded(applied: list[Applied]) -> list[LinearMap]:
    result: list[LinearMap] = []
    for node in applied:
        merged = None
        if result and isinstance(node.linear, ScaleMap):
            merged = result[-1].scaled(node.linear.factor, node.linear.depth, len(node.shape))
        if merged is None:
            result.append(node.linear)
        else:
            result[-1] = merged
    return result


def _size(shape: Shape) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
