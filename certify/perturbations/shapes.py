"""One number per sample against whole samples."""

import torch
from torch import Tensor


def expand(per_sample: Tensor, like: Tensor) -> Tensor:
    """Return (batch,) as (batch, 1, ..., 1), to broadcast against `like`."""
    return per_sample.reshape(-1, *([1] * (like.dim() - 1)))


def lengths(steps: Tensor) -> Tensor:
    """Return each sample's Euclidean length, (batch, 1, ..., 1)."""
    return expand(steps.flatten(1).norm(dim=1), steps)


def unit(steps: Tensor) -> Tensor:
    """Return each sample's step scaled to length 1; a step of 0 stays 0.

    The greatest entry is divided out first, so that squares of tiny numbers don't vanish.
    """
    tiny = torch.finfo(steps.dtype).tiny
    scaled = steps / expand(steps.abs().flatten(1).amax(1).clamp_min(tiny), steps)
    return scaled / lengths(scaled).clamp_min(tiny)


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return numbers in [0, 1) with the shape, dtype and device of `like`."""
    drawn = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers with the shape, dtype and device of `like`."""
    drawn = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)
