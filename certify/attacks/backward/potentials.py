"""PDSG: a Gaussian surrogate as wide as potentials differ."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Slopes, SlopesOfRun


@dataclass(frozen=True)
class PotentialDependent(SlopesOfRun):
    """The potential-dependent surrogate gradient (PDSG).

    h(x) = exp(−(x − σ/2)²/(2σ²))/(√(2π)·σ), where σ is the standard deviation of v over the steps until now, the
    batch and, for images, each channel's places, and 1 where that is 0.

    Args:
        through_reset: let gradients go through resets, too, as theirs do.

    References: lun2025towards
    """

    through_reset: bool = True

    def remembered(self) -> Slopes:
        """Return the slopes: nothing is remembered from run to run."""
        return _Deviations()


class _Deviations(Slopes):
    def __call__(self, distance: Tensor, rows: Tensor | None) -> Tensor:
        """Return the slopes of a run."""
        width = _deviations(distance)
        slopes = torch.exp(-0.5 * ((distance - 0.5 * width) / width) ** 2) / (math.sqrt(2.0 * math.pi) * width)
        return slopes.nan_to_num(nan=0.0)


def _deviations(values: Tensor) -> Tensor:
    """Return the deviation over all steps so far, the batch and places, (T, 1, channels, 1, ...)."""
    others = (1, *range(3, values.dim()))
    count = values[:1].numel() // values.shape[2] if values.dim() > 2 else values.shape[1]
    counts = count * torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    counts = counts.view(-1, *[1] * (values.dim() - 1))
    centred = values - values.mean((0, *others), keepdim=True)  # squares of these lose less
    mean = centred.sum(others, keepdim=True).cumsum(0) / counts
    square = (centred**2).sum(others, keepdim=True).cumsum(0) / counts
    variance = (square - mean**2).clamp_min(0.0) * counts / (counts - 1.0).clamp_min(1.0)
    found = variance.sqrt()
    return torch.where((found > 0) & found.isfinite(), found, torch.ones_like(found))
