"""Layers that are layers of torch under other names, or at the size of what they are given."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.linear_maps.averaging import AdaptiveAverage
from spikecert.models.linear_maps.selecting import whole_factors

from .layers import is_of, kind_of


def adapted(module: nn.Module, given: Tensor, name: str) -> nn.Module | None:
    """Return the affine layer that a module is for a signal, (T or 1, batch, ...); None for another module.

    Raises:
        ConversionRefused: where it is none at the signal's size, or with its settings.
    """
    kind = kind_of(module)
    make = _MAKERS.get(kind)
    if make is None or not is_of(module, "torch", "spikingjelly"):
        return None
    try:
        return make(module, tuple(given.shape[2:])).to(given.dtype).eval()
    except ValueError as error:
        raise ConversionRefused(f"{name} ({kind}): {error}") from error


def _adaptive_pool(module: Any, shape: tuple[int, ...]) -> nn.Module:
    """Return the average pool of equal windows that do not overlap, or that of windows of several sizes."""
    made, axes = module.output_size, int(kind_of(module)[-2])
    sizes = made if isinstance(made, tuple | list) else (made,) * axes
    if len(shape) != axes + 1:
        raise ValueError(f"is given features {shape}, expected {axes + 1} axes")
    have = shape[-axes:]
    want = [size if count is None else count for size, count in zip(have, sizes, strict=True)]
    if any(size % count for size, count in zip(have, want, strict=True)):
        return AdaptiveAverage(have, want)
    windows = tuple(size // count for size, count in zip(have, want, strict=True))
    return nn.AvgPool1d(windows[0]) if axes == 1 else nn.AvgPool2d((windows[0], windows[1]))


def _zero_pad(module: Any, shape: tuple[int, ...]) -> nn.Module:
    """Return the padding by zeros that a constant one is."""
    if module.value != 0:
        raise ValueError(f"pads by {module.value}, expected 0")
    return (nn.ZeroPad1d if kind_of(module).endswith("1d") else nn.ZeroPad2d)(module.padding)


def _upsample(module: Any, shape: tuple[int, ...]) -> nn.Module:
    """Return the nearest upsampling by a whole factor."""
    layer = nn.Upsample(module.size, module.scale_factor, module.mode)
    return nn.Upsample(scale_factor=whole_factors(layer))


def _votes(module: Any, shape: tuple[int, ...]) -> nn.Linear:
    """Return the means of `voting_size` neighbours: of a rest that is no whole group nothing is read."""
    count, size = shape[-1] // module.voting_size, module.voting_size
    if len(shape) != 1:
        raise ValueError(f"is given features {shape}, expected vectors")
    layer = nn.Linear(shape[0], count, bias=False)
    weight = torch.eye(count).repeat_interleave(size, 1) / size
    layer.weight.data = torch.nn.functional.pad(weight, (0, shape[0] - count * size))
    return layer


def _threshold_norm(module: Any, shape: tuple[int, ...]) -> nn.Module:
    """Return the batch norm that a threshold-dependent one is in evaluation."""
    if module.running_mean is None:
        raise ValueError("has no running statistics, expected track_running_stats=True")
    kind = nn.BatchNorm1d if kind_of(module).endswith("1d") else nn.BatchNorm2d
    layer = kind(module.num_features, eps=module.eps).to(module.running_mean.dtype)
    layer.load_state_dict(module.state_dict())
    return layer


_MAKERS: dict[str, Callable[[Any, tuple[int, ...]], nn.Module]] = {
    "AdaptiveAvgPool1d": _adaptive_pool,
    "AdaptiveAvgPool2d": _adaptive_pool,
    "ConstantPad1d": _zero_pad,
    "ConstantPad2d": _zero_pad,
    "UpsamplingNearest2d": _upsample,
    "VotingLayer": _votes,
    "ThresholdDependentBatchNorm1d": _threshold_norm,
    "ThresholdDependentBatchNorm2d": _threshold_norm,
}
