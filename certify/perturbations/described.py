"""Threat models as JSON-ready data and tensors: what other processes are told of them."""

from dataclasses import asdict, fields
from typing import Any

from torch import Tensor

from .base import Perturbation
from .l2 import L2
from .linf import LInf
from .pixel_box import PixelBox
from .regions import EventRegion
from .spike_flip import SpikeFlip
from .spike_shift import SpikeShift

SETS: dict[str, type[Perturbation]] = {kind.__name__: kind for kind in (LInf, L2, PixelBox, SpikeFlip, SpikeShift)}


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
    told = {key: _told(value) for key, value in values.items() if key not in tensors}
    return {"type": name, **told}, tensors


def build_set(told: dict[str, Any], tensors: dict[str, Tensor]) -> Perturbation:
    """Return the threat model of `describe_set`."""
    values = {key: value for key, value in told.items() if key != "type"}
    if isinstance(values.get("where"), dict):
        values["where"] = EventRegion(**values["where"])
    return SETS[told["type"]](**values, **tensors)


def _told(value: object) -> object:
    """Return a setting as JSON-ready data."""
    return asdict(value) if isinstance(value, EventRegion) else value
