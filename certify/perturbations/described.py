"""Threat models as JSON-ready data and tensors: what other processes are told of them."""

from dataclasses import fields
from typing import Any

from torch import Tensor

from .base import Perturbation
from .l2 import L2
from .linf import LInf
from .pixel_box import PixelBox
from .spike_flip import SpikeFlip

SETS: dict[str, type[Perturbation]] = {kind.__name__: kind for kind in (LInf, L2, PixelBox, SpikeFlip)}


def describe_set(perturbation: Perturbation) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a threat model as JSON-ready data and tensors.

    Raises:
        TypeError: for a threat model that is not spikecert's own.
    """
    name = type(perturbation).__name__
    if SETS.get(name) is not type(perturbation):
        raise TypeError(f"perturbation: got {name}, expected one of {', '.join(SETS)}")
    values = {field.name: getattr(perturbation, field.name) for field in fields(perturbation)}  # pyright: ignore[reportArgumentType]
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    return {"type": name, **{key: value for key, value in values.items() if key not in tensors}}, tensors


def build_set(told: dict[str, Any], tensors: dict[str, Tensor]) -> Perturbation:
    """Return the threat model of `describe_set`."""
    values = {key: value for key, value in told.items() if key != "type"}
    return SETS[told["type"]](**values, **tensors)
