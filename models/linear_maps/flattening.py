"""nn.Flatten and nn.Unflatten: they only rename coordinates."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..constants import whole, wholes
from ..elements.fields import Whole
from .base import LinearMap, NoPlainModule, Products, lowers


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

    def module(self, channels: int) -> nn.Module:
        """Return a Flatten of all but the batch."""
        if (self.start, self.end) != (1, -1):
            raise NoPlainModule(f"layer: got {self}, expected one that flattens all but the batch for lirpa")
        return nn.Flatten()

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
