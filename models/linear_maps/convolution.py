"""Convolutions, either way, of images and of sequences, and average pools.

nn.Conv1d and nn.AvgPool1d: sequences (channels, length) as images of one row.

nn.AvgPool2d: the average of each window.

nn.ConvTranspose1d and nn.ConvTranspose2d: each input adds its kernel to the outputs that it reaches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import whole, wholes
from ..elements.registry import Extent, Padding, Shapes, Size, each, has_bias, one_or_each, weights
from .base import LinearMap, Products, Shape, WeightedMap, check_axes, convolved_by, exact, lowers, nonzeros, pair

Sides = tuple[int, int, int, int]
"""Padding at top, bottom, left and right."""


@dataclass(frozen=True, eq=False)
class ConvolutionMap(WeightedMap):
    """A convolution of images; `roundings` more in each weight, where a scale was folded into them."""

    convolves: ClassVar[bool] = True
    rank: ClassVar[int | None] = 3

    stride: tuple[int, int]
    padding: Sides
    dilation: tuple[int, int]
    groups: int
    padding_mode: str
    roundings: int = 0

    def pad(self, x: Tensor) -> Tensor:
        """Return the padded images."""
        top, bottom, left, right = self.padding
        if not any(self.padding):
            return x
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return F.pad(x, (left, right, top, bottom), mode=mode)

    def linear(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        return self._convolve(x, self.weight, None)

    def apply(self, x: Tensor) -> Tensor:
        """Return the convolution and b as the run computes it."""
        return self._convolve(x, self.weight, self.offset)

    def _convolve(self, x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
        check_axes(self, x, 3)
        top, bottom, left, right = self.padding
        offset = None if offset is None else offset.to(x)
        inside = (top, left) if self.padding_mode == "zeros" and (top, left) == (bottom, right) else None
        x, inside = (self.pad(x), (0, 0)) if inside is None else (x, inside)
        return F.conv2d(x, weight.to(x), offset, self.stride, inside, self.dilation, self.groups)

    def squared(self, x: Tensor) -> Tensor:
        """Return the convolution with K∘K, times the most weights that meet one pixel.

        A padding that repeats pixels adds up to m weights to one entry of W, whose square is at most m times the
        sum of theirs.
        """
        plain = self._convolve(x, self.weight.square(), None)
        if self.padding_mode == "zeros":
            return plain
        lost = self.terms * torch.finfo(x.dtype).tiny  # by squares that vanish
        return (plain + lost) * _repeats(self, x)

    def mixes(self, before: int) -> int:
        """Return 1 where each input reaches this layer once, and no padding repeats pixels."""
        return 1 if before == 2 and self.padding_mode == "zeros" else 0

    @property
    def bias(self) -> Tensor:
        """Return b, (channels, 1, 1)."""
        return exact(self.offset, self.weight).reshape(-1, 1, 1)

    @property
    def terms(self) -> int:
        """Return the size of one kernel."""
        return self.weight[0].numel()

    def active(self, size: Tensor) -> Tensor:
        """Return the number of entries under each kernel that are not 0, of each group's channels together.

        In float64 torch convolves by matrix products alone, and whole numbers below 2^53 are summed exactly.
        """
        counts = nonzeros(size.unflatten(1, (self.groups, -1)), 2).squeeze(2)
        ones = counts.new_ones(self.groups, 1, *self.weight.shape[2:])
        found = self._convolve(counts, ones, None)
        return found.repeat_interleave(len(self.weight) // self.groups, 1) if self.groups > 1 else found

    @property
    def depth(self) -> int:
        """Return the terms of one output, those of one entry of the adjoint, and those of the padding's."""
        outputs, inputs, height, width = self.weight.shape
        copies = 1 if self.padding_mode == "zeros" else (1 + sum(self.padding[:2])) * (1 + sum(self.padding[2:]))
        return (outputs // self.groups + inputs) * height * width + copies + self.roundings

    @property
    def products(self) -> Products | None:
        """Return the products under each kernel, where no padding repeats pixels."""
        return partial(_kernel_products, self) if self.padding_mode == "zeros" else None

    @property
    def algorithms(self) -> frozenset[str]:
        """Return what torch convolves by, with padding of its own or none."""
        top, bottom, left, right = self.padding
        own = self.padding_mode == "zeros" and (top, left) == (bottom, right)
        settings = (self.stride, (top, left) if own else (0, 0), self.dilation)
        return convolved_by(self.weight, self.offset, settings, self.groups)

    def takes(self, features: Shape) -> None:
        """Raise ValueError unless inputs are images with the layer's channels."""
        channels = self.weight.shape[1] * self.groups
        if len(features) != 3 or features[0] != channels:
            raise ValueError(f"inputs: got features {features}, expected ({channels}, height, width)")

    def square(self, size: int) -> Shape | None:
        """Return square images."""
        return (self.weight.shape[1] * self.groups, size, size)

    def scaled(self, factor: Tensor, roundings: int, rank: int) -> "ConvolutionMap | None":
        """Return the scaled kernels."""
        if rank < 2:
            return None
        weight = self.weight * factor.reshape(-1, 1, 1, 1)
        return replace(self, weight=weight, offset=None, roundings=self.roundings + roundings)

    def __repr__(self) -> str:
        """Return name, sizes and padding mode."""
        outputs, inputs, height, width = self.weight.shape
        return f"Conv2d({inputs * self.groups} → {outputs}, {height}×{width}, padding_mode={self.padding_mode})"


def in_files(axes: int) -> dict[str, Any]:
    """Return what a file says of convolutions along so many axes, as `lowers` takes it."""
    channels = {"bias": bool, "in_channels": Size, "out_channels": Size, "groups": Size}
    sides = Literal["same", "valid"] | each(Padding, axes)
    steps = {"kernel_size": each(Extent, axes), "stride": each(Extent, axes), "padding": sides}
    modes = {"padding_mode": Literal["zeros", "reflect", "replicate", "circular"]}
    fields = {**channels, **modes, **steps, "dilation": each(Extent, axes)}
    return {"fields": fields, "said": has_bias, "tensors": _tensors}


def _tensors(layer: Any) -> Shapes:
    """Return K (out, in/groups, *size) and b."""
    check_groups(layer)
    shape = (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)
    return weights(shape, layer.out_channels, layer.bias)


def check_groups(layer: Any) -> None:
    """Raise ValueError unless the groups of a layer's description divide its channels."""
    if layer.in_channels % layer.groups or layer.out_channels % layer.groups:
        raise ValueError(f"groups: got {layer.groups}, expected a divisor of both numbers of channels")


@lowers(nn.Conv2d, **in_files(2))
def convolution(layer: nn.Conv2d) -> ConvolutionMap:
    """Return the map of a convolution.

    Raises:
        ValueError: where its padding was changed after it was made: torch then pads by two rules.
    """
    sides = paddings(layer)
    return ConvolutionMap(
        layer.weight,
        layer.bias,
        pair("stride", layer.stride),
        (sides[0][0], sides[0][1], sides[1][0], sides[1][1]),
        pair("dilation", layer.dilation),
        layer.groups,
        layer.padding_mode,
    )


def paddings(layer: nn.Conv1d | nn.Conv2d) -> list[tuple[int, int]]:
    """Return what the run pads before and behind each axis."""
    axes = len(layer.kernel_size)
    if layer.padding == "same":
        totals = [step * (size - 1) for step, size in zip(layer.dilation, layer.kernel_size, strict=True)]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        given = (0,) * axes if layer.padding == "valid" else tuple(map(int, layer.padding))
        sides = [(width, width) for width in given]
    flat = [end for both in reversed(sides) for end in both]
    if layer.padding_mode != "zeros" and flat != list(layer._reversed_padding_repeated_twice):
        raise ValueError(f"network: got {layer}, whose padding was changed after it was made")
    return sides


def _repeats(convolution: ConvolutionMap, images: Tensor) -> Tensor:
    """Return m, (rows, columns): each output reads no pixel by more than m of its weights."""
    sides, counts = convolution.padding, []
    for axis, pads in ((0, sides[:2]), (1, sides[2:])):
        size = images.shape[2 + axis]
        places = torch.arange(size, dtype=images.dtype, device=images.device).view(1, 1, size)
        places = F.pad(places, pads, mode=convolution.padding_mode).flatten()
        reach = convolution.dilation[axis] * (convolution.weight.shape[2 + axis] - 1) + 1
        taps = places.unfold(0, reach, convolution.stride[axis])[:, :: convolution.dilation[axis]]
        counts.append((taps[:, :, None] == taps[:, None]).sum(2).amax(1).to(images.dtype))
    return counts[0][:, None] * counts[1]


def _kernel_products(convolution: ConvolutionMap, images: Tensor) -> Tensor:
    """Return the products under each kernel, (n, channels, height, width, terms); padding adds products of 0."""
    check_axes(convolution, images, 3)
    weight = convolution.weight
    padded = convolution.pad(images)
    pixels = windows(padded, weight.shape[2:], convolution.dilation, convolution.stride)
    grouped = pixels.unflatten(1, (convolution.groups, 1, -1)).movedim(3, -1)
    weight = weight.flatten(1).unflatten(0, (convolution.groups, -1))
    return (grouped * weight[:, :, None, None]).flatten(1, 2)


def windows(images: Tensor, size: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Return the pixels of each window, (n, channels·height·width of the window, rows, columns)."""
    rows = (images.shape[2] - dilation[0] * (size[0] - 1) - 1) // stride[0] + 1
    pixels = F.unfold(images, tuple(size), tuple(dilation), 0, tuple(stride))
    return pixels.unflatten(2, (rows, -1))


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


Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class TransposedMap(WeightedMap):
    """A transposed convolution of images, K (in, out/groups, height, width).

    One weight at most lies between an input and an output, so |W| and W∘W are those of |K| and K∘K. A library may
    sum over channels first and then place the sums, or all at once: no output sums more than `terms` numbers.
    """

    convolves: ClassVar[bool] = True
    rank: ClassVar[int | None] = 3

    stride: Pair
    padding: Pair
    more: Pair
    dilation: Pair
    groups: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the transposed convolution."""
        return self._spread(x, self.weight, None)

    def apply(self, x: Tensor) -> Tensor:
        """Return the transposed convolution and b as the run computes it."""
        return self._spread(x, self.weight, self.offset)

    def _spread(self, x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
        check_axes(self, x, 3)
        offset = None if offset is None else offset.to(x)
        settings = (self.stride, self.padding, self.more, self.groups, self.dilation)
        return F.conv_transpose2d(x, weight.to(x), offset, *settings)

    def squared(self, x: Tensor) -> Tensor:
        """Return the map of K∘K."""
        return self._spread(x, self.weight.square(), None)

    @property
    def bias(self) -> Tensor:
        """Return b, (channels, 1, 1)."""
        return exact(self.offset, self.weight).reshape(-1, 1, 1)

    @property
    def channels(self) -> int:
        """Return how many channels inputs have."""
        return self.weight.shape[0]

    @property
    def terms(self) -> int:
        """Return the channels of a group times the size of a kernel."""
        return self.channels // self.groups * self.weight[0, 0].numel()

    @property
    def depth(self) -> int:
        """Return the terms of one output and those of one entry of the adjoint."""
        return (self.channels // self.groups + self.weight.shape[1]) * self.weight[0, 0].numel() + 1

    @property
    def products(self) -> Products:
        """Return the products of each output: those of a convolution of the images with zeros between pixels."""
        return partial(_products, self)

    @property
    def algorithms(self) -> frozenset[str]:
        """Return what torch convolves by."""
        settings = (self.stride, self.padding, self.dilation)
        return convolved_by(self.weight, self.offset, settings, self.groups, self.more)

    def takes(self, features: Shape) -> None:
        """Raise ValueError unless inputs are images with the layer's channels."""
        if len(features) != 3 or features[0] != self.channels:
            raise ValueError(f"inputs: got features {features}, expected ({self.channels}, height, width)")

    def square(self, size: int) -> Shape | None:
        """Return square images."""
        return (self.channels, size, size)

    def __repr__(self) -> str:
        """Return name and sizes."""
        size, out = tuple(self.weight.shape[2:]), self.weight.shape[1] * self.groups
        return f"ConvTranspose2d({self.channels} → {out}, {size}, stride={self.stride}, padding={self.padding})"


def _products(layer: TransposedMap, images: Tensor) -> Tensor:
    """Return the products that each output sums, (n, channels, height, width, terms)."""
    check_axes(layer, images, 3)
    (rows, columns), (height, width) = layer.stride, images.shape[2:]
    sparse = images.new_zeros(*images.shape[:2], rows * (height - 1) + 1, columns * (width - 1) + 1)
    sparse[:, :, ::rows, ::columns] = images
    kernel = layer.weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
    reach = [gap * (size - 1) for gap, size in zip(layer.dilation, kernel.shape[2:], strict=True)]
    (top, left), (down, right) = [[a - b for a, b in zip(reach, layer.padding, strict=True)]] * 2
    sides = (top, down + layer.more[0], left, right + layer.more[1])
    found = ConvolutionMap(kernel, None, (1, 1), sides, layer.dilation, layer.groups, "zeros").products
    assert found is not None
    return found(sparse)


def _in_files(axes: int) -> dict[str, Any]:
    """Return what a file says of transposed convolutions along so many axes, as `lowers` takes it."""
    extent, padding = each(Extent, axes), each(Padding, axes)
    channels = {"bias": bool, "in_channels": Size, "out_channels": Size, "groups": Size}
    steps = {"kernel_size": extent, "stride": extent, "padding": padding, "output_padding": padding}
    return {"fields": {**channels, **steps, "dilation": extent}, "said": has_bias, "tensors": _transposed}


def _transposed(layer: Any) -> Shapes:
    """Return K (in, out/groups, *size) and b (out,)."""
    check_groups(layer)
    shape = (layer.in_channels, layer.out_channels // layer.groups, *layer.kernel_size)
    return weights(shape, layer.out_channels, layer.bias)


@lowers(nn.ConvTranspose2d, **_in_files(2))
def transposed(layer: nn.ConvTranspose2d) -> TransposedMap:
    """Return the map of a transposed convolution."""
    settings = (layer.stride, layer.padding, layer.output_padding, layer.dilation)
    stride, padding, more, dilation = (_pair(setting) for setting in settings)
    return TransposedMap(layer.weight, layer.bias, stride, padding, more, dilation, layer.groups)


@lowers(nn.ConvTranspose1d, **_in_files(1))
def transposed_sequences(layer: nn.ConvTranspose1d) -> OneRowMap:
    """Return the map of a transposed convolution of sequences."""
    settings = zip((1, 0, 0, 1), (layer.stride, layer.padding, layer.output_padding, layer.dilation), strict=True)
    stride, padding, more, dilation = (_pair((row, *setting)) for row, setting in settings)  # pyright: ignore[reportGeneralTypeIssues]
    inner = TransposedMap(layer.weight.unsqueeze(2), layer.bias, stride, padding, more, dilation, layer.groups)
    return OneRowMap(inner)


def _pair(setting: Any) -> Pair:
    """Return a setting of both axes."""
    one, other = wholes("setting", tuple(setting))
    return one, other
