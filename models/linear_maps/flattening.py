"""nn.Flatten: it only renames coordinates."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .base import LinearMap, NoPlainModule, Products, lowers


@dataclass(frozen=True, eq=False)
class FlattenMap(LinearMap):
    """Axes `start` to `end` as one; the batch is axis 0 and no part of it."""

    reshapes: ClassVar[bool] = True

    start: int
    end: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the flattened signal."""
        return x.flatten(self.start, self.end)

    def apply(self, x: Tensor) -> Tensor:
        """Return the flattened signal."""
        return self.linear(x)

    def absolute(self) -> "FlattenMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return the flattened signal."""
        return self.linear(x)

    def power(self, order: int) -> "FlattenMap":
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


@lowers(nn.Flatten)
def flatten(layer: nn.Flatten) -> FlattenMap:
    """Return the map of a Flatten.

    Raises:
        ValueError: for one that takes the batch as well.
    """
    if layer.start_dim == 0:
        raise ValueError(f"network: got {layer}, expected one that leaves the batch alone")
    kind = _FlattenAll if (layer.start_dim, layer.end_dim) == (1, -1) else FlattenMap
    return kind(layer.start_dim, layer.end_dim)
