"""The linear operator in front of each spiking layer: from the signals it reads to its input current.

A layer may read several signals (the network's input, and spikes of earlier layers) through residual sums. Its
operator acts on all of them, stacked: I = Σ_j W_j s_j + b, of which only the W_j matter to a perturbation.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ..models import LIF, Residual, SpikingNetwork
from ..models.validation import check_weights
from .stages import Dense, Flatten, Shape, Stage, fold, stage

INPUT = -1
"""The index of the network's input among the signals; spiking layer k is signal k."""


@dataclass(frozen=True)
class Expression(ABC):
    """A linear expression in the signals, of a known shape."""

    shape: Shape

    @abstractmethod
    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the value for signals (batch, *shape of the signal)."""

    @abstractmethod
    def absolute(self) -> "Expression":
        """Return the expression in which every stage has its absolute matrix."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """Return the number of roundings on the longest path."""


@dataclass(frozen=True)
class Signal(Expression):
    """The input (index −1), or the spikes of spiking layer `index`."""

    index: int

    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the signal itself."""
        return signals[self.index]

    def absolute(self) -> Expression:
        """Return the signal itself."""
        return self

    @property
    def depth(self) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True)
class Applied(Expression):
    """A stage applied to an expression."""

    stage: Stage
    operand: Expression

    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the stage of the operand's value."""
        return self.stage.apply(self.operand.evaluate(signals))

    def absolute(self) -> Expression:
        """Return the absolute stage applied to the absolute operand."""
        return Applied(self.shape, self.stage.absolute(), self.operand.absolute())

    @property
    def depth(self) -> int:
        """Return the sum of both depths."""
        return self.stage.depth + self.operand.depth


@dataclass(frozen=True)
class Sum(Expression):
    """A residual sum."""

    left: Expression
    right: Expression

    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the sum of both values."""
        return self.left.evaluate(signals) + self.right.evaluate(signals)

    def absolute(self) -> Expression:
        """Return the sum of the absolute expressions."""
        return Sum(self.shape, self.left.absolute(), self.right.absolute())

    @property
    def depth(self) -> int:
        """Return the deeper side and the addition, counted twice for the adjoint's."""
        return max(self.left.depth, self.right.depth) + 2


@dataclass(frozen=True)
class LayerOperator:
    """What stands in front of one spiking layer (or, with `neuron` None, the readout behind the last).

    Attributes:
        name: the path of the neuron in the network, as in its state dict.
        expression: the linear map.
        sources: the shapes of the signals that it reads, by index.
        neuron: the spiking layer, or None for the readout.
    """

    name: str
    expression: Expression
    sources: Mapping[int, Shape]
    neuron: LIF | None

    @cached_property
    def chain(self) -> tuple[Stage, ...] | None:
        """Return the stages in order, scales folded into weights before them, or None if there is a sum."""
        nodes: list[Applied] = []
        node = self.expression
        while isinstance(node, Applied):
            nodes.insert(0, node)
            node = node.operand
        return tuple(_folded(nodes)) if isinstance(node, Signal) else None

    @cached_property
    def dense(self) -> Dense | None:
        """Return the one dense stage where the operator is that and reshaping, else None.

        On images a dense stage acts along the last axis alone, row by row: its weight is not the matrix then.
        """
        stages = [item for item in self.chain or () if not isinstance(item, Flatten)]
        only = stages[0] if len(stages) == 1 else None
        if not isinstance(only, Dense) or tuple(only.weight.shape) != (self.rows, self.columns):
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
        """Return the operator of absolute stages: its matrix bounds |A| entry by entry."""
        return LayerOperator(self.name, self.expression.absolute(), self.sources, self.neuron)

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


def layer_operators(
    network: SpikingNetwork, input_shape: Shape | None = None, live: bool = False
) -> tuple[LayerOperator, ...]:
    """Return the operator of each spiking layer in execution order, then that of the readout if it is affine.

    Args:
        network: any network with finite weights.
        input_shape: of one sample at one step; None: found from the layers, where they leave one choice.
        live: hold the weights themselves, so that gradients reach them, and leave them unchecked.

    Raises:
        ValueError: for NaN or inf in the weights, or an input shape that does not fit or is not unique.
    """
    if not live:
        check_weights(network)
    shape = input_shape_of(network) if input_shape is None else tuple(input_shape)
    walker = _Walker(live)
    last = walker.run(network.layers, Signal(shape, INPUT), "layers")
    if not isinstance(last, Signal):
        walker.found.append(_operator("readout", last, None))
    return tuple(walker.found)


def input_shape_of(network: SpikingNetwork) -> Shape:
    """Return the only input shape, with square images, that fits the network's layers.

    Raises:
        ValueError: where no shape or several fit, for then the caller must say.
    """
    first = next(module for module in network.layers.modules() if isinstance(module, (nn.Linear, nn.Conv2d)))
    if isinstance(first, nn.Linear) and isinstance(network.layers[0], (nn.Linear, nn.Flatten)):
        return (first.in_features,)
    if not isinstance(first, nn.Conv2d):
        raise ValueError(
            "input_shape: got None, and the layers do not determine it: give (channels, height, width)"
        )
    fitting = [size for size in range(1, 257) if _fits(network, (first.in_channels, size, size))]
    if len(fitting) == 1:
        return (first.in_channels, fitting[0], fitting[0])
    sizes = f"square images of {fitting[0]} to {fitting[-1]} all fit" if fitting else "no square image fits"
    raise ValueError(f"input_shape: got None, and {sizes}: give ({first.in_channels}, height, width)")


def _fits(network: SpikingNetwork, shape: Shape) -> bool:
    try:
        _Walker().run(network.layers, Signal(shape, INPUT), "layers")
    except ValueError:
        return False
    return True


class _Walker:
    """Collect operators while following a signal through nested residual sums."""

    def __init__(self, live: bool = False) -> None:
        self.live = live
        self.found: list[LayerOperator] = []

    def run(self, layers: nn.ModuleList, node: Expression, path: str) -> Expression:
        """Return the expression behind `layers` for the expression in front of them."""
        for index, layer in enumerate(layers):
            node = self._step(layer, node, f"{path}.{index}")
        return node

    def _step(self, layer: nn.Module, node: Expression, path: str) -> Expression:
        if isinstance(layer, Residual):
            left = self.run(layer.branch, node, f"{path}.branch")
            right = self.run(layer.shortcut, node, f"{path}.shortcut")
            if left.shape != right.shape:
                raise ValueError(f"input_shape: {path} adds {left.shape} and {right.shape}")
            return Sum(left.shape, left, right)
        if isinstance(layer, LIF):
            self.found.append(_operator(path, node, layer))
            return Signal(node.shape, len(self.found) - 1)
        linear = stage(layer, self.live)
        return Applied(linear.output_shape(node.shape), linear, node)


def _operator(name: str, expression: Expression, neuron: LIF | None) -> LayerOperator:
    sources = dict(sorted((leaf.index, leaf.shape) for leaf in set(_leaves(expression))))
    return LayerOperator(name, expression, sources, neuron)


def _leaves(expression: Expression) -> Iterator[Signal]:
    if isinstance(expression, Signal):
        yield expression
    elif isinstance(expression, Applied):
        yield from _leaves(expression.operand)
    elif isinstance(expression, Sum):
        yield from _leaves(expression.left)
        yield from _leaves(expression.right)


def _folded(nodes: list[Applied]) -> list[Stage]:
    result: list[Stage] = []
    for node in nodes:
        merged = fold(result[-1], node.stage, len(node.shape) > 1) if result else None
        if merged is None:
            result.append(node.stage)
        else:
            result[-1] = merged
    return result


def _size(shape: Shape) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
