"""Sets of networks and their members as JSON-ready data and tensors.

Members of sets of networks as tensors, beside the network that they lie around: what records and batches keep.

A member of a tolerance is all of its weights, thresholds and decays; one with stuck neurons says which are stuck.
Whoever reads one back has the network, and gets a member: what is outside the set is refused.
"""

import copy
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..perturbations import Perturbation
from ..perturbations.described import build_set, describe_set
from .base import Fault, NetworkSet, constants, faults_of, features_of, stuck_member
from .stuck import StuckNeurons
from .tolerance import Tolerance

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


FAULTS = "faults"
CONSTANTS = ("threshold", "decay")


def kept_member(networks: NetworkSet, member: SpikingNetwork) -> dict[str, Tensor]:
    """Return what tells a member of a set from the network that it lies around, on the CPU."""
    if isinstance(networks, StuckNeurons):
        rows = [[fault.layer, fault.neuron, int(fault.fires)] for fault in faults_of(member)]
        return {FAULTS: torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)}
    return {name: tensor.detach().cpu().clone() for name, tensor in _numbers(member).items()}


def _numbers(network: SpikingNetwork) -> dict[str, Tensor]:
    """Return all that may vary in a tolerance, by name."""
    found: dict[str, Tensor] = {f"weights.{name}": one for name, one in network.named_parameters()}
    for place, neuron in enumerate(network.neurons):
        if "threshold" in neuron.holds or all(hasattr(neuron.dynamics, name) for name in CONSTANTS):
            found |= {f"neurons.{place}.{name}": value for name, value in constants(neuron).items()}
    return found


def restored_member(
    networks: NetworkSet, network: SpikingNetwork, inputs: Tensor, kept: dict[str, Tensor]
) -> SpikingNetwork:
    """Return the member of `kept_member`.

    Args:
        networks: the set.
        network: that it lies around.
        inputs: samples, which say how many neurons there are.
        kept: what tells the member.

    Raises:
        ValueError: for what is no member of the set.
    """
    nominal = networks.nominal(network).eval()
    if isinstance(networks, StuckNeurons):
        return _stuck(networks, nominal, inputs, kept)
    if not isinstance(networks, Tolerance):
        raise ValueError(f"member: got one of {type(networks).__name__}, expected Tolerance or StuckNeurons")
    member = _moved(nominal, kept)
    if not networks.contains(network, member):
        raise ValueError(f"member: got numbers outside the set {networks}, expected a member")
    return member


def _moved(nominal: SpikingNetwork, kept: dict[str, Tensor]) -> SpikingNetwork:
    """Return a copy with other weights, thresholds and decays."""
    found = copy.deepcopy(nominal)
    own = _numbers(found)
    alike = {name: (tensor.shape, tensor.dtype) for name, tensor in own.items()}
    if {name: (tensor.shape, tensor.dtype) for name, tensor in kept.items()} != alike:
        raise ValueError("member: got tensors of other names, shapes or dtypes than the network's")
    if not all(bool(tensor.isfinite().all()) for tensor in kept.values()):
        raise ValueError("member: got numbers that are not finite")
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            parameter.copy_(kept[f"weights.{name}"])
    for place, neuron in enumerate(found.neurons):
        moved = {name: kept[f"neurons.{place}.{name}"] for name in CONSTANTS if f"neurons.{place}.{name}" in kept}
        if "threshold" in neuron.holds:
            for name, value in moved.items():
                setattr(neuron, name, value.to(found.device))
        elif any(float(value) != getattr(neuron.dynamics, name) for name, value in moved.items()):
            neuron.dynamics = replace(neuron.dynamics, **{name: float(value) for name, value in moved.items()})
    return found


def _stuck(
    networks: StuckNeurons, nominal: SpikingNetwork, inputs: Tensor, kept: dict[str, Tensor]
) -> SpikingNetwork:
    rows = kept.get(FAULTS) if len(kept) == 1 else None
    if rows is None or rows.dtype != torch.int64 or rows.dim() != 2 or rows.shape[1] != 3:
        raise ValueError("member: got other tensors than which neurons are stuck")
    features = features_of(nominal, inputs)
    faults = [Fault(layer, neuron, bool(fires)) for layer, neuron, fires in rows.tolist()]
    places = {(fault.layer, fault.neuron) for fault in faults}
    known = all(
        0 <= layer < len(features) and networks.takes(layer) and 0 <= neuron < features[layer].numel()
        for layer, neuron in places
    )
    if not known or len(places) < len(faults) or len(faults) > networks.count:
        raise ValueError(f"member: got {len(faults)} stuck neurons that are not of {networks}, expected a member")
    return stuck_member(nominal, faults, features)
