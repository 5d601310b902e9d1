"""Layers of other libraries without neurons as torch's own, copied; and what can't be converted, by name."""

from typing import NoReturn

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.elements.layers import BATCH_NORMS, WEIGHTED
from spikecert.models.elements.max_pooling import MAX_POOLS
from spikecert.models.linear_maps import affine_types
from spikecert.models.linear_maps.normalizing import Normalize
from spikecert.models.linear_maps.sharing import Share

LAYERS = tuple(kind.__name__ for kind in (*affine_types(), *MAX_POOLS) if kind not in (nn.Flatten, Normalize))
"""Layers that come in under their names."""
SILENT = ("Identity", "Flatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout")
"""Modules that pass values on in evaluation; Flatten is put back where shapes show it."""
REASONS = {
    "MaxPool3d": "no layer of SpikingNetwork takes volumes",
    "FractionalMaxPool2d": "its windows are drawn at random",
    "SynapseFilter": "it keeps all of its current at a step with a spike, so what it does is no linear filter",
    "LatencyEncoder": "rounds latencies its own way; convert what is behind it, with encoding='none'",
    "ReLU": "a ReLU is no layer of SpikingNetwork",
    "GroupNorm": "its statistics come from the sample itself",
    "LayerNorm": "its statistics come from the sample itself",
    "LPPool2d": "a power mean is not affine; use an average pool",
}


def kind_of(module: nn.Module) -> str:
    """Return the name of a module's type."""
    return type(module).__name__


def is_silent(module: nn.Module) -> bool:
    """Return whether a module passes on what it gets."""
    return kind_of(module) in SILENT and _is_known(module)


def plain_layer(module: nn.Module, name: str) -> nn.Module | None:
    """Return a copy of an affine layer, or of a max pool, as torch's own type, or None for another module.

    Raises:
        ConversionRefused: for settings that SpikingNetwork has not.
    """
    from spikecert.models.files.description import fresh  # its schemas take long to import

    if kind_of(module) not in LAYERS or not _is_known(module):
        return None
    try:
        _check(module)
        copy = fresh(kind_of(module), module)
    except ValueError as error:
        raise ConversionRefused(f"{name} ({kind_of(module)}): {error}") from None
    floats = (value.dtype for value in module.state_dict().values() if value.is_floating_point())
    copy = copy.to(next(floats, torch.get_default_dtype()))  # first, or the weights would be rounded
    copy.load_state_dict(module.state_dict())
    return copy.eval()


def refuse(module: nn.Module, name: str) -> NoReturn:
    """Raise the refusal of a module that is neither a known layer nor a known neuron."""
    reason = REASONS.get(kind_of(module), "no layer of SpikingNetwork does what it does")
    raise ConversionRefused(f"{name} ({kind_of(module)}): {reason}")


def normalizing(
    operation: str, numbers: tuple[float, ...], images: bool, dtype: torch.dtype
) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Return y = (x − mean)/std for a constant of each channel or feature that a signal is computed with.

    Args:
        operation: "add", "sub", "mul" or "div".
        numbers: the constant.
        images: whether signals are images, else vectors.
        dtype: of the layer.

    Raises:
        ConversionRefused: for a factor that is not above 0, or whose square is no normal number.
    """
    mean, std = (0.0,) * len(numbers), (1.0,) * len(numbers)
    if operation in ("add", "sub"):
        mean = tuple(-number if operation == "add" else number for number in numbers)
    elif all(number > 0 for number in numbers):
        std = tuple(1.0 / number if operation == "mul" else number for number in numbers)
    else:
        raise ConversionRefused(
            f"module: {operation} by {min(numbers):g} beside its layers, expected factors above 0"
        )
    try:
        layer = Normalize(mean, std) if images else nn.BatchNorm1d(len(mean), eps=0.0, affine=False)
    except ValueError as error:
        raise ConversionRefused(f"module: {operation} by a constant beside its layers: {error}") from error
    layer = layer.to(dtype).eval()
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(torch.tensor(mean, dtype=torch.float64))
    layer.running_var.copy_(torch.tensor(std, dtype=torch.float64).square())
    return layer


def diagonal(weights: Tensor, name: str) -> nn.Module:
    """Return the layer y = w·x, for one number or one for each feature of vectors.

    Raises:
        ConversionRefused: for weights of another shape.
    """
    if weights.numel() == 1:
        layer = Share()
        layer.share.data = weights.reshape(1).clone()
        return layer
    if weights.dim() != 1:
        raise ConversionRefused(f"{name}: got shape {tuple(weights.shape)}, expected one weight, or one a feature")
    dense = nn.Linear(len(weights), len(weights), bias=False)
    dense.weight.data = torch.diag(weights)
    return dense


def is_of(module: nn.Module, *libraries: str) -> bool:
    """Return whether a module's type is one of some libraries."""
    return type(module).__module__.split(".")[0] in libraries


def _is_known(module: nn.Module) -> bool:
    """Return whether a module is torch's own, or a library's wrapper of the same name around it."""
    return is_of(module, "torch", "spikingjelly")


def _check(layer: nn.Module) -> None:
    """Raise unless the settings of a layer are ones that `SpikingNetwork` has."""
    divisor = getattr(layer, "divisor_override", None)
    if divisor is not None:
        raise ConversionRefused(f"has divisor_override {divisor}, expected None")
    if getattr(layer, "running_mean", True) is None:
        raise ConversionRefused("has no running statistics, expected track_running_stats=True")


def with_bias(layer: nn.Module, bias: float | Tensor) -> nn.Module | None:
    """Return `layer` with a constant added to each output, in place where it has a bias; None for other layers.

    Of an array, (n,) for the outputs of a dense layer, or (c, 1, 1) for the channels of images.
    """
    if not isinstance(layer, (*WEIGHTED, *BATCH_NORMS)):
        return None
    if isinstance(bias, Tensor):
        channels = (1, 1) if kind_of(layer).endswith("2d") else ()
        if bias.shape[1:] != channels or kind_of(layer) == "Conv1d":
            return None
        bias = bias.flatten()
    with torch.no_grad():
        if layer.bias is None:
            if isinstance(layer, BATCH_NORMS):
                return None
            size = layer.weight.shape[0]
            layer.bias = nn.Parameter(layer.weight.new_zeros(size))
        layer.bias.add_(bias)
    return layer
