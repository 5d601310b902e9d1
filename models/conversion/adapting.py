"""Layers that are layers of torch under other names, or at the size of what they are given."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..linear_maps import affine_types
from .layers import is_of, kind_of
from .refusal import ConversionRefused

ADAPTIVE = "Adaptive"
KINDS: dict[str, Callable[..., nn.Module]] = {kind.__name__: kind for kind in affine_types()}
"""The affine layers that networks have, by name."""


def adapted(module: nn.Module, given: Tensor, name: str) -> nn.Module | None:
    """Return the affine layer that a module is for a signal, (T or 1, batch, ...); None for another module.

    Raises:
        ConversionRefused: where it is none at the signal's size, or with its settings.
    """
    kind = kind_of(module)
    make = _adaptive_pool if kind.removeprefix(ADAPTIVE) in KINDS.keys() - {kind} else _MAKERS.get(kind)
    if make is None or not is_of(module, "torch", "spikingjelly"):
        return None
    try:
        return make(module, tuple(given.shape[2:])).to(given.dtype).eval()
    except ValueError as error:
        raise ConversionRefused(f"{name} ({kind}): {error}") from error


def _adaptive_pool(module: Any, shape: tuple[int, ...]) -> nn.Module:
    """Return the pool of that name with windows that do not overlap; others have more than one size."""
    made, axes = module.output_size, len(shape) - 1
    sizes = made if isinstance(made, tuple | list) else (made,) * axes
    windows: list[int] = []
    for have, want in zip(shape[-axes:], sizes, strict=True):
        want = have if want is None else want
        if want < 1 or have % want:
            raise ValueError(f"makes {want} of {have}, by windows of several sizes; expected a divisor")
        windows.append(have // want)
    return KINDS[kind_of(module).removeprefix(ADAPTIVE)](windows[0] if axes == 1 else tuple(windows))


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
    "VotingLayer": _votes,
    "ThresholdDependentBatchNorm1d": _threshold_norm,
    "ThresholdDependentBatchNorm2d": _threshold_norm,
}
