"""nn.Conv1d and nn.AvgPool1d: sequences (channels, length) as images of one row."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ..constants import whole
from .base import LinearMap, Products, Shape, check_axes, lowers
from .convolution import ConvolutionMap, in_files, paddings
from .pooling import PoolMap, pool_fields


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
