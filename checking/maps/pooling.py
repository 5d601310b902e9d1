"""Max pools: which entries each window holds, and what is linear in them in place of their maximum (F13).

A maximum is one of its entries, so it never rounds, and |max x̂ − max x| ≤ max |x̂ − x|. It grows with each entry,
so ends of entries give its ends. For entries in [l_j, h_j], any entry k of the window and a price A at one step,

    A·max x ≥ A·x_k  for A ≥ 0,    A·max x ≥ A·max h  for A < 0,    max x = x_k  where no other h_j passes l_k.

The entry of the greatest l, and of these of the greatest h, is taken; another one would only do worse.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..numbers.exact import Dyadic, Refused
from ..work import CALL, hold, spend
from .images import HEIGHTS, Pair, check_size, pair, single, surrounded, windows

FIELDS = {"type", "kernel_size", "stride", "padding", "dilation", "ceil_mode"}
OUTSIDE = -1
Shape = tuple[int, ...]


@dataclass(frozen=True)
class MaxPool:
    """A pool along the last two axes of a signal, or, with `flat`, along the last one; one may stand before."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    rounds_up: bool
    flat: bool

    @staticmethod
    def read(name: str, layer: dict[str, Any]) -> "MaxPool":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        flat = layer["type"] == "MaxPool1d"
        if layer.keys() != FIELDS or not isinstance(layer["ceil_mode"], bool):
            raise Refused("unknown: no proof form for a max pool that is described otherwise")
        names = ("kernel_size", "stride", "padding", "dilation")
        given = {key: [HEIGHTS[key], single(layer[key])] if flat else layer[key] for key in names}
        kernel, stride, dilation = (pair(given[key], 1) for key in ("kernel_size", "stride", "dilation"))
        padding = pair(given["padding"], 0)
        reach = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
        if any(2 * side > most for side, most in zip(padding, reach, strict=True)):
            raise Refused(f"{name}: is a pool that is not known")
        return MaxPool(kernel, stride, padding, dilation, layer["ceil_mode"], flat)

    def over(self, shape: Shape) -> tuple["PoolWindows", Shape]:
        """Return the windows over flat signals of `shape`, and the shape of their maxima."""
        axes = 1 if self.flat else 2
        if len(shape) - axes not in (0, 1):
            raise Refused("a max pool does not fit its inputs")
        channels, sides = prod(shape[:-axes]), [1] * (2 - axes) + list(shape[-axes:])
        pixels = windows(self._padded(sides), self.kernel, self.stride, self.dilation)
        check_size(channels * pixels.size)
        if not (pixels >= 0).any((2, 3)).all():
            raise Refused("a max pool has a window without pixels")
        places = np.arange(channels)[:, None, None, None, None] * prod(sides) + pixels
        outputs = np.arange(channels * prod(pixels.shape[:2])).reshape(channels, *pixels.shape[:2], 1, 1)
        inside = np.broadcast_to(pixels >= 0, places.shape)
        made = PoolWindows(np.broadcast_to(outputs, places.shape)[inside], places[inside])
        return made, (*shape[:-axes], *pixels.shape[2 - axes : 2])

    def _padded(self, sides: list[int]) -> np.ndarray:
        """Return the numbered pixels in their padding, as far as windows reach."""
        numbers, ends = np.arange(prod(sides)).reshape(sides), []
        for size, kernel, stride, side, gap in zip(
            sides, self.kernel, self.stride, self.padding, self.dilation, strict=True
        ):
            reach, more = gap * (kernel - 1) + 1, 0
            if self.rounds_up:
                count = -(-max(0, size + 2 * side - reach) // stride) + 1
                count -= (count - 1) * stride >= size + side  # a window must begin inside, or in the first padding
                more = max(0, (count - 1) * stride + reach - size - 2 * side)
            ends.append((side, side + more))
        return surrounded(numbers, ends, OUTSIDE)


@dataclass(frozen=True)
class PoolWindows:
    """Entry `entry[i]` of a flat signal is in window `output[i]`; every window has one; by rising windows."""

    output: np.ndarray
    entry: np.ndarray

    @cached_property
    def starts(self) -> np.ndarray:
        """Return where the entries of each window begin."""
        return np.flatnonzero(np.diff(self.output, prepend=-1))

    @property
    def count(self) -> int:
        """Return the number of windows."""
        return len(self.starts)

    def _pay(self, signal: Dyadic, each: int) -> None:
        hold("entries of windows over time", len(self.entry) * signal.shape[1])
        spend(CALL + each * len(self.entry) * signal.shape[1], signal.shift)

    def largest(self, signal: Dyadic) -> Dyadic:
        """Return the greatest entry of each window of (m, k)."""
        self._pay(signal, 1)
        return Dyadic(np.maximum.reduceat(signal.ints[self.entry], self.starts), signal.shift)


@dataclass(frozen=True)
class Maxima:
    """The maxima of windows of node `source`."""

    source: int
    windows: PoolWindows
