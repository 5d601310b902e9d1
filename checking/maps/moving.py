"""Layers that move numbers: padding by zeros, nearest upsampling, pixel shuffles, another shape."""

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Refused, whole
from ..numbers.sparse import Matrix
from .affine import Affine
from .images import OUTSIDE, Pair, check_size, surrounded

Shape = tuple[int, ...]
MOST = 2**15
"""The largest padding, either way, and the largest factor."""
MOST_SIZES = 64
"""The most numbers of one list: numpy's axes."""


@dataclass(frozen=True)
class Padding:
    """Each output is one input or 0; `sides` are (before, behind) of each axis behind the channels."""

    sides: tuple[Pair, ...]

    @staticmethod
    def read(tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any]) -> "Padding":
        """Return the layer of a description, which names the last axis first."""
        ends = _numbers(layer["padding"], -MOST)
        if len(ends) != (2 if layer["type"] == "ZeroPad1d" else 4):
            raise Refused(f"{name}: has a padding of another size")
        return Padding(tuple((ends[k], ends[k + 1]) for k in reversed(range(0, len(ends), 2))))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: one product for each output."""
        if len(shape) != 1 + len(self.sides):
            raise Refused("a padding does not fit its inputs")
        made = tuple(size + sum(ends) for size, ends in zip(shape[1:], self.sides, strict=True))
        if min(made) < 1:
            raise Refused("a padding leaves nothing of its inputs")
        found = _numbered(shape)
        for axis, ends in enumerate(self.sides, 1):
            found = _extended(found, axis, ends)
        return _moved(found, shape, arithmetic)


@dataclass(frozen=True)
class Upsampling:
    """Each entry repeated, by a power of two along each axis: there torch's own indices have no rounding."""

    factors: tuple[int, ...]

    @staticmethod
    def read(tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any]) -> "Upsampling":
        """Return the layer of a description."""
        factors = _numbers(layer["scale_factor"], 1)
        if layer["mode"] != "nearest" or any(factor & factor - 1 for factor in factors):
            raise Refused("unknown: no proof form for an upsampling but to the nearest, by powers of 2")
        return Upsampling(factors)

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: one product for each output."""
        axes = len(shape) - 1
        factors = self.factors * axes if len(self.factors) == 1 else self.factors
        if axes not in (1, 2) or len(factors) != axes:
            raise Refused("an upsampling does not fit its inputs")
        check_size(prod(shape) * prod(factors))
        found = _numbered(shape)
        for axis, factor in enumerate(factors):
            found = found.repeat(factor, axis + 1)
        return _moved(found, shape, arithmetic)


@dataclass(frozen=True)
class PixelShuffle:
    """Each group of factor² channels becomes one larger image."""

    factor: int

    @staticmethod
    def read(tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any]) -> "PixelShuffle":
        """Return the layer of a description."""
        (factor,) = _numbers([layer["upscale_factor"]], 1)
        return PixelShuffle(factor)

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: one product for each output."""
        if len(shape) != 3 or shape[0] % self.factor**2:
            raise Refused("a pixel shuffle does not fit its inputs")
        check_size(prod(shape))
        channels, factor = shape[0] // self.factor**2, self.factor
        parts = _numbered(shape).reshape(channels, factor, factor, *shape[1:]).transpose(0, 3, 1, 4, 2)
        return _moved(parts.reshape(channels, shape[1] * factor, shape[2] * factor), shape, arithmetic)


@dataclass(frozen=True)
class Unflatten:
    """One axis as several; axes are counted with the batch's, which is 0."""

    axis: int
    sizes: Shape

    @staticmethod
    def read(tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any]) -> "Unflatten":
        """Return the layer of a description."""
        (axis,) = _numbers([layer["dim"]], -MOST)
        return Unflatten(axis, _numbers(layer["unflattened_size"], -1))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[None, Shape]:
        """Return no map."""
        axis = self.axis + (len(shape) + 1 if self.axis < 0 else 0)
        free = [place for place, size in enumerate(self.sizes) if size < 0]
        if not 1 <= axis <= len(shape) or len(free) > 1 or 0 in self.sizes:
            raise Refused("unknown: no proof form for an Unflatten that does not fit, or touches the batch")
        known = prod(size for size in self.sizes if size > 0)
        sizes = tuple(shape[axis - 1] // known if size < 0 else size for size in self.sizes)
        if prod(sizes) != shape[axis - 1]:
            raise Refused("an Unflatten does not fit its inputs")
        return None, (*shape[: axis - 1], *sizes, *shape[axis:])


def _numbers(values: Any, least: int) -> Shape:
    """Return whole numbers of a description."""
    values = values if isinstance(values, list) else [values]
    numbers = all(isinstance(v, int) and not isinstance(v, bool) and least <= v <= MOST for v in values)
    if not numbers or len(values) > MOST_SIZES:
        raise Refused(f"got {str(values)[:40]}, expected integers from {least} to {MOST}")
    return tuple(values)


def _numbered(shape: Shape) -> np.ndarray:
    check_size(prod(shape))
    return np.arange(prod(shape)).reshape(shape)


def _extended(places: np.ndarray, axis: int, ends: Pair) -> np.ndarray:
    """Return numbered places with others around them along one axis, or without some of them."""
    size = places.shape[axis]
    kept = np.take(places, range(max(0, -ends[0]), size - max(0, -ends[1])), axis)
    sides = [(0, 0)] * places.ndim
    sides[axis] = max(0, ends[0]), max(0, ends[1])
    return surrounded(kept, sides, OUTSIDE)


def _moved(places: np.ndarray, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
    """Return the map whose outputs are the inputs of these numbers, and 0 at `OUTSIDE`."""
    rows = np.flatnonzero(places != OUTSIDE)
    ones, bias = whole(np.ones(len(rows), int)), whole(np.zeros((places.size, 1), int))
    matrix = Matrix.of((places.size, prod(shape)), rows, places.ravel()[rows], ones)
    return Affine.summing(matrix, matrix, bias, 1, Fraction(0), arithmetic), places.shape
