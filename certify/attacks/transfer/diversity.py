"""DI: the input of each gradient shrunk and put at a random place, with zeros around it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..blind.patches import IMAGE_AXES

SMALLEST = 0.85
"""Of the sides that are drawn, as a share of the whole."""


def diverse(points: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return images in another size at another place, with this probability; differentiable (Xie et al., 2019).

    The paper's is larger than the input; here the picture is smaller, so that the network takes it. All samples
    are changed alike. What is no image (batch, channel, height, width) stays as it is.
    """
    if points.dim() < IMAGE_AXES or float(_draw(generator)) >= probability:
        return points
    height, width = points.shape[-2:]
    share = SMALLEST + (1.0 - SMALLEST) * float(_draw(generator))
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    top, left = (int(float(_draw(generator)) * (size + 1)) for size in (height - rows, width - columns))
    planes = points.reshape(-1, 1, height, width)
    shrunk = F.interpolate(planes, size=(rows, columns), mode="nearest")
    around = left, width - columns - left, top, height - rows - top
    return F.pad(shrunk, around).view_as(points)


def _draw(generator: torch.Generator) -> Tensor:
    return torch.rand((), generator=generator, device=generator.device)
