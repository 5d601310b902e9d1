"""What a file says of transposed convolutions, upsampling, padding and averages of images and sequences."""

from typing import Any, ClassVar, Literal

from torch import nn

from ..elements.layers import AdaptiveAverage
from ..linear_maps.selecting import whole_factors, zeros_at
from .layer_schemas import Extent, LayerSchema, Padding, Shapes, Size, WeightedSchema, Whole


class _TransposedSchema(WeightedSchema):
    in_channels: Size
    out_channels: Size
    groups: Size
    kernel_size: tuple[Extent, ...]

    def tensors(self) -> Shapes:
        """Return K (in, out/groups, *size) and b (out,)."""
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"groups: got {self.groups}, expected a divisor of both numbers of channels")
        weight = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        return {"weight": weight, **({"bias": (self.out_channels,)} if self.bias else {})}


class ConvTranspose1dSchema(_TransposedSchema):
    """Of nn.ConvTranspose1d."""

    kind: ClassVar[type[nn.Module]] = nn.ConvTranspose1d

    kernel_size: tuple[Extent]
    stride: tuple[Extent]
    padding: tuple[Padding]
    output_padding: tuple[Padding]
    dilation: tuple[Extent]


class ConvTranspose2dSchema(_TransposedSchema):
    """Of nn.ConvTranspose2d."""

    kind: ClassVar[type[nn.Module]] = nn.ConvTranspose2d

    kernel_size: tuple[Extent, Extent]
    stride: tuple[Extent, Extent]
    padding: tuple[Padding, Padding]
    output_padding: tuple[Padding, Padding]
    dilation: tuple[Extent, Extent]


class _ZeroPadSchema(LayerSchema):
    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the sides of a padding by zeros."""
        return {"padding": zeros_at(layer)}


class ZeroPad1dSchema(_ZeroPadSchema):
    """Of nn.ZeroPad1d."""

    kind: ClassVar[type[nn.Module]] = nn.ZeroPad1d

    padding: tuple[Whole, Whole]


class ZeroPad2dSchema(_ZeroPadSchema):
    """Of nn.ZeroPad2d."""

    kind: ClassVar[type[nn.Module]] = nn.ZeroPad2d

    padding: tuple[Whole, Whole, Whole, Whole]


class UpsampleSchema(LayerSchema):
    """Of nn.Upsample, by whole numbers to the nearest."""

    kind: ClassVar[type[nn.Module]] = nn.Upsample

    scale_factor: Extent | tuple[Extent] | tuple[Extent, Extent]
    mode: Literal["nearest"]

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the factors as whole numbers."""
        factors = whole_factors(layer)
        return {
            "scale_factor": factors if isinstance(layer.scale_factor, tuple) else factors[0],
            "mode": "nearest",
        }


class AdaptiveAverageSchema(LayerSchema):
    """Of `AdaptiveAverage`."""

    kind: ClassVar[type[nn.Module]] = AdaptiveAverage

    inputs: tuple[Extent] | tuple[Extent, Extent]
    outputs: tuple[Extent] | tuple[Extent, Extent]


class UnflattenSchema(LayerSchema):
    """Of nn.Unflatten."""

    kind: ClassVar[type[nn.Module]] = nn.Unflatten

    dim: Whole
    unflattened_size: tuple[Whole, ...]

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the axis and its sizes."""
        return {"dim": layer.dim, "unflattened_size": tuple(layer.unflattened_size)}
