"""AdaptiveAverage: averages over windows that may overlap, differ in size, or repeat.

nn.Flatten and nn.Unflatten: they only rename coordinates.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import whole, wholes
from ..elements.registry import Extent, Whole, each
from .base import LinearMap, Products, Shape, check_axes, lowers
from .sequences import OneRowMap


class AdaptiveAverage(nn.Module):
    """The adaptive average pool of signals of one size; its windows may overlap, differ in size, or repeat.

    Window i of n along an axis of m entries holds those from ⌊i·m/n⌋ to ⌈(i + 1)·m/n⌉ − 1.

    Args:
        inputs: (height, width) of the images, or (length,) of the sequences, that it takes.
        outputs: those that it makes.

    Raises:
        TypeError, ValueError: for sizes that are not 1 or 2 whole numbers above 0.
    """

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        self.inputs: tuple[int, ...] = wholes("inputs", inputs)
        self.outputs: tuple[int, ...] = wholes("outputs", outputs)
        sizes = (*self.inputs, *self.outputs)
        if len(self.inputs) != len(self.outputs) or len(self.inputs) not in (1, 2) or min(sizes) < 1:
            raise ValueError(
                f"outputs: got {self.outputs} of {self.inputs}, expected 1 or 2 sizes above 0 of both"
            )

    def forward(self, signal: Tensor) -> Tensor:
        """Return the averages, (batch, channels, *outputs)."""
        axes = len(self.inputs)
        if signal.dim() != 2 + axes or tuple(signal.shape[2:]) != self.inputs:
            raise ValueError(f"inputs: got {tuple(signal.shape)}, expected (batch, channels, *{self.inputs})")
        pool = F.adaptive_avg_pool1d if axes == 1 else F.adaptive_avg_pool2d
        return pool(signal, self.outputs)  # pyright: ignore[reportArgumentType]

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.inputs}, {self.outputs}"


SIZES = each(Extent, 1) | each(Extent, 2)
"""Of sequences or of images."""


@dataclass(frozen=True, eq=False)
class WindowsMap(LinearMap):
    """y = R·x·Cᵀ for images x, R and C the averages along rows and columns. No entry is below 0, so |W| = W.

    Attributes:
        inputs, outputs: (height, width).
        order: the power that each entry of W is raised to.
    """

    rank: ClassVar[int | None] = 3
    channelwise: ClassVar[bool] = True
    keeps_zeros: ClassVar[bool] = True

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


@lowers(AdaptiveAverage, fields={"inputs": SIZES, "outputs": SIZES})
def averages(layer: AdaptiveAverage) -> LinearMap:
    """Return the map of averages of images or of sequences."""
    if len(layer.inputs) == 2:
        return WindowsMap(layer.inputs, layer.outputs)  # pyright: ignore[reportArgumentType]
    return OneRowMap(WindowsMap((1, *layer.inputs), (1, *layer.outputs)))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class ReshapeMap(LinearMap):
    """The same numbers in the same order, under other axes."""

    reshapes: ClassVar[bool] = True
    keeps_zeros: ClassVar[bool] = True

    @abstractmethod
    def linear(self, x: Tensor) -> Tensor:
        """Return the reshaped signal."""

    def apply(self, x: Tensor) -> Tensor:
        """Return the reshaped signal."""
        return self.linear(x)

    def absolute(self) -> "ReshapeMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return the reshaped signal."""
        return self.linear(x)

    def power(self, order: int) -> "ReshapeMap":
        """Return this map."""
        return self

    def mixes(self, before: int) -> int:
        """Return what was known before."""
        return before

    @property
    def terms(self) -> int:
        """Return 0: nothing is computed."""
        return 0

    @property
    def depth(self) -> int:
        """Return 0: nothing is computed."""
        return 0

    @property
    def products(self) -> Products | None:
        """Return None: whoever asks must look through."""
        return None


@dataclass(frozen=True, eq=False)
class FlattenMap(ReshapeMap):
    """Axes `start` to `end` as one; the batch is axis 0 and no part of it."""

    start: int
    end: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the flattened signal."""
        return x.flatten(self.start, self.end)

    def __repr__(self) -> str:
        """Return name and axes."""
        return f"Flatten({self.start}, {self.end})"


@dataclass(frozen=True, eq=False)
class _FlattenAll(FlattenMap):
    """One that leaves vectors."""

    rank: ClassVar[int | None] = 1


@lowers(nn.Flatten, fields={"start_dim": Whole, "end_dim": Whole})
def flatten(layer: nn.Flatten) -> FlattenMap:
    """Return the map of a Flatten.

    Raises:
        ValueError: for one that takes the batch as well.
    """
    if layer.start_dim == 0:
        raise ValueError(f"network: got {layer}, expected one that leaves the batch alone")
    kind = _FlattenAll if (layer.start_dim, layer.end_dim) == (1, -1) else FlattenMap
    return kind(layer.start_dim, layer.end_dim)


@dataclass(frozen=True, eq=False)
class UnflattenMap(ReshapeMap):
    """Axis `axis` as several; the batch is axis 0 and stays."""

    axis: int
    sizes: tuple[int, ...]

    def linear(self, x: Tensor) -> Tensor:
        """Return the unflattened signal."""
        if self.axis % x.dim() == 0:
            raise ValueError(f"inputs: {self} was given {x.dim() - 1} axes, of which none is its own")
        return x.unflatten(self.axis, self.sizes)

    def __repr__(self) -> str:
        """Return name, axis and sizes."""
        return f"Unflatten({self.axis}, {self.sizes})"


@lowers(
    nn.Unflatten,
    fields={"dim": Whole, "unflattened_size": tuple[Whole, ...]},
    said=lambda layer: {"unflattened_size": tuple(layer.unflattened_size)},
)
def unflatten(layer: nn.Unflatten) -> UnflattenMap:
    """Return the map of an Unflatten.

    Raises:
        TypeError, ValueError: for one that parts the batch, or names its axes.
    """
    axis = whole("dim", layer.dim)
    if axis == 0:
        raise ValueError(f"network: got {layer}, expected one that leaves the batch alone")
    return UnflattenMap(axis, wholes("unflattened_size", tuple(layer.unflattened_size)))
