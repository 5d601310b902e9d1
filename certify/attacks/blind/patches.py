"""Random parts of a sample, one per sample: squares of an image, or sets of features where there is no image."""

import torch
from torch import Tensor

from ...perturbations.shapes import expand

IMAGE_AXES = 4
"""Inputs with at least (batch, channel, height, width) are images; axes before height are all channels."""


def patches(inputs: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return a mask of about `share` of each sample's features, (batch, ...) of bool.

    An image's mask is one square, the same in all channels (and steps).
    """
    if inputs.dim() < IMAGE_AXES:
        return _subsets(inputs, share, generator)
    height, width = inputs.shape[-2:]
    side = max(1, min(height, width, round((share * height * width) ** 0.5)))
    rows = _windows(len(inputs), height, side, inputs.device, generator)
    columns = _windows(len(inputs), width, side, inputs.device, generator)
    mask = rows[:, :, None] & columns[:, None, :]
    return mask.reshape(len(inputs), *([1] * (inputs.dim() - 3)), height, width).expand(inputs.shape)


def signs(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return ±1 at random: one per channel of an image, one per feature elsewhere; broadcastable to `inputs`."""
    shape = inputs.shape if inputs.dim() < IMAGE_AXES else (*inputs.shape[:-2], 1, 1)
    return coin_flips(shape, inputs, generator)


def stripes(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return ±1 at random: one per channel and column of an image, one per feature elsewhere."""
    shape = inputs.shape if inputs.dim() < IMAGE_AXES else (*inputs.shape[:-2], 1, inputs.shape[-1])
    return coin_flips(shape, inputs, generator)


def coin_flips(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Return ±1 at random."""
    drawn = torch.randint(0, 2, shape, generator=generator, device=generator.device)
    return drawn.to(like) * 2.0 - 1.0


def _subsets(inputs: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return masks of equally many random features."""
    features = inputs[0].numel()
    size = max(1, min(features, round(share * features)))
    scores = torch.rand(len(inputs), features, generator=generator, device=generator.device).to(inputs.device)
    bar = scores.kthvalue(features - size + 1, dim=1).values
    return scores.reshape(inputs.shape) >= expand(bar, inputs)


def _windows(batch: int, length: int, side: int, device: torch.device, generator: torch.Generator) -> Tensor:
    """Return masks of `side` neighbours at a random place on an axis, (batch, length)."""
    starts = torch.randint(0, length - side + 1, (batch, 1), generator=generator, device=generator.device)
    places = torch.arange(length, device=device)
    starts = starts.to(device)
    return (places >= starts) & (places < starts + side)
