"""Convolutions and average pools of images (channels, height, width): which pixels each output sums.

Transposed convolutions, and averages over windows of several sizes.

Convolutions, either way, and averages of sequences (channels, length), which are images of height 1.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from ..numbers.exact import Arithmetic, Dyadic, Refused, marks, stacked, whole
from ..numbers.sparse import Matrix
from ..work import CALL, hold, spend
from .affine import NEAR, Affine

OUTSIDE, BEYOND = -1, -2
"""In place of a pixel: padding, which is 0, and what a rounded-up pool reaches behind the padding."""

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """y[o] = Σ W[o, c, i, j]·x[group's c, window's (i, j)] + b[o]; W (out, in/groups, height, width)."""

    weight: Dyadic
    bias: Dyadic
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    mode: str

    @staticmethod
    def of(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "Convolution":
        """Return the layer of a description with its weights.

        Raises:
            Refused: for a description that does not fit.
        """
        kernel, stride, dilation = (pair(layer[key], 1) for key in ("kernel_size", "stride", "dilation"))
        groups, padding = layer["groups"], layer["padding"]
        if isinstance(padding, str):
            sides = _named(padding, kernel, dilation)
        else:
            sides = tuple((side, side) for side in pair(padding, 0))
        if not known_groups(layer):
            raise Refused(f"{name}: has groups that do not fit")
        if layer["padding_mode"] not in MODES:
            raise Refused(f"{name}: has groups or a padding mode that are not known")
        if weight.shape != (layer["out_channels"], layer["in_channels"] // groups, *kernel):
            raise Refused(f"{name}: has a weight of another size than it says")
        return Convolution(weight, bias, stride, sides, dilation, groups, MODES[layer["padding_mode"]])  # pyright: ignore[reportArgumentType]

    def over(self, shape: tuple[int, ...], arithmetic: Arithmetic) -> tuple[Affine, tuple[int, ...]]:
        """Return the map: one product for each weight of a kernel, and a bias; padding adds products of 0."""
        out, each, *kernel = self.weight.shape
        if len(shape) != 3 or shape[0] != each * self.groups:
            raise Refused("a convolution does not fit its inputs")
        pixels = windows(padded(shape[1:], self.padding, self.mode), kernel, self.stride, self.dilation)
        height, width = pixels.shape[:2]
        check_size(out * each * pixels.size)
        first = np.arange(out) // (out // self.groups) * each  # channel of each output's group
        channel = first[:, None] + np.arange(each)
        places = channel[:, None, None, :, None, None] * (shape[1] * shape[2]) + pixels[None, :, :, None]
        inside = np.broadcast_to(pixels[None, :, :, None] >= 0, places.shape)
        outputs = np.arange(out * height * width).reshape(out, height, width, 1, 1, 1)
        rows = np.broadcast_to(outputs, places.shape)
        values = np.broadcast_to(self.weight.ints[:, None, None], places.shape)
        entries = (rows[inside], places[inside], Dyadic(values[inside], self.weight.shift))
        size = (out * height * width, prod(shape))
        values = entries[2], abs(entries[2]), marks(entries[2])
        matrix, moduli, products = (Matrix.of(size, *entries[:2], of) for of in values)
        bias = self.bias[np.repeat(np.arange(out), height * width)].column()
        terms = each * prod(kernel) + 1
        found = Affine.summing(matrix, moduli, bias, terms, Fraction(0), arithmetic, products)
        return found, (out, height, width)


@dataclass(frozen=True)
class Pool:
    """The mean of each window; padding counts as pixels of 0 where `counted`, and not at all elsewhere."""

    kernel: Pair
    stride: Pair
    padding: Pair
    rounds_up: bool
    counted: bool

    @staticmethod
    def of(name: str, layer: dict[str, Any]) -> "Pool":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        flags = layer["ceil_mode"], layer["count_include_pad"]
        kernel, stride, padding = (
            pair(layer["kernel_size"], 1),
            pair(layer["stride"], 1),
            pair(layer["padding"], 0),
        )
        if not all(isinstance(flag, bool) for flag in flags) or any(
            2 * side > size for side, size in zip(padding, kernel, strict=True)
        ):
            raise Refused(f"{name}: is a pool that is not known")
        return Pool(kernel, stride, padding, *flags)

    def over(self, shape: tuple[int, ...], arithmetic: Arithmetic) -> tuple[Affine, tuple[int, ...]]:
        """Return the map: the sum of a window's pixels, divided (or multiplied by a rounded inverse)."""
        if len(shape) != 3:
            raise Refused("a pool does not fit its inputs")
        pixels = windows(self._padded(shape[1:]), self.kernel, self.stride, (1, 1))
        height, width = pixels.shape[:2]
        check_size(shape[0] * pixels.size)
        spend(8 * height * width, 128)
        counts = (pixels >= (OUTSIDE if self.counted else 0)).sum((2, 3))
        if not (counts > 0).all():
            raise Refused("a pool has a window without pixels")
        shares = stacked([inverse(int(count)) for count in counts.ravel()])
        inside = np.broadcast_to(pixels >= 0, (shape[0], *pixels.shape))
        places = np.arange(shape[0])[:, None, None, None, None] * (shape[1] * shape[2]) + pixels
        outputs = np.arange(shape[0] * height * width).reshape(-1, height, width, 1, 1)
        rows = np.broadcast_to(outputs, places.shape)[inside]
        size = (shape[0] * height * width, prod(shape))
        matrix = Matrix.of(size, rows, places[inside], shares[rows % (height * width)])
        bias, terms = whole(np.zeros((size[0], 1), dtype=int)), prod(self.kernel) + 3
        return Affine.summing(matrix, matrix, bias, terms, NEAR, arithmetic), (shape[0], height, width)

    def _padded(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the padded pixels, and more behind them where a last window is only partly inside."""
        pixels = padded(shape, tuple((side, side) for side in self.padding), "constant")  # pyright: ignore[reportArgumentType]
        if not self.rounds_up:
            return pixels
        more = []
        for size, kernel, stride, side in zip(pixels.shape, self.kernel, self.stride, self.padding, strict=True):
            count = -(-max(0, size - kernel) // stride) + 1
            count -= (count - 1) * stride >= size - side  # a window must begin inside, or in the first padding
            more.append((0, max(0, (count - 1) * stride + kernel - size)))
        return surrounded(pixels, more, BEYOND)


def windows(pixels: np.ndarray, kernel: Any, stride: Pair, dilation: Pair) -> np.ndarray:
    """Return the pixels under each window, (rows, columns, *kernel)."""
    settings = list(zip(pixels.shape, kernel, stride, dilation, strict=True))
    counts = [(size - gap * (count - 1) - 1) // step + 1 for size, count, step, gap in settings]
    if min(counts) < 1:
        raise Refused("a window is larger than its image")
    check_size(prod(counts) * prod(kernel))
    axes = [
        np.arange(places)[:, None] * step + np.arange(count) * gap
        for places, (_, count, step, gap) in zip(counts, settings, strict=True)
    ]
    return pixels[axes[0][:, None, :, None], axes[1][None, :, None, :]]


def pair(value: Any, least: int) -> Pair:
    """Return a number or a pair of numbers of a description as a pair."""
    both = tuple(value) if isinstance(value, list) else (value, value)
    if len(both) != 2 or not all(isinstance(v, int) and not isinstance(v, bool) for v in both):
        raise Refused(f"got {str(value)[:40]}, expected a pair of integers")
    if not all(least <= v <= 2**15 for v in both):
        raise Refused(f"got {both}, expected at least {least}, and no more than {2**15}")
    return both


def known_groups(layer: dict[str, Any]) -> bool:
    """Return whether groups and channels of a description are whole numbers that fit."""
    groups, *both = (layer[key] for key in ("groups", "in_channels", "out_channels"))
    whole_numbers = all(isinstance(number, int) and number > 0 for number in (groups, *both))
    return whole_numbers and not any(number % groups for number in both)


def padded(shape: tuple[int, ...], sides: Any, mode: str) -> np.ndarray:
    """Return the number of each pixel of an image that is padded, `OUTSIDE` for zeros.

    Args:
        shape: (height, width).
        sides: ((above, below), (left, right)).
        mode: as numpy.pad has it.

    Raises:
        Refused: for more pixels than a layer may have, or a padding larger than its image.
    """
    height, width = shape
    check_size((height + sum(sides[0])) * (width + sum(sides[1])))
    pixels = np.arange(height * width).reshape(height, width)
    if mode == "constant":
        return surrounded(pixels, sides, OUTSIDE)
    room = [size - (mode == "reflect") for size in shape]
    if mode != "edge" and any(max(both) > most for most, both in zip(room, sides, strict=True)):
        raise Refused("a padding is larger than its image")
    return np.pad(pixels, sides, mode=mode)  # pyright: ignore[reportCallIssue, reportArgumentType]


def surrounded(pixels: np.ndarray, ends: Any, fill: int) -> np.ndarray:
    """Return numbered pixels with `fill` before and behind them, `ends` of each axis."""
    check_size(prod(size + sum(both) for size, both in zip(pixels.shape, ends, strict=True)))
    return np.pad(pixels, ends, constant_values=fill)


def check_size(entries: int) -> None:
    """Raise Refused for more products than a layer may have here."""
    hold("products", entries)
    spend(CALL + 8 * entries)


def _named(padding: str, kernel: Pair, dilation: Pair) -> tuple[Pair, ...]:
    if padding not in ("same", "valid"):
        raise Refused(f"unknown: no proof form for padding {padding[:20]!r}")
    totals = [gap * (size - 1) if padding == "same" else 0 for size, gap in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def inverse(count: int) -> Dyadic:
    """Return 1/count, rounded down to a relative 2^−90 where it is no dyadic number."""
    shift = count.bit_length() - 1 if count & count - 1 == 0 else 100 + count.bit_length()
    return Dyadic(np.asarray((1 << shift) // count, dtype=object), shift)


Shape = tuple[int, ...]


@dataclass(frozen=True)
class TransposedConvolution:
    """x[c, p] adds W[c, o, k]·x[c, p] to y[group's o, p·stride + k·dilation − padding].

    W is (in, out/groups, height, width).
    """

    weight: Dyadic
    bias: Dyadic
    stride: Pair
    padding: Pair
    more: Pair
    dilation: Pair
    groups: int

    @staticmethod
    def of(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "TransposedConvolution":
        """Return the layer of a description with its weights.

        Raises:
            Refused: for a description that does not fit.
        """
        kernel, stride, dilation = (pair(layer[key], 1) for key in ("kernel_size", "stride", "dilation"))
        padding, more, groups = pair(layer["padding"], 0), pair(layer["output_padding"], 0), layer["groups"]
        if not known_groups(layer):
            raise Refused(f"{name}: has groups that do not fit")
        size = (layer["in_channels"], layer["out_channels"] // groups, *kernel)
        if weight.shape != size or bias.shape != (layer["out_channels"],):
            raise Refused(f"{name}: has a weight or a bias of another size than it says")
        if any(extra >= max(both) for extra, *both in zip(more, stride, dilation, strict=True)):
            raise Refused(f"{name}: has an output padding that torch does not take")
        return TransposedConvolution(weight, bias, stride, padding, more, dilation, groups)

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: at most a product for each channel of a group and weight of a kernel, and a bias."""
        inputs, each, *kernel = self.weight.shape
        if len(shape) != 3 or shape[0] != inputs:
            raise Refused("a transposed convolution does not fit its inputs")
        check_size(prod(shape) * each * prod(kernel))
        made, places = [], []
        settings = zip(shape[1:], kernel, self.stride, self.padding, self.more, self.dilation, strict=True)
        for size, count, step, side, extra, gap in settings:
            made.append((size - 1) * step - 2 * side + gap * (count - 1) + extra + 1)
            places.append(np.arange(size)[:, None] * step + np.arange(count) * gap - side)
        if min(made) < 1:
            raise Refused("a transposed convolution leaves nothing of its inputs")
        out = each * self.groups
        check_size(out * prod(made))
        full = (inputs, each, *shape[1:], *kernel)
        channel = np.arange(inputs)[:, None] // (inputs // self.groups) * each + np.arange(each)
        down, right = places[0][:, None, :, None], places[1][None, :, None, :]
        inside = np.broadcast_to((down >= 0) & (down < made[0]) & (right >= 0) & (right < made[1]), full)
        target = np.broadcast_to(channel[:, :, None, None, None, None] * prod(made) + down * made[1] + right, full)
        source = np.arange(prod(shape)).reshape(inputs, 1, *shape[1:], 1, 1)
        values = np.broadcast_to(self.weight.ints[:, :, None, None], full)
        entries = (
            target[inside],
            np.broadcast_to(source, full)[inside],
            Dyadic(values[inside], self.weight.shift),
        )
        matrix = Matrix.of((out * prod(made), prod(shape)), *entries)
        bias = self.bias[np.repeat(np.arange(out), prod(made))].column()
        terms = inputs // self.groups * prod(kernel) + 1
        return Affine.summing(matrix, matrix.moduli, bias, terms, Fraction(0), arithmetic), (out, *made)


@dataclass(frozen=True)
class WindowMeans:
    """The means over windows from ⌊i·m/n⌋ to ⌈(i + 1)·m/n⌉ − 1 of an axis of m entries, n of them."""

    inputs: Pair
    outputs: Pair

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: a sum over each window, and up to two divisions."""
        if len(shape) != 3 or shape[1:] != self.inputs:
            raise Refused("an average does not fit its inputs")
        rows, columns = (_inside(*sizes) for sizes in zip(self.inputs, self.outputs, strict=True))
        check_size(shape[0] * prod(self.inputs) * prod(self.outputs))
        window = rows[:, None, :, None] & columns[None, :, None, :]  # (rows, columns, height, width)
        counts = window.sum((2, 3)).ravel()
        share = stacked([inverse(int(count)) for count in counts])
        target, source = (place.ravel() for place in np.nonzero(window.reshape(len(counts), -1)))
        channel, pixels = np.arange(shape[0])[:, None], prod(self.inputs)
        entries = ((channel * len(counts) + target).ravel(), (channel * pixels + source).ravel())
        matrix = Matrix.of((shape[0] * len(counts), prod(shape)), *entries, share[np.tile(target, shape[0])])
        bias = whole(np.zeros((matrix.shape[0], 1), dtype=int))
        terms = int(counts.max()) + 3
        return Affine.summing(matrix, matrix, bias, terms, NEAR, arithmetic), (shape[0], *self.outputs)


def _inside(size: int, count: int) -> np.ndarray:
    """Return whether window i holds entry j, (count, size)."""
    check_size(size * count)
    window, place = np.arange(count)[:, None], np.arange(size)
    return (place >= window * size // count) & (place < -((window + 1) * size // -count))


HEIGHTS = {"kernel_size": 1, "stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}
"""What an image's layer has along its height where it has only one row."""


@dataclass(frozen=True)
class OneRow:
    """A layer of images (channels, 1, length), over sequences (channels, length)."""

    images: Convolution | Pool | TransposedConvolution | WindowMeans

    @staticmethod
    def convolution(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "OneRow":
        """Return the layer of a description with its weights, (out, in/groups, length) and (out,).

        Raises:
            Refused: for a description that does not fit.
        """
        if weight.ints.ndim != 3:
            raise Refused(f"{name}: has a weight of another size than it says")
        return OneRow(Convolution.of(Dyadic(weight.ints[:, :, None], weight.shift), bias, name, _of_images(layer)))

    @staticmethod
    def transposed(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "OneRow":
        """Return the transposed convolution of a description; its weights (in, out/groups, length) and (out,).

        Raises:
            Refused: for a description that does not fit.
        """
        if weight.ints.ndim != 3:
            raise Refused(f"{name}: has a weight of another size than it says")
        images = Dyadic(weight.ints[:, :, None], weight.shift)
        return OneRow(TransposedConvolution.of(images, bias, name, _of_images(layer)))

    @staticmethod
    def pool(name: str, layer: dict[str, Any]) -> "OneRow":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        return OneRow(Pool.of(name, _of_images(layer)))

    def over(self, shape: tuple[int, ...], arithmetic: Arithmetic) -> tuple[Affine, tuple[int, ...]]:
        """Return the map of flat inputs, and the shape of its outputs."""
        if len(shape) != 2:
            raise Refused("a layer of sequences does not fit its inputs")
        affine, (channels, _, length) = self.images.over((shape[0], 1, shape[1]), arithmetic)
        return affine, (channels, length)


def _of_images(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the description of the same layer over images of height 1; a padding may have a name."""
    sizes = {key: layer[key] for key in HEIGHTS if key in layer and not isinstance(layer[key], str)}
    return layer | {key: [HEIGHTS[key], single(value)] for key, value in sizes.items()}


def single(value: Any) -> Any:
    """Return the number of a list of one, or a number; that it is an integer is checked where it is read."""
    if isinstance(value, list):
        if len(value) != 1:
            raise Refused(f"got {str(value)[:40]}, expected one integer")
        return value[0]
    return value
