"""What the networks for images share: their widths, and the normalisation in front."""

from collections.abc import Sequence

from torch import nn

from ..constants import real, wholes
from ..linear_maps.normalizing import Normalize, standard


def checked_shape(input_shape: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    """Return (channels, height, width) as integers.

    Raises:
        TypeError, ValueError: for anything but three positive sizes, or less than `least` pixels a side.
    """
    shape = wholes("input_shape", input_shape)
    if len(shape) != 3 or any(size < 1 for size in shape):
        raise ValueError(f"input_shape: got {shape}, expected (channels, height, width)")
    channels, height, width = shape
    if min(height, width) < least:
        raise ValueError(f"input_shape: got {shape}, expected at least {least}×{least} pixels")
    return channels, height, width


def scaled(channels: int, width: float) -> int:
    """Return `width` times `channels`, at least one.

    Raises:
        TypeError, ValueError: for a width that is no number in (0, 16].
    """
    width = real("width", width)
    if not 0.0 < width <= 16.0:
        raise ValueError(f"width: got {width!r}, expected a factor above 0 and up to 16")
    return max(1, round(channels * width))


def average(size: int | tuple[int, int]) -> nn.Module:
    """Return the average over windows of `size` that do not overlap."""
    return nn.AvgPool2d(size)


def entrance(channels: int, normalize: Normalize | None) -> Normalize:
    """Return the first layer, `standard` by default.

    Raises:
        ValueError: if it is made for another number of channels.
    """
    first = standard(channels) if normalize is None else normalize
    if first.num_features != channels:
        raise ValueError(f"normalize: got one for {first.num_features} channels, expected {channels}")
    return first
