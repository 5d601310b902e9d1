"""Transposed convolutions, and averages over windows of several sizes."""

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, Refused, stacked, whole
from ..numbers.sparse import Matrix
from .affine import NEAR, Affine
from .images import Pair, check_size, inverse, known_groups, pair

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
