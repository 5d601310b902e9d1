"""Outputs that stand for one class in groups of neighbours, and constants off other libraries' objects.

Reading constants off other libraries' objects.
"""

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from ..elements.neurons import LIF
from ..linear_maps import LinearMap, affine_types, linear_map
from ..networks import SpikingNetwork
from ..running.running import run_layers
from ..source import carry
from .refusal import ConversionRefused

MOST_VOTERS = 4096
"""Neurons whose votes are looked at."""


def in_groups(
    network: SpikingNetwork, inputs: Tensor, classes: int | None, notes: tuple[str, ...]
) -> tuple[SpikingNetwork, tuple[str, ...]]:
    """Return the network that sums its outputs in `classes` groups of neighbours, and notes that say so.

    Raises:
        ConversionRefused: for a number of outputs that is no multiple, or potentials that are read.
    """
    if classes is None:
        return network, notes
    with torch.no_grad():
        count = network(inputs[:1]).shape[1]
    if count % classes:
        raise ConversionRefused(f"classes: got {classes} for {count} outputs, expected a divisor of their number")
    if count == classes:
        return network, notes
    if network.readout == "potential":
        raise ConversionRefused(f"classes: got {classes} for {count} potentials, expected spikes or currents")
    layer = nn.Linear(count, classes, bias=False)
    layer.weight.data = torch.eye(classes).repeat_interleave(count // classes, 1)  # sums of spikes are exact
    made = SpikingNetwork(*network.layers, layer, num_steps=network.num_steps, **_coding(network))
    made = made.to(network.dtype).eval()
    carry(network, made, outputs=count // classes)
    note = f"outputs are summed in groups of {count // classes} neighbours, one a class"
    return made, (*notes, note)


def grouped(output: Tensor, classes: int) -> Tensor:
    """Return an output, (..., count), summed in groups if its number is another multiple of `classes`."""
    count = output.shape[-1] if output.dim() > 1 else classes
    return output if count == classes or count % classes else output.unflatten(-1, (classes, -1)).sum(-1)


def votes_of(network: SpikingNetwork) -> tuple[SpikingNetwork, Fraction] | None:
    """Return the network that counts the votes that another one averages, and what a vote is worth there.

    A mean of w·(the sum of some spikes) rounds, so equal counts may differ in it; potentials with λ = 1 of sums of
    spikes are the counts themselves, of any number of steps.

    Returns:
        None for networks that end otherwise.
    """
    layers, tail, mixes = list(network.layers), list[nn.Module](), False
    while len(layers) > 2 and (each := _votes(layers[-1])) is not None:
        tail.insert(0, layers.pop())
        mixes = mixes or each.terms > 1
    before = layers[-2] if len(layers) > 1 else None
    counted = network.readout == "mean" and isinstance(layers[-1], LIF) and mixes
    if not counted or not isinstance(before, nn.Linear) or before.out_features > MOST_VOTERS:
        return None
    with torch.no_grad():
        weight = run_layers(tail, torch.eye(before.out_features).to(before.weight)[None], 1)[0].T
    worth = weight.max().item()
    if worth <= 0 or not bool(((weight == worth) | (weight == 0)).all()):
        return None
    sums = nn.Linear(before.out_features, len(weight), bias=False)
    sums.weight.data = (weight != 0).to(weight)
    layers += [sums, LIF(1.0, reset="none")]
    made = SpikingNetwork(*layers, num_steps=network.num_steps, readout="potential", **_coding(network))
    return made.to(network.dtype).eval(), Fraction(worth) / network.num_steps


def _coding(network: SpikingNetwork) -> dict[str, Any]:
    """Return the encoding of a network, and its draws."""
    return {"encoding": network.encoding, "draws": network.draws if network.encoding == "rate" else None}


def _votes(layer: nn.Module) -> LinearMap | None:
    """Return the map of an affine layer without a bias; None for another one."""
    found = linear_map(layer) if type(layer) in affine_types() else None
    return None if found is None or bool(found.bias.any()) else found


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
