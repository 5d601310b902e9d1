"""nn.MaxPool1d and nn.MaxPool2d: the greatest entry of each window, of currents or of spikes (of these an OR).

A maximum is one of its entries, so it never rounds, and it hands rounding on without adding to it: where each x̂_j
lies within e_j of x_j, |max x̂ − max x| ≤ max e. Proof: x̂_j ≤ x_j + e_j ≤ max x + max e for each j, so max x̂ ≤
max x + max e, and the same with x and x̂ exchanged.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import whole
from .layers import apply_affine
from .registry import Element, Extent, Padding, one_or_each, register

Settings = tuple[int, ...]
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)


@dataclass(frozen=True)
class MaxWindows:
    """The windows of a max pool, a number for each axis that they slide along. Padding never counts.

    Attributes:
        size, stride, padding, dilation: as torch has them.
        ceil_mode: whether a last window may begin where a whole one would not fit.
    """

    size: Settings
    stride: Settings
    padding: Settings
    dilation: Settings
    ceil_mode: bool

    @property
    def count(self) -> int:
        """Return how many entries a whole window has."""
        return prod(self.size)

    def largest(self, x: Tensor) -> Tensor:
        """Return the greatest entry of each window of signals (batch, ...).

        Raises:
            ValueError: for signals that the windows do not fit, or a window that holds padding alone.
        """
        pool = F.max_pool1d if len(self.size) == 1 else F.max_pool2d
        try:
            found = pool(x, self.size, self.stride, self.padding, self.dilation, self.ceil_mode)
        except (RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())
            raise ValueError(f"inputs: {self} was given {tuple(x.shape)} (batch first): {told}") from error
        self.check(found)
        return found

    def total(self, x: Tensor) -> Tensor:
        """Return the sum of each window's entries: at least the greatest of them where x ≥ 0."""
        entries = F.pad(x.flatten(1), (0, 1))
        places = self.places(tuple(x.shape[1:])).to(x.device)
        found = entries[:, places[..., 0]]
        for place in places.unbind(-1)[1:]:
            found += entries[:, place]
        return found

    def places(self, features: Settings) -> Tensor:
        """Return which flattened entries of one signal each window holds, (outputs…, n).

        Where a window reaches into the padding it holds the entry behind the last one.
        """
        axes = len(self.size)
        outputs = tuple(self.largest(torch.zeros(1, *features)).shape[1:])
        entry, inside = torch.zeros((), dtype=torch.long), torch.ones((), dtype=torch.bool)
        for axis in range(axes):
            side = features[len(features) - axes + axis]
            at = self._along(axis, outputs[len(outputs) - axes + axis], side)
            shape = [1] * (2 * axes)
            shape[axis], shape[axes + axis] = at.shape
            at = at.view(shape)
            entry, inside = entry * side + at, inside & (at < side)
        others = features[: len(features) - axes]
        first = torch.arange(prod(others)).view(*others, *([1] * (2 * axes))) * prod(features[len(others) :])
        return torch.where(inside, entry + first, prod(features)).flatten(-axes)

    def shared(self, features: Settings) -> int:
        """Return the most windows that hold one entry."""
        counted = torch.bincount(self.places(features).flatten(), minlength=prod(features) + 1)
        return int(counted[:-1].max())

    def check(self, found: Tensor) -> None:
        """Raise ValueError for a maximum of nothing: only windows with gaps can lie in the padding alone."""
        if any(self.padding) and max(self.dilation) > 1 and bool(torch.isneginf(found).any()):
            raise ValueError(f"inputs: {self} has a window that holds padding alone, expected windows with inputs")

    def _along(self, axis: int, outputs: int, side: int) -> Tensor:
        """Return the coordinates of each window's entries along one axis, (outputs, n); `side` where it has fewer.

        Those in front of the first entry are left out, so that n is no more than what fits between the ends.
        """
        gap, start = self.dilation[axis], torch.arange(outputs) * self.stride[axis] - self.padding[axis]
        before = (-start).clamp_min(0).add(gap - 1).div(gap, rounding_mode="floor")
        number = before[:, None] + torch.arange(min(self.size[axis], -(-side // gap)))
        at = start[:, None] + number * gap
        return torch.where(number < self.size[axis], at, side)

    def __repr__(self) -> str:
        """Return name and settings."""
        told = f"{self.size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}"
        return f"MaxPool{len(self.size)}d({told}, ceil_mode={self.ceil_mode})"


def max_windows(layer: nn.Module) -> MaxWindows:
    """Return the windows of a max pool, by its exact type: a subclass may run otherwise.

    Raises:
        TypeError: for another layer.
        ValueError: for one that returns indices, or a setting of another number of axes.
    """
    if type(layer) not in MAX_POOLS:
        known = ", ".join(kind.__name__ for kind in MAX_POOLS)
        raise TypeError(f"network: got a layer of type {type(layer).__name__}, expected one of {known}")
    _check_indices(layer)
    axes = 1 if type(layer) is nn.MaxPool1d else 2
    names = ("kernel_size", "stride", "padding", "dilation")
    size, step, padding, gap = (_settings(name, getattr(layer, name), axes) for name in names)
    return MaxWindows(size, step, padding, gap, bool(layer.ceil_mode))


def _check_indices(layer: Any) -> dict[str, Any]:
    """Say nothing besides; raise ValueError for a pool that returns more than the maxima."""
    if layer.return_indices:
        raise ValueError(f"network: got {layer} with return_indices, expected the maxima alone")
    return {}


def apply_max_pool(layer: nn.Module, signal: Tensor) -> Tensor:
    """Apply a max pool at all time steps at once, (time, batch, ...).

    Raises:
        ValueError: as `max_windows` and `MaxWindows.largest`.
    """
    windows = max_windows(layer)
    found = apply_affine(layer, signal)
    windows.check(found)
    return found


def _settings(name: str, value: Any, axes: int) -> Settings:
    """Return a setting of each axis as plain integers."""
    each = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(each) != axes:
        raise ValueError(f"{name}: got {value!r}, expected a number or one for each axis")
    return tuple(whole(name, number) for number in each)


def _fields(axes: int) -> dict[str, Any]:
    """Return what a file says of max pools along so many axes."""
    extent, padding = one_or_each(Extent, axes), one_or_each(Padding, axes)
    return {"ceil_mode": bool, "kernel_size": extent, "stride": extent, "padding": padding, "dilation": extent}


for _axes, _kind in enumerate(MAX_POOLS, 1):
    register(Element(_kind, "pooled", max_windows, apply_max_pool, fields=_fields(_axes), said=_check_indices))
