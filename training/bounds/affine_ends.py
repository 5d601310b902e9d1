"""Two ends of a signal behind an affine layer."""

import torch
from torch import Tensor

from ...models.linear_maps import LinearMap


def affine_ends(layer: LinearMap, ends: Tensor) -> Tensor:
    """Return the ends behind an affine layer, (2, time, batch, ...): lower, then upper."""
    return torch.stack(affine_pair(layer, *ends.unbind()))


def affine_pair(layer: LinearMap, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends behind an affine layer, W·m + b ± |W|·r, each (time, batch, ...)."""
    middle, radius = middle_and_radius(low, high)
    middle, radius = (
        part(end.flatten(0, 1)).to(end.dtype).unflatten(0, end.shape[:2])  # wide again, under mixed precision
        for part, end in ((layer.apply, middle), (layer.absolute().linear, radius))
    )
    return middle - radius, middle + radius


def middle_and_radius(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return m = (l + u)/2 and r = (u − l)/2."""
    return (low + high) * 0.5, (high - low) * 0.5
