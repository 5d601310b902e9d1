"""Threat models as JSON-ready data and tensors: what other processes are told of them."""

from dataclasses import asdict, fields
from typing import Any

from torch import Tensor

from .balls import L2, LInf, PixelBox
from .base import EventRegion, Perturbation
from .events.event_change import EventChange, SpikeFlip
from .events.spike_shift import SpikeShift

SETS: dict[str, type[Perturbation]] = {
    kind.__name__: kind for kind in (LInf, L2, PixelBox, SpikeFlip, SpikeShift, EventChange)
}


def describe_set(perturbation: Perturbation) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a threat model as JSON-ready data and tensors.

    Raises:
        TypeError: for a threat model that is not spikecert's own.
    """
    name = type(perturbation).__name__
    if SETS.get(name) is not type(perturbation):
        raise TypeError(f"perturbation: got {name}, expected one of {', '.join(SETS)}")
    if isinstance(perturbation, EventChange):
        return _describe_both(perturbation)
    values = {field.name: getattr(perturbation, field.name) for field in fields(perturbation)}  # pyright: ignore[reportArgumentType]
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    told = {key: _told(value) for key, value in values.items() if key not in tensors}
    return {"type": name, **told}, tensors


def build_set(told: dict[str, Any], tensors: dict[str, Tensor]) -> Perturbation:
    """Return the threat model of `describe_set`."""
    if told["type"] == EventChange.__name__:
        return _build_both(told, tensors)
    values = {key: value for key, value in told.items() if key != "type"}
    if isinstance(values.get("where"), dict):
        values["where"] = EventRegion(**values["where"])
    return SETS[told["type"]](**values, **tensors)


def _describe_both(change: EventChange) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return both sets of a change, and their tensors as "flips.where" and "shifts.where"."""
    told: dict[str, Any] = {"type": EventChange.__name__}
    tensors: dict[str, Tensor] = {}
    for name in ("flips", "shifts"):
        told[name], found = describe_set(getattr(change, name))
        tensors |= {f"{name}.{key}": value for key, value in found.items()}
    return told, tensors


def _build_both(told: dict[str, Any], tensors: dict[str, Tensor]) -> Perturbation:
    parts = {
        name: build_set(
            told[name], {key.removeprefix(f"{name}."): v for key, v in tensors.items() if key.startswith(name)}
        )
        for name in ("flips", "shifts")
    }
    return EventChange(**parts)  # type: ignore[arg-type]


def _told(value: object) -> object:
    """Return a setting as JSON-ready data."""
    return asdict(value) if isinstance(value, EventRegion) else value
