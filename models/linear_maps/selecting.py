"""Layers that move numbers: padding by zeros, nearest upsampling, pixel shuffles."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import whole, wholes
from ..elements.registry import Extent, Whole, each, one_or_each
from .base import LinearMap, Products, Shape, check_axes, lowers
from .sequences import OneRowMap


@dataclass(frozen=True, eq=False)
class SelectionMap(LinearMap):
    """Each output is one input or 0: a row of W has at most a single 1, so that |W| = W∘W = W.

    Attributes:
        repeats: whether an input may become several outputs.
    """

    repeats: ClassVar[bool] = False
    keeps_zeros: ClassVar[bool] = True

    @abstractmethod
    def linear(self, x: Tensor) -> Tensor:
        """Return the moved numbers."""

    def absolute(self) -> "SelectionMap":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return the moved numbers."""
        return self.linear(x)

    def power(self, order: int) -> "SelectionMap":
        """Return this map."""
        return self

    def mixes(self, before: int) -> int:
        """Return what was known before; 1 at most where an input is repeated: no output has two paths for one."""
        return min(before, 1) if self.repeats else before

    @property
    def terms(self) -> int:
        """Return 1."""
        return 1

    @property
    def depth(self) -> int:
        """Return 0: a number is moved, not rounded."""
        return 0

    @property
    def products(self) -> Products:
        """Return the one number that each output is."""
        return lambda x: self.linear(x).unsqueeze(-1)


@dataclass(frozen=True, eq=False)
class PadMap(SelectionMap):
    """Images with zeros around them.

    Attributes:
        sides: how many zeros left, right, above and below; negative ones cut the image.
    """

    rank: ClassVar[int | None] = 3
    channelwise: ClassVar[bool] = True

    sides: tuple[int, ...]

    def linear(self, x: Tensor) -> Tensor:
        """Return the padded images."""
        check_axes(self, x, 3)
        return F.pad(x, self.sides)

    def takes(self, features: Shape) -> None:
        """Raise ValueError for what is no image: of vectors the layer would pad the batch."""
        if len(features) != 3:
            raise ValueError(f"inputs: got features {features}, expected (channels, height, width)")


@dataclass(frozen=True, eq=False)
class UpsampleMap(SelectionMap):
    """Each entry repeated along the axes behind the channels, as torch's own indices have it.

    Attributes:
        factors: one for each axis, or one for all of them.
    """

    repeats: ClassVar[bool] = True
    channelwise: ClassVar[bool] = True

    factors: tuple[int, ...]

    def linear(self, x: Tensor) -> Tensor:
        """Return the larger images, or sequences."""
        self.takes(tuple(x.shape[1:]))
        factor = float(self.factors[0]) if len(self.factors) == 1 else tuple(map(float, self.factors))
        return F.interpolate(x, scale_factor=factor, mode="nearest")  # pyright: ignore[reportArgumentType]

    @property
    def depth(self) -> int:
        """Return the copies of one entry, which the adjoint adds up."""
        return max(self.factors) ** 2 if len(self.factors) == 1 else self.factors[0] * self.factors[1]

    def takes(self, features: Shape) -> None:
        """Raise ValueError for vectors, and for a factor an axis that does not fit."""
        axes = len(features) - 1
        if axes not in (1, 2) or len(self.factors) not in (1, axes):
            raise ValueError(
                f"inputs: got features {features}, which an upsampling by {self.factors} does not fit"
            )


@dataclass(frozen=True, eq=False)
class ShuffleMap(SelectionMap):
    """Channels that become pixels, each group of factor² channels one larger image."""

    rank: ClassVar[int | None] = 3

    factor: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the larger images; torch's own shuffle has no gradient of an empty batch."""
        check_axes(self, x, 3)
        (batch, channels, height, width), factor = x.shape, self.factor
        if channels % factor**2:
            raise ValueError(f"inputs: {self} was given {channels} channels, expected a multiple of {factor**2}")
        made = channels // factor**2
        parts = x.reshape(batch, made, factor, factor, height, width).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(batch, made, height * factor, width * factor)


def _sides(layer: Any) -> dict[str, Any]:
    return {"padding": zeros_at(layer)}


@lowers(nn.ZeroPad2d, fields={"padding": each(Whole, 4)}, said=_sides)
def padding(layer: nn.ZeroPad2d) -> PadMap:
    """Return the map of a padding of images by zeros."""
    return PadMap(zeros_at(layer))


@lowers(nn.ZeroPad1d, fields={"padding": each(Whole, 2)}, said=_sides)
def sequence_padding(layer: nn.ZeroPad1d) -> OneRowMap:
    """Return the map of a padding of sequences by zeros."""
    return OneRowMap(PadMap((*zeros_at(layer), 0, 0)))


def zeros_at(layer: nn.ZeroPad1d | nn.ZeroPad2d) -> tuple[int, ...]:
    """Return how many zeros a padding adds at each side, the last axis first.

    Raises:
        ValueError: for a value that was changed.
    """
    if layer.value != 0:
        raise ValueError(f"network: got {layer} of value {layer.value}, expected 0")
    return wholes("padding", tuple(layer.padding))


def _factors(layer: nn.Upsample) -> dict[str, Any]:
    """Return the factors as whole numbers."""
    factors = whole_factors(layer)
    return {"scale_factor": factors if isinstance(layer.scale_factor, tuple) else factors[0]}


@lowers(
    nn.Upsample,
    fields={"scale_factor": one_or_each(Extent, 1) | each(Extent, 2), "mode": Literal["nearest"]},
    said=_factors,
)
def upsampling(layer: nn.Upsample) -> UpsampleMap:
    """Return the map of a nearest upsampling.

    Raises:
        ValueError: for another mode, a size, or a factor that is no whole number.
    """
    return UpsampleMap(whole_factors(layer))


def whole_factors(layer: nn.Upsample) -> tuple[int, ...]:
    """Return the factors of a nearest upsampling by whole numbers.

    Raises:
        ValueError: for another upsampling.
    """
    plain = layer.size is None and layer.mode == "nearest" and not layer.recompute_scale_factor
    given = layer.scale_factor if isinstance(layer.scale_factor, tuple) else (layer.scale_factor,)
    if not plain or not all(factor is not None and factor >= 1 and factor == int(factor) for factor in given):
        raise ValueError(
            f"network: got {layer}, expected mode 'nearest' and a scale_factor that is a whole number"
        )
    return tuple(int(factor) for factor in given)  # pyright: ignore[reportArgumentType]


@lowers(nn.PixelShuffle, fields={"upscale_factor": Extent})
def shuffle(layer: nn.PixelShuffle) -> ShuffleMap:
    """Return the map of a pixel shuffle."""
    return ShuffleMap(whole("upscale_factor", layer.upscale_factor))
