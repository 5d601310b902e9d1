"""The affine layers of a model file, and which exact map each is for inputs of a given shape.

What this checker does not know of a description, it must not pass over: a field that is not listed is refused.

Layers that move numbers: padding by zeros, nearest upsampling, pixel shuffles, another shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, prod
from typing import Any, Protocol

import numpy as np

from ..numbers.exact import Arithmetic, Dyadic, Refused, exactly, marks, stacked, whole
from ..numbers.sparse import Matrix
from ..work import spend
from .affine import Affine
from .images import (
    MOST,
    OUTSIDE,
    Convolution,
    Pool,
    Shape,
    Sides,
    TransposedConvolution,
    WindowMeans,
    check_size,
    numbered,
    padded,
)

MOST_SIZES = 64
"""The most numbers of one list: numpy's axes."""


@dataclass(frozen=True)
class Padding:
    """Each output is one input or 0; `sides` are (before, behind) of each axis behind the channels."""

    sides: Sides

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
        kept = [size + sum(min(0, end) for end in ends) for size, ends in zip(shape[1:], self.sides, strict=True)]
        if min(made) < 1 or min(kept) < 0:  # torch cuts first, and takes no more than there is
            raise Refused("a padding leaves nothing of its inputs")
        return _moved(padded(numbered(shape), self.sides), shape, arithmetic)


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
        found = numbered(shape)
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
        parts = numbered(shape).reshape(channels, factor, factor, *shape[1:]).transpose(0, 3, 1, 4, 2)
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


def _moved(places: np.ndarray, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
    """Return the map whose outputs are the inputs of these numbers, and 0 at `OUTSIDE`."""
    rows = np.flatnonzero(places != OUTSIDE)
    ones, bias = whole(np.ones(len(rows), int)), whole(np.zeros((places.size, 1), int))
    matrix = Matrix.of((places.size, prod(shape)), rows, places.ravel()[rows], ones)
    return Affine.summing(matrix, matrix, bias, 1, Fraction(0), arithmetic), places.shape


Tensors = dict[str, np.ndarray]

LEAST_VARIANCE = Fraction(1, 2**60)
"""A batch norm divides by the root of at least this, so that nothing underflows or grows beyond measure."""


class Layer(Protocol):
    """An affine layer."""

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine | None, Shape]:
        """Return the map on flat inputs (None: the identity) and the shape of its outputs.

        Raises:
            Refused: for a shape that the layer can't take.
        """
        ...


@dataclass(frozen=True)
class Linear:
    """x ↦ W·x + b, W (n, m), b (n,)."""

    weight: Dyadic
    bias: Dyadic

    @staticmethod
    def read(tensors: Tensors, name: str, layer: dict[str, Any]) -> "Linear":
        """Return the layer of a description."""
        weight, bias = weights(tensors, name, layer["bias"])
        if weight.shape != (layer["out_features"], layer["in_features"]):
            raise Refused(f"{name}: has a weight of another size than it says")
        return Linear(weight, bias)

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: m products and a bias."""
        if shape != self.weight.shape[1:]:
            raise Refused("unknown: no proof form for a Linear layer of inputs that are not flat, or do not fit")
        matrix = Matrix.dense(self.weight)
        terms = self.weight.shape[1] + 1
        products = Matrix.dense(marks(self.weight))
        near, bias = Fraction(0), self.bias.column()
        found = Affine.summing(matrix, matrix.moduli, bias, terms, near, arithmetic, products)
        return found, self.weight.shape[:1]


@dataclass(frozen=True)
class Norm:
    """y = s·x + (b − s·mean) of each channel, s = w/√(var + ε): a batch norm in evaluation, a normalisation.

    The run may use either that form or (x − mean)·s + b. ε, var + ε, the root, its inverse, the products, the
    difference and the sum are at most 10 roundings in a row; 17 are paid, for the dyadic neighbours, too. What
    underflows in any factor, at most tiny, is multiplied by |x|, |mean|, |w|, |s| or 1/√(var + ε) ≤ 2³⁰. A w or an
    s that is itself subnormal would be off by as much as it is, times any |mean|, and is refused.
    """

    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float
    images: bool

    @staticmethod
    def read(tensors: Tensors, name: str, layer: dict[str, Any]) -> "Norm":
        """Return the layer of a description."""
        plain = layer["type"] == "Normalize"
        count = layer["channels"] if plain else layer["num_features"]
        affine, epsilon = not plain and layer["affine"], 0.0 if plain else float(layer["eps"])
        mean, variance = tensors.pop(f"{name}.running_mean"), tensors.pop(f"{name}.running_var")
        tensors.pop(f"{name}.num_batches_tracked", None)
        weight = tensors.pop(f"{name}.weight") if affine else np.ones(mean.shape)
        bias = tensors.pop(f"{name}.bias") if affine else np.zeros(mean.shape)
        if any(part.shape != (count,) for part in (mean, variance, weight, bias)):
            raise Refused(f"{name}: has statistics of sizes that do not fit")
        if not np.isfinite(epsilon) or epsilon < 0 or not (np.isfinite(variance) & (variance >= 0)).all():
            raise Refused(f"{name}: has a variance or an eps outside its range")
        return Norm(weight, bias, mean, variance, epsilon, layer["type"] != "BatchNorm1d")

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map, one factor a channel.

        Raises:
            Refused: for inputs that do not fit, a variance outside its range, or a factor that underflows.
        """
        if shape[:1] != self.mean.shape or len(shape) not in ((3,) if self.images else (1, 2)):
            raise Refused("a batch norm or a normalisation does not fit its inputs")
        spend(256 * len(self.mean) + 8 * prod(shape))
        roots = [_inverse_root(Fraction(v) + Fraction(self.epsilon)) for v in self.variance.tolist()]
        weight, bias, mean = (Dyadic.of(part, "a batch norm") for part in (self.weight, self.bias, self.mean))
        scale = weight * stacked([exactly(root) for root in roots])
        arithmetic.check_normal("a batch norm's weight", weight.fractions())
        arithmetic.check_normal("a batch norm's weight/√(var + eps)", scale.fractions())
        channel = np.repeat(np.arange(len(self.mean)), prod(shape[1:]))
        place = np.arange(prod(shape))
        matrix = Matrix.of((len(place), len(place)), place, place, scale[channel])
        shift, offset = bias - scale * mean, abs(bias) + abs(scale * mean)
        sizes = [abs(part).max().fraction() for part in (mean, weight, scale, bias)]
        own = 16 * arithmetic.tiny * (2**30 + 2 + sum(sizes))
        peak = Fraction(2**30 * prod(1 + size for size in sizes))
        share = arithmetic.gamma(17)
        columns = (shift[channel].column(), matrix.moduli, offset[channel].column())
        return Affine(matrix, *columns, share, own, peak), shape


@dataclass(frozen=True)
class Multiple:
    """x ↦ c·x, one product."""

    share: Dyadic

    @staticmethod
    def read(tensors: Tensors, name: str, layer: dict[str, Any]) -> "Multiple":
        """Return the layer of a description."""
        share = tensors.pop(f"{name}.share")
        if share.shape != (1,):
            raise Refused(f"{name}: has a share that is not one number")
        return Multiple(Dyadic.of(share, f"{name}.share"))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[Affine, Shape]:
        """Return the map: one product for each output, of the same shape."""
        place = np.arange(prod(shape))
        matrix = Matrix.of((len(place), len(place)), place, place, self.share[np.zeros(len(place), int)])
        bias = whole(np.zeros((len(place), 1), int))
        return Affine.summing(matrix, matrix.moduli, bias, 1, Fraction(0), arithmetic), shape


@dataclass(frozen=True)
class Flatten:
    """Another shape of the same numbers; dimensions are counted with the batch's, which is 0."""

    start: int
    end: int

    @staticmethod
    def read(tensors: Tensors, name: str, layer: dict[str, Any]) -> "Flatten":
        """Return the layer of a description."""
        return Flatten(whole_number(layer["start_dim"]), whole_number(layer["end_dim"]))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> tuple[None, Shape]:
        """Return no map."""
        count = len(shape) + 1
        start, end = (place + count if place < 0 else place for place in (self.start, self.end))
        if not 1 <= start <= end < count:
            raise Refused("unknown: no proof form for a Flatten that does not fit, or touches the batch")
        return None, (*shape[: start - 1], prod(shape[start - 1 : end]), *shape[end:])


def weights(tensors: Tensors, name: str, biased: bool) -> tuple[Dyadic, Dyadic]:
    """Return a layer's weight and its bias, one number for each row of the weight."""
    weight = tensors.pop(f"{name}.weight")
    bias = tensors.pop(f"{name}.bias") if biased else np.zeros(len(weight))
    if bias.shape != weight.shape[:1]:
        raise Refused(f"{name}: has a weight and a bias of sizes that do not fit")
    return Dyadic.of(weight, f"{name}.weight"), Dyadic.of(bias, f"{name}.bias")


def _convolution(tensors: Tensors, name: str, layer: dict[str, Any]) -> Convolution:
    return Convolution.of(*weights(tensors, name, layer["bias"]), name, layer)


def _transposed(tensors: Tensors, name: str, layer: dict[str, Any]) -> TransposedConvolution:
    return TransposedConvolution.of(*_kernels(tensors, name, layer), name, layer)


def _kernels(tensors: Tensors, name: str, layer: dict[str, Any]) -> tuple[Dyadic, Dyadic]:
    """Return the weight and the bias of a transposed convolution, one number for each channel that it makes."""
    weight = tensors.pop(f"{name}.weight")
    bias = tensors.pop(f"{name}.bias") if layer["bias"] else np.zeros(whole_number(layer["out_channels"]))
    return Dyadic.of(weight, f"{name}.weight"), Dyadic.of(bias, f"{name}.bias")


def _pool(tensors: Tensors, name: str, layer: dict[str, Any]) -> Pool:
    return Pool.of(name, layer)


def _averages(tensors: Tensors, name: str, layer: dict[str, Any]) -> WindowMeans:
    return WindowMeans.of(name, layer)


def whole_number(value: Any) -> int:
    """Return an integer of a description."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**20:
        raise Refused(f"got {value!r}, expected a small integer")
    return value


def _inverse_root(value: Fraction) -> Fraction:
    """Return 1/√value to a relative 2^−99, rounded down."""
    if not LEAST_VARIANCE <= value <= 1 / LEAST_VARIANCE:
        raise Refused("unknown: no proof form for a batch norm with such a variance")
    bits = 100 + max(0, value.numerator.bit_length() - value.denominator.bit_length() + 1) // 2
    return Fraction(isqrt((value.denominator << 2 * bits) // value.numerator), 1 << bits)


_POOL = {"kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"}
_CONVOLUTION = {"in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"}
_TRANSPOSED = _CONVOLUTION | {"output_padding"}
_CONVOLUTION |= {"padding_mode"}
_READERS: dict[str, tuple[set[str], Callable[[Tensors, str, dict[str, Any]], Layer]]] = {
    "Linear": ({"in_features", "out_features", "bias"}, Linear.read),
    "Conv1d": (_CONVOLUTION, _convolution),
    "Conv2d": (_CONVOLUTION, _convolution),
    "ConvTranspose1d": (_TRANSPOSED, _transposed),
    "ConvTranspose2d": (_TRANSPOSED, _transposed),
    "AvgPool1d": (_POOL, _pool),
    "AvgPool2d": (_POOL, _pool),
    "AdaptiveAverage": ({"inputs", "outputs"}, _averages),
    "ZeroPad1d": ({"padding"}, Padding.read),
    "ZeroPad2d": ({"padding"}, Padding.read),
    "Upsample": ({"scale_factor", "mode"}, Upsampling.read),
    "PixelShuffle": ({"upscale_factor"}, PixelShuffle.read),
    "Unflatten": ({"dim", "unflattened_size"}, Unflatten.read),
    "BatchNorm1d": ({"num_features", "eps", "momentum", "affine"}, Norm.read),
    "BatchNorm2d": ({"num_features", "eps", "momentum", "affine"}, Norm.read),
    "Normalize": ({"channels"}, Norm.read),
    "Flatten": ({"start_dim", "end_dim"}, Flatten.read),
    "Share": (set(), Multiple.read),
}


def read_layer(tensors: Tensors, name: str, layer: dict[str, Any]) -> Layer:
    """Return an affine layer, and take its tensors out of `tensors`.

    Raises:
        Refused: for a layer, or a field, that is not known.
    """
    if layer["type"] not in _READERS:
        raise Refused(f"unknown: no proof form for a {str(layer['type'])[:20]} layer")
    fields, read = _READERS[layer["type"]]
    if layer.keys() != fields | {"type"}:
        raise Refused(f"unknown: no proof form for a {layer['type']} that is described otherwise")
    return read(tensors, name, layer)
