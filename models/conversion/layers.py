"""Affine layers of other libraries as torch's own, copied; and what can't be converted, by name."""

from collections.abc import Callable
from typing import NoReturn

import torch
from torch import nn

from .refusal import ConversionRefused

SILENT = ("Identity", "Flatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout")
"""Modules that pass values on in evaluation; Flatten is put back where shapes show it."""
REASONS = {
    "MaxPool2d": "max pooling is not affine; train with AvgPool2d",
    "ReLU": "a ReLU is no layer of SpikingNetwork",
    "GroupNorm": "its statistics come from the sample itself",
    "LayerNorm": "its statistics come from the sample itself",
    "LPPool2d": "a power mean is not affine; use AvgPool2d",
}


def kind_of(module: nn.Module) -> str:
    """Return the name of a module's type."""
    return type(module).__name__


def is_silent(module: nn.Module) -> bool:
    """Return whether a module passes on what it gets."""
    return kind_of(module) in SILENT and _is_known(module)


def affine(module: nn.Module, name: str) -> nn.Module | None:
    """Return a copy of an affine layer as torch's own type, or None for another module.

    Raises:
        ConversionRefused: for settings that SpikingNetwork has not.
    """
    build = _BUILD.get(kind_of(module))
    if build is None or not _is_known(module):
        return None
    try:
        with torch.no_grad():
            copy = build(module)
    except ConversionRefused as error:
        raise ConversionRefused(f"{name} ({kind_of(module)}): {error}") from None
    copy.load_state_dict(module.state_dict())
    floats = (value.dtype for value in module.state_dict().values() if value.is_floating_point())
    return copy.to(next(floats, torch.get_default_dtype())).eval()


def refuse(module: nn.Module, name: str) -> NoReturn:
    """Raise the refusal of a module that is neither a known layer nor a known neuron."""
    reason = REASONS.get(kind_of(module), "no layer of SpikingNetwork does what it does")
    raise ConversionRefused(f"{name} ({kind_of(module)}): {reason}")


def _is_known(module: nn.Module) -> bool:
    """Return whether a module is torch's own, or a library's wrapper of the same name around it."""
    return type(module).__module__.split(".")[0] in ("torch", "spikingjelly")


def _linear(layer: nn.Linear) -> nn.Module:
    return nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)


def _conv(layer: nn.Conv2d) -> nn.Module:
    return nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        layer.groups,
        layer.bias is not None,
        layer.padding_mode,
    )


def _average(layer: nn.AvgPool2d) -> nn.Module:
    if layer.divisor_override is not None:
        raise ConversionRefused(f"has divisor_override {layer.divisor_override}, expected None")
    return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, layer.count_include_pad)


def _norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    if layer.running_mean is None:
        raise ConversionRefused("has no running statistics, expected track_running_stats=True")
    plain = nn.BatchNorm1d if kind_of(layer) == "BatchNorm1d" else nn.BatchNorm2d
    return plain(layer.num_features, layer.eps, layer.momentum, layer.affine)


_BUILD: dict[str, Callable[..., nn.Module]] = {
    "Linear": _linear,
    "Conv2d": _conv,
    "AvgPool2d": _average,
    "BatchNorm1d": _norm,
    "BatchNorm2d": _norm,
}


def with_bias(layer: nn.Module, bias: float) -> nn.Module | None:
    """Return `layer` with a constant added to each output, in place where it has a bias; None for other layers."""
    if not isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d):
        return None
    with torch.no_grad():
        if layer.bias is None:
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                return None
            size = layer.weight.shape[0]
            layer.bias = nn.Parameter(layer.weight.new_zeros(size))
        layer.bias.add_(bias)
    return layer
