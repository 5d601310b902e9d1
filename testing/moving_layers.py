"""Layers that make images of their own size of others, for random networks."""

from torch import nn

from ..models.architectures.images import average
from ..models.linear_maps.averaging import AdaptiveAverage

MOVES = ("zeros", "upsampling", "transposed", "averages", "shuffle")
"""What they are."""


def moving(kind: str, channels: int, side: int) -> list[nn.Module]:
    """Return the layers that `kind`, one of `MOVES` or "none", names, for images (channels, side, side)."""
    size, other = (side, side), (side - 1, side + 1)
    return {
        "none": [],
        "zeros": [nn.ZeroPad2d((1, -1, 0, 0))],
        "upsampling": [average(2), nn.Upsample(scale_factor=2)],
        "transposed": [nn.ConvTranspose2d(channels, channels, 3, padding=1)],
        "averages": [AdaptiveAverage(size, other), AdaptiveAverage(other, size)],
        "shuffle": [nn.Conv2d(channels, 4 * channels, 2, 2), nn.PixelShuffle(2)],
    }[kind]
