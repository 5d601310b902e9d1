"""Layers that sum over windows: convolutions, either way, and averages, of images and of sequences.

The geometry of a layer is run on an array of numbers, those of the entries that it reads (channels, *axes): what
pads, moves, repeats and cuts a signal does so with its numbers. So each layer is for as many axes as its windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..numbers.exact import Arithmetic, Dyadic, Refused, marks, stacked, whole
from ..numbers.sparse import Matrix
from ..work import CALL, hold, spend
from .affine import NEAR, Affine

OUTSIDE, BEYOND = -1, -2
"""In place of an entry: padding, which is 0, and what a rounded-up pool reaches behind the padding."""
MOST = 2**15
"""The largest size of a description."""
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

Shape = tuple[int, ...]
Sides = Sequence[tuple[int, int]]
"""What comes before and behind each of the last axes; below 0: what goes."""
Entries = tuple[tuple[int, int], np.ndarray, np.ndarray, Dyadic]
"""What `Matrix.of` takes."""


def axes_of(layer: dict[str, Any]) -> int:
    """Return how many axes windows have: 1 of sequences, 2 of images, as the type's name ends."""
    return 1 if layer["type"].endswith("1d") else 2


def sizes(value: Any, axes: int, least: int) -> Shape:
    """Return a size of a description along each axis: a list of them, or one number for all.

    Raises:
        Refused: for other numbers, or fewer or more of them.
    """
    given = value if isinstance(value, list) else [value] * axes
    if len(given) != axes or not all(isinstance(v, int) and not isinstance(v, bool) for v in given):
        expected = "one integer" if axes == 1 else "a pair of integers"
        raise Refused(f"got {str(value)[:40]}, expected {expected}")
    if not all(least <= v <= MOST for v in given):
        raise Refused(f"got {tuple(given)}, expected at least {least}, and no more than {MOST}")
    return tuple(given)


def check_size(entries: int) -> None:
    """Raise Refused for more products than a layer may have here."""
    hold("products", entries)
    spend(CALL + 8 * entries)


def numbered(shape: Shape) -> np.ndarray:
    """Return the numbers of a signal's entries, in its shape."""
    check_size(prod(shape))
    return np.arange(prod(shape)).reshape(shape)


def padded(places: np.ndarray, sides: Sides, mode: str = "constant", fill: int = OUTSIDE) -> np.ndarray:
    """Return numbers with others around their last axes: `fill`, or what `mode` says; or without some of them.

    Raises:
        Refused: for more entries than a layer may have, or a padding larger than its image.
    """
    ends = [(0, 0)] * (places.ndim - len(sides)) + list(sides)
    pairs = list(zip(places.shape, ends, strict=True))
    check_size(prod(size + sum(max(0, end) for end in both) for size, both in pairs))
    more = [(max(0, a), max(0, b)) for a, b in ends]
    if mode == "constant":
        found = np.pad(places, more, constant_values=fill)
        return found[
            tuple(slice(max(0, -a), size - max(0, -b)) for size, (a, b) in zip(found.shape, ends, strict=True))
        ]
    if mode != "edge" and any(max(both) > size - (mode == "reflect") for size, both in pairs if any(both)):
        raise Refused("a padding is larger than its image")
    return np.pad(places, more, mode=mode)  # pyright: ignore[reportCallIssue, reportArgumentType]


def windows(places: np.ndarray, kernel: Shape, stride: Shape, dilation: Shape) -> np.ndarray:
    """Return the numbers under each window along the last axes, (..., *outputs, *kernel).

    Raises:
        Refused: for a window larger than its image.
    """
    axes = tuple(range(places.ndim - len(kernel), places.ndim))
    spans = tuple(gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True))
    if any(span > places.shape[axis] for span, axis in zip(spans, axes, strict=True)):
        raise Refused("a window is larger than its image")
    steps = [slice(None)] * axes[0] + [slice(None, None, step) for step in (*stride, *dilation)]
    found = sliding_window_view(places, spans, axes)[tuple(steps)]
    check_size(found.size)
    return found


def behind(shape: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Sides:
    """Return what comes behind padded axes for last windows that are only partly inside: "ceil_mode"."""
    found = []
    for size, count, step, side, gap in zip(shape, kernel, stride, padding, dilation, strict=True):
        reach = gap * (count - 1) + 1
        last = -(-max(0, size - reach) // step)
        last -= last * step >= size - side  # a window must begin inside, or in the first padding
        found.append((0, max(0, last * step + reach - size)))
    return found


def entries(seen: np.ndarray, lead: int, inputs: int, values: Dyadic) -> Entries:
    """Return what a matrix is made of whose outputs, the first `lead` axes, sum values times the inputs seen."""
    outputs = prod(seen.shape[:lead])
    check_size(seen.size)
    inside, rows = seen >= 0, np.arange(outputs).reshape(seen.shape[:lead] + (1,) * (seen.ndim - lead))
    row, own = (np.broadcast_to(part, seen.shape)[inside] for part in (rows, values.ints))
    return (outputs, inputs), row, seen[inside], Dyadic(own, values.shift)


@dataclass(frozen=True)
class Kernel:
    """The weights of windows, (out, in/groups, *kernel), and a bias for each output channel."""

    weight: Dyadic
    bias: Dyadic
    groups: int

    def over(self, seen: np.ndarray, inputs: int, arithmetic: Arithmetic, plainly: bool) -> tuple[Affine, Shape]:
        """Return the map of the windows of all channels, (in, *outputs, *kernel), and the shape of its outputs.

        Args:
            seen: the numbers in each.
            inputs: how many there are.
            arithmetic: of the run.
            plainly: whether the run adds up these products, and those of padding with 0, and the bias.
        """
        out, each, *kernel = self.weight.shape
        axes = len(kernel)
        made = seen.shape[1 : 1 + axes]
        check_size(out * each * prod(made) * prod(kernel))
        own = np.moveaxis(seen.reshape(self.groups, each, *seen.shape[1:]), 1, 1 + axes)
        weights = Dyadic(np.expand_dims(self.weight.ints, tuple(range(1, 1 + axes))), self.weight.shift)
        chosen = own[np.arange(out) // (out // self.groups)]
        size, row, column, values = entries(chosen, 1 + axes, inputs, weights)
        matrix, moduli = (Matrix.of(size, row, column, each) for each in (values, abs(values)))
        products = Matrix.of(size, row, column, marks(values)) if plainly else None
        bias = self.bias[np.repeat(np.arange(out), prod(made))].column()
        terms = each * prod(kernel) + 1
        return Affine.summing(matrix, moduli, bias, terms, Fraction(0), arithmetic, products), (out, *made)


def grouped(name: str, layer: dict[str, Any]) -> int:
    """Return a description's groups.

    Raises:
        Refused: where they, or channels, are no whole numbers that fit.
    """
    groups, *both = (layer[key] for key in ("groups", "in_channels", "out_channels"))
    if not all(isinstance(number, int) and number > 0 for number in (groups, *both)) or any(
        number % groups for number in both
    ):
        raise Refused(f"{name}: has groups that do not fit")
    return groups


@dataclass(frozen=True)
class Convolution:
    """y[o] = Σ W[o, c, i…]·x[group's c, window's i…] + b[o]."""

    kernel: Kernel
    stride: Shape
    padding: Sides
    dilation: Shape
    mode: str

    @staticmethod
    def of(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "Convolution":
        """Return the layer of a description with its weights.

        Raises:
            Refused: for a description that does not fit.
        """
        axes, groups = axes_of(layer), grouped(name, layer)
        kernel, stride, dilation = (sizes(layer[key], axes, 1) for key in ("kernel_size", "stride", "dilation"))
        padding = layer["padding"]
        if isinstance(padding, str):
            sides = _named(padding, kernel, dilation)
        else:
            sides = [(side, side) for side in sizes(padding, axes, 0)]
        if layer["padding_mode"] not in MODES:
            raise Refused(f"{name}: has a padding mode that is not known")
        if weight.shape != (layer["out_channels"], layer["in_channels"] // groups, *kernel):
            raise Refused(f"{name}: has a weight of another size than it says")
        return Convolution(Kernel(weight, bias, groups), stride, sides, dilation, MODES[layer["padding_mode"]])

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: one product for each weight of a kernel, and a bias; padding adds products of 0."""
        _, each, *kernel = self.kernel.weight.shape
        if len(shape) != 1 + len(kernel) or shape[0] != each * self.kernel.groups:
            raise Refused("a convolution does not fit its inputs")
        places = padded(numbered(shape), self.padding, self.mode)
        seen = windows(places, tuple(kernel), self.stride, self.dilation)
        return self.kernel.over(seen, prod(shape), arithmetic, plainly=True)


def _named(padding: str, kernel: Shape, dilation: Shape) -> Sides:
    if padding not in ("same", "valid"):
        raise Refused(f"unknown: no proof form for padding {padding[:20]!r}")
    totals = [gap * (size - 1) if padding == "same" else 0 for size, gap in zip(kernel, dilation, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


@dataclass(frozen=True)
class TransposedConvolution:
    """x[c, p] adds W[c, o, k]·x[c, p] to y[group's o, p·stride + k·dilation − padding].

    So an output sees, through the kernel the other way around, entries `stride` apart, and 0 between and around.
    """

    kernel: Kernel
    stride: Shape
    sides: Sides
    dilation: Shape

    @staticmethod
    def of(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "TransposedConvolution":
        """Return the layer of a description with its weights, (in, out/groups, *kernel).

        Raises:
            Refused: for a description that does not fit.
        """
        axes, groups = axes_of(layer), grouped(name, layer)
        kernel, stride, dilation = (sizes(layer[key], axes, 1) for key in ("kernel_size", "stride", "dilation"))
        padding, more = (sizes(layer[key], axes, 0) for key in ("padding", "output_padding"))
        inputs, outputs = layer["in_channels"], layer["out_channels"]
        if weight.shape != (inputs, outputs // groups, *kernel) or bias.shape != (outputs,):
            raise Refused(f"{name}: has a weight or a bias of another size than it says")
        if any(extra >= max(both) for extra, *both in zip(more, stride, dilation, strict=True)):
            raise Refused(f"{name}: has an output padding that torch does not take")
        own = weight.ints.reshape(groups, inputs // groups, outputs // groups, *kernel).swapaxes(1, 2)
        turned = np.flip(own.reshape(outputs, inputs // groups, *kernel), tuple(range(2, 2 + axes)))
        reach = [gap * (count - 1) - side for count, gap, side in zip(kernel, dilation, padding, strict=True)]
        sides = [(side, side + extra) for side, extra in zip(reach, more, strict=True)]
        return TransposedConvolution(Kernel(Dyadic(turned, weight.shift), bias, groups), stride, sides, dilation)

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: at most a product for each channel of a group and weight of a kernel, and a bias."""
        _, each, *kernel = self.kernel.weight.shape
        if len(shape) != 1 + len(kernel) or shape[0] != each * self.kernel.groups:
            raise Refused("a transposed convolution does not fit its inputs")
        apart = [(size - 1) * step + 1 for size, step in zip(shape[1:], self.stride, strict=True)]
        reach = [gap * (count - 1) for count, gap in zip(kernel, self.dilation, strict=True)]
        made = [size + sum(both) - own for size, both, own in zip(apart, self.sides, reach, strict=True)]
        if min(made) < 1:
            raise Refused("a transposed convolution leaves nothing of its inputs")
        check_size(shape[0] * prod(apart))
        stuffed = np.full((shape[0], *apart), OUTSIDE)
        stuffed[(slice(None), *(slice(None, None, step) for step in self.stride))] = numbered(shape)
        seen = windows(padded(stuffed, self.sides), tuple(kernel), (1,) * len(kernel), self.dilation)
        return self.kernel.over(seen, prod(shape), arithmetic, plainly=False)


def means(
    seen: np.ndarray, counts: np.ndarray, terms: int, shape: Shape, arithmetic: Arithmetic
) -> tuple[Affine, Shape]:
    """Return the map of sums over windows, (channels, *outputs, *kernel), divided by counts, (channels, *outputs).

    The run divides, or multiplies by a rounded inverse: so much of `terms` is for that, and the rest for the sum.
    """
    spend(8 * counts.size, 128)
    known, which = np.unique(counts, return_inverse=True)
    shares = stacked([inverse(int(count)) for count in known])
    each = shares.ints[which].reshape(counts.shape + (1,) * (seen.ndim - counts.ndim))
    matrix = Matrix.of(*entries(seen, counts.ndim, prod(shape), Dyadic(each, shares.shift)))
    bias = whole(np.zeros((matrix.shape[0], 1), dtype=int))
    return Affine.summing(matrix, matrix, bias, terms, NEAR, arithmetic), counts.shape


@dataclass(frozen=True)
class Pool:
    """The mean of each window; padding counts as entries of 0 where `counted`, and not at all elsewhere."""

    kernel: Shape
    stride: Shape
    padding: Shape
    rounds_up: bool
    counted: bool

    @staticmethod
    def of(name: str, layer: dict[str, Any]) -> "Pool":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        flags, axes = (layer["ceil_mode"], layer["count_include_pad"]), axes_of(layer)
        kernel, stride = (sizes(layer[key], axes, 1) for key in ("kernel_size", "stride"))
        padding = sizes(layer["padding"], axes, 0)
        if not all(isinstance(flag, bool) for flag in flags) or any(
            2 * side > size for side, size in zip(padding, kernel, strict=True)
        ):
            raise Refused(f"{name}: is a pool that is not known")
        return Pool(kernel, stride, padding, *flags)

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: the sum of a window's entries, divided (or multiplied by a rounded inverse)."""
        axes, plain = len(self.kernel), (1,) * len(self.kernel)
        if len(shape) != 1 + axes:
            raise Refused("a pool does not fit its inputs")
        places = padded(numbered(shape), [(side, side) for side in self.padding])
        if self.rounds_up:
            more = behind(places.shape[1:], self.kernel, self.stride, self.padding, plain)
            places = padded(places, more, fill=BEYOND)
        seen = windows(places, self.kernel, self.stride, plain)
        counts = (seen >= (OUTSIDE if self.counted else 0)).sum(tuple(range(1 + axes, 1 + 2 * axes)))
        if not (counts > 0).all():
            raise Refused("a pool has a window without pixels")
        return means(seen, counts, prod(self.kernel) + 3, shape, arithmetic)


@dataclass(frozen=True)
class WindowMeans:
    """The means over windows from ⌊i·m/n⌋ to ⌈(i + 1)·m/n⌉ − 1 of an axis of m entries, n of them."""

    inputs: Shape
    outputs: Shape

    @staticmethod
    def of(name: str, layer: dict[str, Any]) -> "WindowMeans":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        both = layer["inputs"], layer["outputs"]
        if not all(isinstance(each, list) and len(each) == len(both[0]) in (1, 2) for each in both):
            raise Refused(f"{name}: has sizes that do not fit")
        return WindowMeans(*(sizes(each, len(both[0]), 1) for each in both))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: a sum over each window, and up to two divisions."""
        if shape[1:] != self.inputs:
            raise Refused("an average does not fit its inputs")
        axes, window = len(self.inputs), np.ones((), dtype=bool)
        check_size(shape[0] * prod(self.inputs) * prod(self.outputs))
        for size, count in zip(self.inputs, self.outputs, strict=True):
            first, place = np.arange(count)[:, None], np.arange(size)
            inside = (place >= first * size // count) & (place < -((first + 1) * size // -count))
            window = np.multiply.outer(window, inside)
        window = window.transpose(*range(0, 2 * axes, 2), *range(1, 2 * axes, 2))[None]  # outputs before inputs
        seen = np.where(window, numbered(shape).reshape(shape[0], *(1,) * axes, *shape[1:]), OUTSIDE)
        counts = (seen >= 0).sum(tuple(range(1 + axes, 1 + 2 * axes)))
        return means(seen, counts, int(counts.max()) + 3, shape, arithmetic)


def inverse(count: int) -> Dyadic:
    """Return 1/count, rounded down to a relative 2^−90 where it is no dyadic number."""
    shift = count.bit_length() - 1 if count & count - 1 == 0 else 100 + count.bit_length()
    return Dyadic(np.asarray((1 << shift) // count, dtype=object), shift)
