"""AdaptiveAverage: averages over windows that may overlap, differ in size, or repeat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..elements.layers import AdaptiveAverage
from .base import LinearMap, Shape, check_axes, lowers
from .sequences import OneRowMap


@dataclass(frozen=True, eq=False)
class WindowsMap(LinearMap):
    """y = R·x·Cᵀ for images x, R and C the averages along rows and columns. No entry is below 0, so |W| = W.

    Attributes:
        inputs, outputs: (height, width).
        order: the power that each entry of W is raised to.
    """

    rank: ClassVar[int | None] = 3
    channelwise: ClassVar[bool] = True

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    order: int = 1

    def linear(self, x: Tensor) -> Tensor:
        """Return R·x·Cᵀ."""
        check_axes(self, x, 3)
        return self._averages(x, self.order)

    def _averages(self, x: Tensor, order: int) -> Tensor:
        rows, columns = (_matrix(*sizes).to(x) ** order for sizes in zip(self.inputs, self.outputs, strict=True))
        return rows @ x @ columns.T

    def apply(self, x: Tensor) -> Tensor:
        """Return the averages as the run computes them."""
        check_axes(self, x, 3)
        return F.adaptive_avg_pool2d(x, self.outputs)

    def absolute(self) -> "WindowsMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return (W∘W)·x."""
        return self._averages(x, 2 * self.order)

    def power(self, order: int) -> "WindowsMap":
        """Return the map of W's powers."""
        return WindowsMap(self.inputs, self.outputs, order)

    def mixes(self, before: int) -> int:
        """Return 1 where each input reaches this layer once."""
        return 1 if before == 2 else 0

    @property
    def terms(self) -> int:
        """Return the size of the largest window, and the divisions of R and C besides the one of the run."""
        return _most(self.inputs, self.outputs, 1) + 2

    @property
    def depth(self) -> int:
        """Return the terms of an average, of its adjoint, and the divisions."""
        return self.terms + _most(self.inputs, self.outputs, 0) + 4

    def takes(self, features: Shape) -> None:
        """Raise ValueError for images of another size."""
        if len(features) != 3 or features[1:] != self.inputs:
            raise ValueError(f"inputs: got features {features}, expected (channels, *{self.inputs})")

    def __repr__(self) -> str:
        """Return name and sizes."""
        return f"AdaptiveAverage({self.inputs} → {self.outputs})"


def _matrix(size: int, count: int) -> Tensor:
    """Return 1/n where a window of n holds an entry, (count, size); windows as torch's own."""
    window = torch.arange(count, dtype=torch.int64)[:, None]
    start, end = window * size // count, -((window + 1) * size // -count)
    place = torch.arange(size)
    inside = (place >= start) & (place < end)
    return inside.double() / (end - start).double()


def _most(inputs: tuple[int, int], outputs: tuple[int, int], axis: int) -> int:
    """Return the most entries of a window (axis 1), or the most windows that hold an entry (axis 0)."""
    counts = [int((_matrix(*sizes) > 0).sum(axis).max()) for sizes in zip(inputs, outputs, strict=True)]
    return counts[0] * counts[1]


@lowers(AdaptiveAverage)
def averages(layer: AdaptiveAverage) -> LinearMap:
    """Return the map of averages of images or of sequences."""
    if len(layer.inputs) == 2:
        return WindowsMap(layer.inputs, layer.outputs)  # pyright: ignore[reportArgumentType]
    return OneRowMap(WindowsMap((1, *layer.inputs), (1, *layer.outputs)))  # pyright: ignore[reportArgumentType]
