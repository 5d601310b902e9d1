"""nn.AvgPool2d: the average of each window."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..elements.fields import Extent, Padding, one_or_each
from .base import LinearMap, NoPlainModule, Products, lowers, pair
from .convolution import windows


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

    def module(self, channels: int) -> nn.Module:
        """Return a depthwise Conv2d: auto_LiRPA's average pooling ignores the stride."""
        if not self.whole:
            raise NoPlainModule(f"layer: got {self}, expected an average over whole windows for lirpa")
        settings = (self.kernel, self.stride, self.padding)
        conv = nn.Conv2d(channels, channels, *settings, groups=channels, bias=False, dtype=torch.float64)
        nn.init.constant_(conv.weight, 1.0 / math.prod(self.kernel))
        return conv

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
