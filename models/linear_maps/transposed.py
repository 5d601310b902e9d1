"""nn.ConvTranspose1d and nn.ConvTranspose2d: each input adds its kernel to the outputs that it reaches."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import wholes
from ..elements.registry import Extent, Padding, Shapes, Size, each, has_bias, weights
from .base import Products, Shape, WeightedMap, check_axes, convolved_by, exact, lowers
from .convolution import ConvolutionMap, check_groups
from .sequences import OneRowMap

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class TransposedMap(WeightedMap):
    """A transposed convolution of images, K (in, out/groups, height, width).

    One weight at most lies between an input and an output, so |W| and W∘W are those of |K| and K∘K. A library may
    sum over channels first and then place the sums, or all at once: no output sums more than `terms` numbers.
    """

    convolves: ClassVar[bool] = True
    rank: ClassVar[int | None] = 3

    stride: Pair
    padding: Pair
    more: Pair
    dilation: Pair
    groups: int

    def linear(self, x: Tensor) -> Tensor:
        """Return the transposed convolution."""
        return self._spread(x, self.weight, None)

    def apply(self, x: Tensor) -> Tensor:
        """Return the transposed convolution and b as the run computes it."""
        return self._spread(x, self.weight, self.offset)

    def _spread(self, x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
        check_axes(self, x, 3)
        offset = None if offset is None else offset.to(x)
        settings = (self.stride, self.padding, self.more, self.groups, self.dilation)
        return F.conv_transpose2d(x, weight.to(x), offset, *settings)

    def squared(self, x: Tensor) -> Tensor:
        """Return the map of K∘K."""
        return self._spread(x, self.weight.square(), None)

    @property
    def bias(self) -> Tensor:
        """Return b, (channels, 1, 1)."""
        return exact(self.offset, self.weight).reshape(-1, 1, 1)

    @property
    def channels(self) -> int:
        """Return how many channels inputs have."""
        return self.weight.shape[0]

    @property
    def terms(self) -> int:
        """Return the channels of a group times the size of a kernel."""
        return self.channels // self.groups * self.weight[0, 0].numel()

    @property
    def depth(self) -> int:
        """Return the terms of one output and those of one entry of the adjoint."""
        return (self.channels // self.groups + self.weight.shape[1]) * self.weight[0, 0].numel() + 1

    @property
    def products(self) -> Products:
        """Return the products of each output: those of a convolution of the images with zeros between pixels."""
        return partial(_products, self)

    @property
    def algorithms(self) -> frozenset[str]:
        """Return what torch convolves by."""
        settings = (self.stride, self.padding, self.dilation)
        return convolved_by(self.weight, self.offset, settings, self.groups, self.more)

    def takes(self, features: Shape) -> None:
        """Raise ValueError unless inputs are images with the layer's channels."""
        if len(features) != 3 or features[0] != self.channels:
            raise ValueError(f"inputs: got features {features}, expected ({self.channels}, height, width)")

    def square(self, size: int) -> Shape | None:
        """Return square images."""
        return (self.channels, size, size)

    def __repr__(self) -> str:
        """Return name and sizes."""
        size, out = tuple(self.weight.shape[2:]), self.weight.shape[1] * self.groups
        return f"ConvTranspose2d({self.channels} → {out}, {size}, stride={self.stride}, padding={self.padding})"


def _products(layer: TransposedMap, images: Tensor) -> Tensor:
    """Return the products that each output sums, (n, channels, height, width, terms)."""
    check_axes(layer, images, 3)
    (rows, columns), (height, width) = layer.stride, images.shape[2:]
    sparse = images.new_zeros(*images.shape[:2], rows * (height - 1) + 1, columns * (width - 1) + 1)
    sparse[:, :, ::rows, ::columns] = images
    kernel = layer.weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
    reach = [gap * (size - 1) for gap, size in zip(layer.dilation, kernel.shape[2:], strict=True)]
    (top, left), (down, right) = [[a - b for a, b in zip(reach, layer.padding, strict=True)]] * 2
    sides = (top, down + layer.more[0], left, right + layer.more[1])
    found = ConvolutionMap(kernel, None, (1, 1), sides, layer.dilation, layer.groups, "zeros").products
    assert found is not None
    return found(sparse)


def _in_files(axes: int) -> dict[str, Any]:
    """Return what a file says of transposed convolutions along so many axes, as `lowers` takes it."""
    extent, padding = each(Extent, axes), each(Padding, axes)
    channels = {"bias": bool, "in_channels": Size, "out_channels": Size, "groups": Size}
    steps = {"kernel_size": extent, "stride": extent, "padding": padding, "output_padding": padding}
    return {"fields": {**channels, **steps, "dilation": extent}, "said": has_bias, "tensors": _tensors}


def _tensors(layer: Any) -> Shapes:
    """Return K (in, out/groups, *size) and b (out,)."""
    check_groups(layer)
    shape = (layer.in_channels, layer.out_channels // layer.groups, *layer.kernel_size)
    return weights(shape, layer.out_channels, layer.bias)


@lowers(nn.ConvTranspose2d, **_in_files(2))
def transposed(layer: nn.ConvTranspose2d) -> TransposedMap:
    """Return the map of a transposed convolution."""
    settings = (layer.stride, layer.padding, layer.output_padding, layer.dilation)
    stride, padding, more, dilation = (_pair(setting) for setting in settings)
    return TransposedMap(layer.weight, layer.bias, stride, padding, more, dilation, layer.groups)


@lowers(nn.ConvTranspose1d, **_in_files(1))
def transposed_sequences(layer: nn.ConvTranspose1d) -> OneRowMap:
    """Return the map of a transposed convolution of sequences."""
    settings = zip((1, 0, 0, 1), (layer.stride, layer.padding, layer.output_padding, layer.dilation), strict=True)
    stride, padding, more, dilation = (_pair((row, *setting)) for row, setting in settings)  # pyright: ignore[reportGeneralTypeIssues]
    inner = TransposedMap(layer.weight.unsqueeze(2), layer.bias, stride, padding, more, dilation, layer.groups)
    return OneRowMap(inner)


def _pair(setting: Any) -> Pair:
    """Return a setting of both axes."""
    one, other = wholes("setting", tuple(setting))
    return one, other
