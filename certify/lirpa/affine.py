"""Affine layers as the two that auto_LiRPA 0.3 bounds correctly, Linear and Conv2d, and Flatten; in float64.

Its average pooling ignores the stride, and its batch norm needs learnable weights, so both become depthwise
convolutions; a batch norm of vectors becomes a diagonal Linear.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class UnrollError(ValueError):
    """A network has a layer, a readout or an encoding that can't be written for auto_LiRPA."""


def rewritten(layer: nn.Module, channels: int) -> nn.Module:
    """Return the same map in float64, for inputs of shape (batch, channels, ...), without gradients.

    Raises:
        UnrollError: for a layer that can't be written so.
    """
    for kind, rewrite in _REWRITES.items():
        if isinstance(layer, kind):
            return rewrite(layer, channels).double().requires_grad_(False)
    raise UnrollError(f"layer: got {layer}, expected one of {', '.join(kind.__name__ for kind in _REWRITES)}")


def _linear(layer: nn.Linear, channels: int) -> nn.Module:
    """Return a copy with a bias: without one auto_LiRPA sees a product of matrices, which can't come last."""
    found = copy.deepcopy(layer)
    if found.bias is None:
        found.bias = nn.Parameter(found.weight.new_zeros(found.out_features))
    return found


def _conv(layer: nn.Conv2d, channels: int) -> nn.Module:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise UnrollError(f"layer: got {layer}, expected a convolution with numeric padding by zeros for lirpa")
    return copy.deepcopy(layer)


def _average_pool(layer: nn.AvgPool2d, channels: int) -> nn.Module:
    padded = layer.padding not in (0, (0, 0)) and not layer.count_include_pad
    if layer.ceil_mode or padded or layer.divisor_override is not None:
        raise UnrollError(f"layer: got {layer}, expected an average over whole windows for lirpa")
    size, stride, padding = (_pair(value) for value in (layer.kernel_size, layer.stride, layer.padding))
    conv = nn.Conv2d(channels, channels, size, stride, padding, groups=channels, bias=False, dtype=torch.float64)
    nn.init.constant_(conv.weight, 1.0 / (size[0] * size[1]))
    return conv


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _scale_and_shift(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return s and b of y = s·x + b."""
    if layer.running_mean is None or layer.running_var is None:
        raise UnrollError("layer: got a batch norm without running statistics, which has no fixed affine map")
    scale = 1.0 / (layer.running_var.double() + layer.eps).sqrt()
    if layer.weight is not None:
        scale = scale * layer.weight.detach().double()
    shift = -scale * layer.running_mean.double()
    if layer.bias is not None:
        shift = shift + layer.bias.detach().double()
    return scale, shift


def _vector_norm(layer: nn.BatchNorm1d, channels: int) -> nn.Module:
    scale, shift = _scale_and_shift(layer)
    linear = nn.Linear(channels, channels, dtype=torch.float64)
    linear.weight.data = torch.diag(scale)
    linear.bias.data = shift
    return linear


def _image_norm(layer: nn.BatchNorm2d, channels: int) -> nn.Module:
    scale, shift = _scale_and_shift(layer)
    conv = nn.Conv2d(channels, channels, 1, groups=channels, dtype=torch.float64)
    conv.weight.data = scale.reshape(-1, 1, 1, 1)
    assert conv.bias is not None
    conv.bias.data = shift
    return conv


def _flatten(layer: nn.Flatten, channels: int) -> nn.Module:
    if layer.start_dim != 1 or layer.end_dim != -1:
        raise UnrollError(f"layer: got {layer}, expected one that flattens all but the batch for lirpa")
    return nn.Flatten()


_REWRITES: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.AvgPool2d: _average_pool,
    nn.BatchNorm1d: _vector_norm,
    nn.BatchNorm2d: _image_norm,
    nn.Flatten: _flatten,
}
