"""nn.Conv2d: any stride, padding, dilation, groups and padding mode."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..elements.registry import Extent, Padding, Shapes, Size, each, has_bias, weights
from .base import Products, Shape, WeightedMap, check_axes, convolved_by, exact, lowers, nonzeros, pair

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
