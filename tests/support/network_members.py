"""Members of sets of networks: an oracle that draws numbers where bounds are attained, and between."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from spikecert.certify.network_sets.base import inward
from spikecert.certify.network_sets.tolerance import Tolerance
from spikecert.models import LIF, SpikingNetwork, VariedLIF
from spikecert.models.merging import weights_and_biases


def places_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return places from −1 to 1: corners, or mostly corners, or anything, or all at one end."""
    signs = torch.randint(0, 2, like.shape, generator=generator).double() * 2 - 1
    kind = int(torch.randint(0, 4, (), generator=generator))
    if kind == 0:
        return signs
    if kind == 1:
        return signs * torch.randint(0, 2, like.shape, generator=generator)
    if kind == 2:
        return torch.rand(like.shape, generator=generator).double() * 2 - 1
    return torch.full_like(signs, float(signs.flatten()[0]))


def towards(
    nominal: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return places at the corner where the margins' gradient points, with some of them flipped."""
    logits = nominal(inputs)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    loss = (others - logits.gather(1, labels[:, None]).squeeze(1)).sum()
    names, parameters = weights_and_biases(nominal), dict(nominal.named_parameters())
    slopes = torch.autograd.grad(
        loss, [parameters[name] for name in names], allow_unused=True, materialize_grads=True
    )
    found = {}
    for name, slope in zip(names, slopes, strict=True):
        kept = torch.rand(slope.shape, generator=generator) < 0.9
        sign = slope.sign().double() * parameters[name].detach().sign().double()
        found[name] = torch.where(kept, sign, places_like(slope, generator))
    return found


def drawn_member(
    tolerance: Tolerance, nominal: SpikingNetwork, places: dict[str, Tensor] | None, generator: torch.Generator
) -> SpikingNetwork:
    """Return a member with places of its weights, or random ones, and each layer's own thresholds and decays."""
    member = copy.deepcopy(nominal)
    parameters = dict(member.named_parameters())
    with torch.no_grad():
        for name in weights_and_biases(nominal):
            place = places_like(parameters[name], generator) if places is None else places[name]
            sign = torch.where(parameters[name] < 0, -1.0, 1.0)
            parameters[name].copy_(inward(parameters[name], place * sign, tolerance.weights))
    _neurons(member, tolerance, generator)
    return member


def _neurons(network: nn.Module, tolerance: Tolerance, generator: torch.Generator) -> None:
    for name, layer in list(network.named_children()):
        if type(layer) is LIF and layer.reset != "none" and (tolerance.threshold or tolerance.decay):
            setattr(network, name, _alone(layer, tolerance, generator))
        else:
            _neurons(layer, tolerance, generator)


def _alone(layer: LIF, tolerance: Tolerance, generator: torch.Generator) -> LIF:
    """Return a layer whose constants are others within the tolerance, the same for all neurons."""
    own: Any = copy.deepcopy(layer)
    found = {}
    for key, share in (("threshold", tolerance.threshold), ("decay", tolerance.decay)):
        number = torch.tensor([getattr(layer.dynamics, key)], dtype=torch.float64)
        found[key] = float(inward(number, places_like(number, generator), share))
    own.dynamics = type(layer.dynamics)(
        min(1.0, found["decay"]),
        found["threshold"],
        layer.dynamics.reset,
        layer.dynamics.fires_at,
        layer.dynamics.surrogate,
        layer.dynamics.reset_amount,
    )
    return own


def each_by_itself(nominal: SpikingNetwork, tolerance: Tolerance, generator: torch.Generator) -> SpikingNetwork:
    """Return a dense member whose neurons have thresholds and decays of their own."""
    member = copy.deepcopy(nominal)
    width = 0
    for index, layer in enumerate(list(member.layers)):
        width = layer.out_features if isinstance(layer, nn.Linear) else width
        if type(layer) is LIF and layer.reset != "none":
            d = layer.dynamics
            numbers = {}
            for key, share in (("threshold", tolerance.threshold), ("decay", tolerance.decay)):
                all_of = torch.full((width,), getattr(d, key), dtype=next(member.parameters()).dtype)
                numbers[key] = inward(all_of, places_like(all_of, generator), share)
            numbers["decay"] = numbers["decay"].clamp_max(1.0)
            amount = None if d.reset_amount is None else [d.reset_amount] * width
            member.layers[index] = VariedLIF(
                numbers["decay"], numbers["threshold"], d.reset, d.fires_at, d.surrogate, amount
            )
    return member
