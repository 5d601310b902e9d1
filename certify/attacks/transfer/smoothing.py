"""TI: the gradient of an image, smoothed: about that of the mean over its translations."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..blind.patches import IMAGE_AXES


def smoothed(gradient: Tensor, size: int) -> Tensor:
    """Return W * ∇ (Dong et al., 2019), W a Gaussian of size × size, σ = size/√3/2, of sum 1.

    The gradient of Σ_ij W_ij·loss(T_ij(x)) over translations T_ij is about this. What is no image (batch, channel,
    height, width) stays as it is, and so does all with a size of 1.

    Args:
        gradient: (batch, ...).
        size: odd.
    """
    if size == 1 or gradient.dim() < IMAGE_AXES:
        return gradient
    places = torch.arange(size, dtype=gradient.dtype, device=gradient.device) - (size - 1) / 2
    line = (-0.5 * (places / (size / 3**0.5 / 2)) ** 2).exp()
    kernel = (line[:, None] * line) / line.sum() ** 2
    planes = gradient.reshape(-1, 1, *gradient.shape[-2:])
    return F.conv2d(planes, kernel[None, None], padding=size // 2).view_as(gradient)
