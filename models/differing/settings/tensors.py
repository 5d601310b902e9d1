"""The tensors of a module: how those of two builds differ, and how they are exchanged."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .numbers import equal, rounded_apart, weights_apart


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return what a module computes by."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor for name, tensor in named if tensor.is_floating_point()}


def tensors_apart(a: nn.Module, b: nn.Module, dtype: torch.dtype) -> list[tuple[str, str, str, bool]]:
    """Return (name, kind, words, whether rounding alone did it) of each tensor that differs."""
    one, other = tensors_of(a), tensors_of(b)
    found = []
    for name in dict.fromkeys((*one, *other)):
        pair = one.get(name), other.get(name)
        if not equal(*pair, dtype):
            kind = "bias" if name.split(".")[-1] in ("bias", "running_mean") else "weight"
            found.append((name, kind, weights_apart(name, *pair), rounded_apart(*pair, dtype)))
    return found


def exchange_tensors(into: nn.Module, source: nn.Module, names: Sequence[str]) -> None:
    """Give a module some tensors of another; one that the other lacks is taken away."""
    given = tensors_of(source)
    for name in names:
        owner, _, key = name.rpartition(".")
        part = into.get_submodule(owner)
        if name not in given:
            setattr(part, key, None)
        elif getattr(part, key) is None:
            setattr(part, key, nn.Parameter(given[name].detach().clone()))
        else:
            with torch.no_grad():
                getattr(part, key).copy_(given[name])
