"""The linear part of each affine layer, in float64: what it does, its absolute value, and how much it may round.

A `Stage` acts on a batch of signals. `absolute()` is the stage whose matrix is |A| entry by entry. `depth` bounds
the number of roundings between one entry of the input and one of the output, in the stage and in its adjoint.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Shape = tuple[int, ...]
Take = Callable[[Tensor], Tensor]
"""From a module's tensor to the one that a stage holds."""


@dataclass(frozen=True)
class Stage(ABC):
    """A linear map of signals of one shape to signals of another."""

    @abstractmethod
    def apply(self, signal: Tensor) -> Tensor:
        """Return A·signal for signals (batch, *shape)."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """Return the number of roundings that one entry goes through, at most."""

    def absolute(self) -> "Stage":
        """Return the stage with the matrix |A|; this one, where A ≥ 0."""
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one output for inputs of `shape`; ValueError where the stage can't take it."""
        try:
            return tuple(self.apply(torch.empty(1, *shape, dtype=torch.float64, device="meta")).shape[1:])
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"input_shape: {self} can't take {shape}: {error}") from error


@dataclass(frozen=True, eq=False)
class Dense(Stage):
    """x ↦ Wx."""

    weight: Tensor
    roundings: int = 0

    def apply(self, signal: Tensor) -> Tensor:
        """Return Wx."""
        return functional.linear(signal, self.weight.to(signal))

    @property
    def depth(self) -> int:
        """Return rows + columns of W."""
        return sum(self.weight.shape) + self.roundings

    def absolute(self) -> Stage:
        """Return the stage with |W|."""
        return replace(self, weight=self.weight.abs())

    def __repr__(self) -> str:
        """Return name and sizes."""
        rows, columns = self.weight.shape
        return f"Dense({columns} → {rows})"


@dataclass(frozen=True, eq=False)
class Convolution(Stage):
    """A two-dimensional convolution with any stride, padding, dilation and groups, without its bias.

    padding is (top, bottom, left, right).
    """

    weight: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    padding_mode: str
    roundings: int = 0

    def pad(self, signal: Tensor) -> Tensor:
        """Return the padded signal."""
        top, bottom, left, right = self.padding
        if not any(self.padding):
            return signal
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return functional.pad(signal, (left, right, top, bottom), mode=mode)

    def apply(self, signal: Tensor) -> Tensor:
        """Return the convolution of the padded signal."""
        weight = self.weight.to(signal)
        return functional.conv2d(self.pad(signal), weight, None, self.stride, 0, self.dilation, self.groups)

    @property
    def depth(self) -> int:
        """Return the terms of one output, those of one entry of the adjoint, and those of the padding's."""
        outputs, inputs, height, width = self.weight.shape
        copies = 1 if self.padding_mode == "zeros" else (1 + sum(self.padding[:2])) * (1 + sum(self.padding[2:]))
        return (outputs // self.groups + inputs) * height * width + copies + self.roundings

    def absolute(self) -> Stage:
        """Return the stage with |K|."""
        return replace(self, weight=self.weight.abs())

    def __repr__(self) -> str:
        """Return name and sizes."""
        outputs, inputs, height, width = self.weight.shape
        return f"Convolution({inputs * self.groups} → {outputs}, {height}×{width})"


@dataclass(frozen=True)
class Pool(Stage):
    """An average pool, whose matrix is nonnegative."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    ceil_mode: bool
    count_include_pad: bool

    def apply(self, signal: Tensor) -> Tensor:
        """Return the pooled signal."""
        return functional.avg_pool2d(
            signal, self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    @property
    def depth(self) -> int:
        """Return the terms of an average, of its adjoint, and the divisions."""
        return 2 * math.prod(self.kernel) + 4


@dataclass(frozen=True, eq=False)
class Scale(Stage):
    """Batch normalisation in evaluation mode: channel i times γ_i/√(var_i + eps)."""

    factor: Tensor

    def apply(self, signal: Tensor) -> Tensor:
        """Return the scaled channels."""
        return signal * self.factor.to(signal).reshape(1, -1, *[1] * (signal.dim() - 2))

    @property
    def depth(self) -> int:
        """Return the roundings in the factor (a sum, a root, a division, their input) and its product."""
        return 6

    def absolute(self) -> Stage:
        """Return the stage with |factor|."""
        return Scale(self.factor.abs())

    def __repr__(self) -> str:
        """Return name and size."""
        return f"Scale({len(self.factor)})"


@dataclass(frozen=True)
class Flatten(Stage):
    """The reshaping of nn.Flatten, an isometry of every norm."""

    start: int
    end: int

    def apply(self, signal: Tensor) -> Tensor:
        """Return the flattened signal."""
        return signal.flatten(self.start, self.end)

    @property
    def depth(self) -> int:
        """Return 0: nothing is computed."""
        return 0


def stage(module: nn.Module, live: bool = False) -> Stage:
    """Return the linear part of an affine module; batch norm as it is in eval mode.

    Args:
        module: an affine layer.
        live: keep the weights as they are, so that gradients reach them, in place of copies in float64.

    Raises:
        TypeError: for a module that is not affine.
    """
    for kind, build in _STAGES.items():
        if isinstance(module, kind):
            return build(module, _same if live else _double)
    raise TypeError(f"module: got {type(module).__name__}, expected {', '.join(k.__name__ for k in _STAGES)}")


def fold(first: Stage, second: Stage, images: bool) -> Stage | None:
    """Return one stage for `second` after `first` where a scale meets the weights before it, else None.

    Of images a dense stage makes the last axis, and not the channels that a scale is about.
    """
    if not isinstance(second, Scale) or not isinstance(first, Convolution if images else Dense):
        return None
    factor = second.factor.reshape(-1, *[1] * (first.weight.dim() - 1))
    return replace(first, weight=first.weight * factor, roundings=first.roundings + second.depth)


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _convolution(module: nn.Conv2d, take: Take) -> Stage:
    kernel, dilation = _pair(module.kernel_size), _pair(module.dilation)
    if module.padding == "same":
        tall, wide = (step * (size - 1) for step, size in zip(dilation, kernel, strict=True))
        padding = (tall // 2, tall - tall // 2, wide // 2, wide - wide // 2)
    else:
        rows, columns = (0, 0) if module.padding == "valid" else _pair(module.padding)
        padding = (rows, rows, columns, columns)
    return Convolution(
        take(module.weight), _pair(module.stride), padding, dilation, module.groups, module.padding_mode
    )


def _pool(module: nn.AvgPool2d, take: Take) -> Stage:
    if module.divisor_override is not None:
        raise ValueError("network: got AvgPool2d with divisor_override, expected a plain average")
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    return Pool(kernel, stride, _pair(module.padding), module.ceil_mode, module.count_include_pad)


def _scale(module: nn.BatchNorm1d | nn.BatchNorm2d, take: Take) -> Stage:
    if module.running_var is None:
        raise ValueError("network: got a batch norm without running statistics, expected track_running_stats=True")
    factor = 1.0 / torch.sqrt(take(module.running_var) + module.eps)
    return Scale(factor if module.weight is None else factor * take(module.weight))


_STAGES: dict[type[nn.Module], Callable[[Any, Take], Stage]] = {
    nn.Linear: lambda module, take: Dense(take(module.weight)),
    nn.Conv2d: _convolution,
    nn.AvgPool2d: _pool,
    nn.BatchNorm1d: _scale,
    nn.BatchNorm2d: _scale,
    nn.Flatten: lambda module, take: Flatten(module.start_dim, module.end_dim),
}
