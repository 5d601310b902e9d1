"""Reading constants off other libraries' objects."""

from typing import Any

import torch
from torch import Tensor

from .refusal import ConversionRefused

Constant = float | Tensor
"""One number for all neurons of a layer, or an array that torch broadcasts to their features, float64."""


def entries(value: Any, name: str, constant: str) -> Constant:
    """Return a constant as a number if all its entries are the same, else as an array.

    Raises:
        ConversionRefused: where an entry is not finite.
    """
    found = torch.as_tensor(value).detach().double()
    if not bool(torch.isfinite(found).all()):
        raise ConversionRefused(f"{name}: has a {constant} that is not finite")
    return settled(found)


def uniform(value: Any, name: str, constant: str) -> float:
    """Return a constant that may come as a tensor, if all its entries are the same.

    Raises:
        ConversionRefused: where neurons of one layer differ, or an entry is not finite.
    """
    found = entries(value, name, constant)
    if isinstance(found, Tensor):
        count = len(found.unique())
        raise ConversionRefused(f"{name}: has {count} values of {constant}, expected one for the layer")
    return found


def settled(found: Constant) -> Constant:
    """Return an array without leading axes of 1, and as a number where all its entries are the same."""
    if not isinstance(found, Tensor):
        return found
    first = found.flatten()[0]
    if not bool((found != first).any()):
        return float(first)
    while found.dim() > 1 and len(found) == 1:
        found = found[0]
    return found


def every(condition: bool | Tensor) -> bool:
    """Return whether a condition holds for each neuron."""
    return bool(torch.as_tensor(condition).all())


def told(constant: Constant) -> str:
    """Return a constant in few digits: both ends of an array."""
    if not isinstance(constant, Tensor):
        return f"{constant:g}"
    return "…".join(dict.fromkeys(f"{float(end):g}" for end in (constant.min(), constant.max())))
