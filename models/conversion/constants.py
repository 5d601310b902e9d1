"""Reading constants off other libraries' objects."""

from typing import Any

import torch
from torch import nn

from .refusal import ConversionRefused


def library_of(module: nn.Module) -> str:
    """Return the package that a module's type comes from."""
    return type(module).__module__.split(".")[0]


def uniform(value: Any, name: str, constant: str) -> float:
    """Return a constant that may come as a tensor, if all its entries are the same.

    Raises:
        ConversionRefused: where neurons of one layer differ, or an entry is not finite.
    """
    entries = torch.as_tensor(value).detach().double().flatten()
    if not bool(torch.isfinite(entries).all()):
        raise ConversionRefused(f"{name}: has a {constant} that is not finite")
    if bool((entries != entries[0]).any()):
        count = len(entries.unique())
        raise ConversionRefused(f"{name}: has {count} values of {constant}, expected one for the layer")
    return float(entries[0])
