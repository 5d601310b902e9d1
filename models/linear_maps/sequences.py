"""nn.Conv1d and nn.AvgPool1d: sequences (channels, length) as images of one row.

nn.AvgPool2d: the average of each window.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import whole
from ..elements.registry import Extent, Padding, one_or_each
from .base import LinearMap, Products, Shape, check_axes, lowers, pair
from .convolution import ConvolutionMap, in_files, paddings, windows


@dataclass(frozen=True, eq=False)
class PoolMap(LinearMap):
    """An average pool. All entries of W are positive, so |W| = W; ‖W_i‖₂² ≤ max|W|·Σ|W| ≤ 1·Σ|W|."""

    rank: ClassVar[int | None] = 3
    channelwise: ClassVar[bool] = True
    keeps_zeros: ClassVar[bool] = True

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    ceil_mode: bool
    count_include_pad: bool

    def linear(self, x: Tensor) -> Tensor:
        """Return the averages."""
        return F.avg_pool2d(x, self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def apply(self, x: Tensor) -> Tensor:
        """Return the averages."""
        return self.linear(x)

    def absolute(self) -> "PoolMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return the averages, which are greater than the sums of squares."""
        return self.linear(x)

    @property
    def whole(self) -> bool:
        """Return whether every window counts all its entries."""
        return not (self.ceil_mode or (any(self.padding) and not self.count_include_pad))

    @property
    def terms(self) -> int:
        """Return the size of a window."""
        return math.prod(self.kernel)

    @property
    def depth(self) -> int:
        """Return the terms of an average, of its adjoint, and the divisions."""
        return 2 * math.prod(self.kernel) + 4

    @property
    def products(self) -> Products | None:
        """Return the pixels of each window over its size, where all windows are whole."""
        return partial(_window_products, self) if self.whole else None

    def power(self, order: int) -> "LinearMap":
        """Return the powers of equal entries, 1/n each: n^(1 − order) times the average."""
        share = math.prod(self.kernel) ** (1 - order)
        settings = (self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        return self if order == 1 else _PoolPower(*settings, share)

    def mixes(self, before: int) -> int:
        """Return 2 where windows do not overlap: each input reaches one output."""
        plain = self.padding == (0, 0) and not self.ceil_mode
        apart = all(step >= size for step, size in zip(self.stride, self.kernel, strict=True))
        return 2 if before == 2 and plain and apart else 0

    def __repr__(self) -> str:
        """Return name and settings."""
        return f"AvgPool2d({self.kernel}, stride={self.stride}, padding={self.padding})"


@dataclass(frozen=True, eq=False)
class _PoolPower(PoolMap):
    """An average pool times a number."""

    share: float = 1.0

    def linear(self, x: Tensor) -> Tensor:
        """Return the averages times the number."""
        return super().linear(x) * self.share


def pool_fields(axes: int) -> dict[str, Any]:
    """Return what a file says of average pools along so many axes."""
    extent, padding = one_or_each(Extent, axes), one_or_each(Padding, axes)
    settings = {"kernel_size": extent, "stride": extent, "padding": padding}
    return {"ceil_mode": bool, "count_include_pad": bool, **settings}


def _check_divisor(layer: nn.AvgPool2d) -> dict[str, Any]:
    """Say nothing besides; raise ValueError for a pool that divides by another number than its windows' sizes."""
    if layer.divisor_override is not None:
        raise ValueError(f"network: got {layer} with divisor_override, expected an average that divides by size")
    return {}


@lowers(nn.AvgPool2d, fields=pool_fields(2), said=_check_divisor)
def pool(layer: nn.AvgPool2d) -> PoolMap:
    """Return the map of an average pool.

    Raises:
        ValueError: for one that divides by another number than its windows' sizes.
    """
    _check_divisor(layer)
    names = ("kernel_size", "stride", "padding")
    size, step, padding = (pair(name, getattr(layer, name)) for name in names)
    return PoolMap(size, step, padding, bool(layer.ceil_mode), bool(layer.count_include_pad))


def _window_products(pool: PoolMap, images: Tensor) -> Tensor:
    """Return the pixels of each window over its size, (n, channels, height, width, terms)."""
    if images.dim() == 3:  # without channels
        return _window_products(pool, images.unsqueeze(1)).squeeze(1)
    rows, columns = pool.padding
    padded = F.pad(images, (columns, columns, rows, rows)).flatten(0, 1).unsqueeze(1)
    pixels = windows(padded, pool.kernel, (1, 1), pool.stride).movedim(1, -1)
    return pixels.unflatten(0, images.shape[:2]) / math.prod(pool.kernel)


@dataclass(frozen=True, eq=False)
class OneRowMap(LinearMap):
    """A map of images, applied to images of one row."""

    convolves: ClassVar[bool] = True
    rank: ClassVar[int | None] = 2

    inner: LinearMap

    def linear(self, x: Tensor) -> Tensor:
        """Return the inner map's row."""
        return self.inner.linear(self._row_of(x)).squeeze(2)

    def apply(self, x: Tensor) -> Tensor:
        """Return the inner map's row, with b."""
        return self.inner.apply(self._row_of(x)).squeeze(2)

    def absolute(self) -> "OneRowMap":
        """Return the inner map's |W|."""
        return OneRowMap(self.inner.absolute())

    def squared(self, x: Tensor) -> Tensor:
        """Return what the inner map does."""
        return self.inner.squared(self._row_of(x)).squeeze(2)

    def power(self, order: int) -> "OneRowMap":
        """Return the inner map's powers."""
        return OneRowMap(self.inner.power(order))

    def mixes(self, before: int) -> int:
        """Return what the inner map knows."""
        return self.inner.mixes(before)

    @property
    def bias(self) -> Tensor:
        """Return b, (channels, 1)."""
        return _without_row(self.inner.bias)

    @property
    def bias_magnitude(self) -> Tensor:
        """Return |b|."""
        return _without_row(self.inner.bias_magnitude)

    @property
    def terms(self) -> int:
        """Return the inner map's."""
        return self.inner.terms

    @property
    def keeps_zeros(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the inner map does."""
        return self.inner.keeps_zeros

    def active(self, size: Tensor) -> Tensor | None:
        """Return the inner map's, without the row."""
        found = self.inner.active(self._row_of(size))
        return None if found is None else found.squeeze(2)

    @property
    def largest(self) -> float:
        """Return the inner map's."""
        return self.inner.largest

    @property
    def depth(self) -> int:
        """Return the inner map's."""
        return self.inner.depth

    @property
    def products(self) -> Products | None:
        """Return the inner map's products, without the row."""
        inner = self.inner.products
        return None if inner is None else lambda x: inner(self._row_of(x)).squeeze(2)

    @property
    def algorithms(self) -> frozenset[str]:
        """Return the inner map's, which torch takes sequences for, too."""
        return self.inner.algorithms

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the inner map's."""
        return self.inner.tensors

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Self:
        """Return a detached copy."""
        return replace(self, inner=self.inner.to(dtype, device))

    def check_run(self) -> None:
        """Ask the inner map."""
        self.inner.check_run()

    def takes(self, features: Shape) -> None:
        """Raise ValueError unless inputs are sequences with the layer's channels."""
        channels = self._channels
        if len(features) != 2 or channels not in (None, features[0]):
            raise ValueError(f"inputs: got features {features}, expected ({channels or 'channels'}, length)")
        self.inner.takes((features[0], 1, features[1]))

    def square(self, size: int) -> Shape | None:
        """Return sequences of that length."""
        return None if self._channels is None else (self._channels, size)

    def _row_of(self, x: Tensor) -> Tensor:
        check_axes(self, x, 2)
        return x.unsqueeze(2)

    @property
    def _channels(self) -> int | None:
        images = self.inner.square(1)
        return None if images is None else images[0]

    def __repr__(self) -> str:
        """Return the inner map's, of one row."""
        return f"{self.inner!r} of one row"


@lowers(nn.Conv1d, **in_files(1))
def sequence_convolution(layer: nn.Conv1d) -> OneRowMap:
    """Return the map of a convolution of sequences."""
    ((left, right),) = paddings(layer)
    settings = ((1, layer.stride[0]), (0, 0, left, right), (1, layer.dilation[0]), layer.groups)
    return OneRowMap(ConvolutionMap(layer.weight.unsqueeze(2), layer.bias, *settings, layer.padding_mode))


@lowers(nn.AvgPool1d, fields=pool_fields(1))
def sequence_pool(layer: nn.AvgPool1d) -> OneRowMap:
    """Return the map of an average pool of sequences."""
    names = ("kernel_size", "stride", "padding")
    size, step, padding = (whole(name, _only(getattr(layer, name))) for name in names)
    return OneRowMap(
        PoolMap((1, size), (1, step), (0, padding), bool(layer.ceil_mode), bool(layer.count_include_pad))
    )


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _without_row(bias: Tensor) -> Tensor:
    return bias.squeeze(1) if bias.dim() == 3 else bias
