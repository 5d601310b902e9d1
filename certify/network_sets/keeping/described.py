"""Sets of inputs or of networks as JSON-ready data and tensors."""

from dataclasses import fields
from typing import Any

from torch import Tensor

from ...perturbations import Perturbation
from ...perturbations.described import build_set, describe_set
from ..base import NetworkSet
from ..stuck import StuckNeurons
from ..tolerance import Tolerance

NETWORKS: dict[str, type[NetworkSet]] = {kind.__name__: kind for kind in (Tolerance, StuckNeurons)}


def describe_any(asked: Perturbation | NetworkSet) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a threat model as JSON-ready data and tensors.

    Raises:
        TypeError: for one that is not spikecert's own.
    """
    if not isinstance(asked, NetworkSet):
        return describe_set(asked)
    name = type(asked).__name__
    if NETWORKS.get(name) is not type(asked):
        raise TypeError(f"perturbation: got {name}, expected one of {', '.join(NETWORKS)}")
    told: dict[str, Any] = {field.name: getattr(asked, field.name) for field in fields(asked)}  # pyright: ignore[reportArgumentType]
    around, tensors = (None, {}) if asked.around is None else describe_set(asked.around)
    return {"type": name, **told, "around": around}, tensors


def build_any(told: dict[str, Any], tensors: dict[str, Tensor]) -> Perturbation | NetworkSet:
    """Return the threat model of `describe_any`."""
    kind = NETWORKS.get(told["type"])
    if kind is None:
        return build_set(told, tensors)
    around = None if told["around"] is None else build_set(told["around"], tensors)
    return kind(**{key: value for key, value in told.items() if key != "type"} | {"around": around})
