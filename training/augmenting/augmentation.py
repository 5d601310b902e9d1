"""Random crops, mirror images and Cutout for batches of training images, without a loop over samples."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.constants import at_least, settle, whole


@dataclass(frozen=True)
class Augmentation:
    """What is done afresh to each training image, in this order.

    1. Crop: pad all sides with `crop` black pixels, and cut the image's size out at a random place.
    2. Flip: mirror left and right, one time in two.
    3. Cutout: paint a square of side `cutout` black; its middle is any pixel, what lies outside is cut off.

    Args:
        crop: pixels of padding; 0 for no crop.
        flip: whether to mirror. Meaningless for digits.
        cutout: the side of the square, even; 0 for none. The paper's is 16 for 32×32 images.

    Raises:
        ValueError: for a negative number or an odd side.

    >>> Augmentation()(torch.ones(2, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 32, 32])

    References: ding2024robust, devries2017cutout
    """

    crop: int = 4
    flip: bool = True
    cutout: int = 16

    def __post_init__(self) -> None:
        settle(self, at_least(0), "crop")
        settle(self, whole, "cutout")
        if self.cutout < 0 or self.cutout % 2:
            raise ValueError(f"cutout: got {self.cutout}, expected an even number of at least 0")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return new images of the same shape.

        Args:
            images: (batch, channels, height, width), on any device.
            generator: the source of all randomness; it draws on its own device: the same for images on any.

        Raises:
            ValueError: for a tensor that is not four-dimensional.
        """
        if images.dim() != 4:
            raise ValueError(f"augmentation: got inputs {tuple(images.shape[1:])}, expected images (c, h, w)")
        if self.crop:
            images = _cropped(images, self.crop, generator)
        if self.flip:
            images = _flipped(images, generator)
        return _cut_out(images, self.cutout // 2, generator) if self.cutout else images


def _draw(images: Tensor, end: int, generator: torch.Generator) -> Tensor:
    """Return one integer in [0, end) for each image."""
    drawn = torch.randint(end, (len(images),), generator=generator, device=generator.device)
    return drawn.to(images.device)


def _span(images: Tensor, dim: int) -> Tensor:
    return torch.arange(images.shape[dim], device=images.device)


def _cropped(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    rows = _draw(images, 2 * padding + 1, generator)[:, None] + _span(images, 2)
    columns = _draw(images, 2 * padding + 1, generator)[:, None] + _span(images, 3)
    padded = F.pad(images, (padding,) * 4).permute(0, 2, 3, 1)
    batch = _span(images, 0)[:, None, None]
    return padded[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    mirrored = _draw(images, 2, generator).bool()
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def _cut_out(images: Tensor, half: int, generator: torch.Generator) -> Tensor:
    hidden = [_near(images, dim, half, generator) for dim in (2, 3)]
    square = hidden[0][:, :, None] & hidden[1][:, None, :]
    return images.masked_fill(square[:, None], 0.0)


def _near(images: Tensor, dim: int, half: int, generator: torch.Generator) -> Tensor:
    """Return which pixels along `dim` are in [middle − half, middle + half), (batch, pixels)."""
    offset = _span(images, dim) - _draw(images, images.shape[dim], generator)[:, None]
    return (offset >= -half) & (offset < half)
