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
from .images import Shape, axes_of, behind, numbered, padded, sizes, windows

FIELDS = {"type", "kernel_size", "stride", "padding", "dilation", "ceil_mode"}


@dataclass(frozen=True)
class MaxPool:
    """A pool along the last axes of a signal, two or one; one may stand before."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    rounds_up: bool

    @staticmethod
    def read(name: str, layer: dict[str, Any]) -> "MaxPool":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        if layer.keys() != FIELDS or not isinstance(layer["ceil_mode"], bool):
            raise Refused("unknown: no proof form for a max pool that is described otherwise")
        axes = axes_of(layer)
        kernel, stride, dilation = (sizes(layer[key], axes, 1) for key in ("kernel_size", "stride", "dilation"))
        padding = sizes(layer["padding"], axes, 0)
        reach = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
        if any(2 * side > most for side, most in zip(padding, reach, strict=True)):
            raise Refused(f"{name}: is a pool that is not known")
        return MaxPool(kernel, stride, padding, dilation, layer["ceil_mode"])

    def over(self, shape: Shape) -> tuple["PoolWindows", Shape]:
        """Return the windows over flat signals of `shape`, and the shape of their maxima."""
        axes, settings = len(self.kernel), (self.kernel, self.stride, self.padding, self.dilation)
        if len(shape) - axes not in (0, 1):
            raise Refused("a max pool does not fit its inputs")
        places = padded(numbered(shape), [(side, side) for side in self.padding])
        if self.rounds_up:
            places = padded(places, behind(places.shape[-axes:], *settings))
        seen = windows(places, self.kernel, self.stride, self.dilation)
        made = seen.shape[:-axes]
        flat = seen.reshape(prod(made), -1)
        output, place = np.nonzero(flat >= 0)
        if len(np.unique(output)) < len(flat):
            raise Refused("a max pool has a window without pixels")
        return PoolWindows(output, flat[output, place]), made


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
