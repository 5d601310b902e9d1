"""Convolutions, either way, and averages of sequences (channels, length), which are images of height 1."""

from dataclasses import dataclass
from typing import Any

from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, Refused
from .affine import Affine
from .images import Convolution, Pool
from .spreading import TransposedConvolution, WindowMeans

HEIGHTS = {"kernel_size": 1, "stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}
"""What an image's layer has along its height where it has only one row."""


@dataclass(frozen=True)
class OneRow:
    """A layer of images (channels, 1, length), over sequences (channels, length)."""

    images: Convolution | Pool | TransposedConvolution | WindowMeans

    @staticmethod
    def convolution(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "OneRow":
        """Return the layer of a description with its weights, (out, in/groups, length) and (out,).

        Raises:
            Refused: for a description that does not fit.
        """
        if weight.ints.ndim != 3:
            raise Refused(f"{name}: has a weight of another size than it says")
        return OneRow(Convolution.of(Dyadic(weight.ints[:, :, None], weight.shift), bias, name, _of_images(layer)))

    @staticmethod
    def transposed(weight: Dyadic, bias: Dyadic, name: str, layer: dict[str, Any]) -> "OneRow":
        """Return the transposed convolution of a description; its weights (in, out/groups, length) and (out,).

        Raises:
            Refused: for a description that does not fit.
        """
        if weight.ints.ndim != 3:
            raise Refused(f"{name}: has a weight of another size than it says")
        images = Dyadic(weight.ints[:, :, None], weight.shift)
        return OneRow(TransposedConvolution.of(images, bias, name, _of_images(layer)))

    @staticmethod
    def pool(name: str, layer: dict[str, Any]) -> "OneRow":
        """Return the layer of a description.

        Raises:
            Refused: for a description that does not fit.
        """
        return OneRow(Pool.of(name, _of_images(layer)))

    def over(self, shape: tuple[int, ...], arithmetic: Arithmetic) -> tuple[Affine, tuple[int, ...]]:
        """Return the map of flat inputs, and the shape of its outputs."""
        if len(shape) != 2:
            raise Refused("a layer of sequences does not fit its inputs")
        affine, (channels, _, length) = self.images.over((shape[0], 1, shape[1]), arithmetic)
        return affine, (channels, length)


def _of_images(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the description of the same layer over images of height 1; a padding may have a name."""
    sizes = {key: layer[key] for key in HEIGHTS if key in layer and not isinstance(layer[key], str)}
    return layer | {key: [HEIGHTS[key], single(value)] for key, value in sizes.items()}


def single(value: Any) -> Any:
    """Return the number of a list of one, or a number; that it is an integer is checked where it is read."""
    if isinstance(value, list):
        if len(value) != 1:
            raise Refused(f"got {str(value)[:40]}, expected one integer")
        return value[0]
    return value
