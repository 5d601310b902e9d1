"""Members of a tolerance: which numbers of a network vary, and networks that have others in their place."""

import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...models.elements.neurons import LIF
from ...models.elements.varied import VariedLIF
from ...models.merging import weights_and_biases
from ...models.networks import SpikingNetwork

ROOM = 1.0 - 2.0**-50
"""What float64 may round away of a distance and of a share of a number."""
ULPS = 4
"""How often a number is moved inward before it is left as it was."""


@dataclass(frozen=True)
class Shares:
    """How far numbers may be from themselves: weights and biases, thresholds, decays."""

    weights: float
    threshold: float
    decay: float


@dataclass(frozen=True)
class MemberPlaces:
    """Where in its interval each number of a member lies, −1 to 1: weights by name, θ and λ layer by layer."""

    weights: dict[str, Tensor]
    neurons: list[tuple[float, float]]


def drawn(nominal: SpikingNetwork, generator: torch.Generator) -> MemberPlaces:
    """Return the places of a random corner: −1 or 1 each."""
    parameters = dict(nominal.named_parameters())

    def signs(*shape: int) -> Tensor:
        return torch.randint(0, 2, shape, generator=generator).double() * 2 - 1

    weights = {name: signs(*parameters[name].shape) for name in weights_and_biases(nominal)}
    return MemberPlaces(weights, [(float(one), float(other)) for one, other in signs(len(nominal.neurons), 2)])


@torch.no_grad()
def moved(nominal: SpikingNetwork, places: MemberPlaces, shares: Shares) -> SpikingNetwork:
    """Return the member at some places, every number rounded inward."""
    found = copy.deepcopy(nominal)
    parameters = dict(found.named_parameters())
    for name, place in places.weights.items():
        parameters[name].copy_(inward(parameters[name], place, shares.weights))
    for neuron, (threshold, decay) in zip(found.neurons, places.neurons, strict=True):
        _set(neuron, threshold * shares.threshold, decay * shares.decay)
    return found


def _set(neuron: LIF, threshold: float, decay: float) -> None:
    """Move θ and λ of a layer by shares of themselves; λ to at most 1."""
    if not (threshold or decay):
        return
    own = constants(neuron)
    theta, lam = (
        inward(own[name], torch.full_like(own[name], 1.0 if share > 0 else -1.0), abs(share))
        for name, share in (("threshold", threshold), ("decay", decay))
    )
    lam = torch.where(lam > 1, torch.ones_like(lam), lam)
    if isinstance(neuron, VariedLIF):
        neuron.threshold, neuron.decay = theta, lam
    else:
        neuron.dynamics = replace(neuron.dynamics, threshold=float(theta), decay=float(lam))


def constants(neuron: LIF) -> dict[str, Tensor]:
    """Return θ and λ of a layer, of plain numbers in float64."""
    if isinstance(neuron, VariedLIF):
        return {"threshold": neuron.threshold, "decay": neuron.decay}
    own: Any = neuron.dynamics
    return {name: torch.tensor(getattr(own, name), dtype=torch.float64) for name in ("threshold", "decay")}


def inward(numbers: Tensor, places: Tensor, share: float) -> Tensor:
    """Return n + |n|·share·place in the dtype of n, moved inward where rounding has left the interval."""
    own = numbers.detach()
    exact = own.double()
    moved_to, most = (exact + exact.abs() * share * places.to(exact)).to(own.dtype), exact.abs() * (share * ROOM)
    for _ in range(ULPS):
        outside = (moved_to.double() - exact).abs() > most
        moved_to = torch.where(outside, moved_to.nextafter(own), moved_to)
    return torch.where((moved_to.double() - exact).abs() > most, own, moved_to)


def within(candidates: Tensor, numbers: Tensor, share: float) -> bool:
    """Return whether |c − n| ≤ share·|n| for all pairs, in rationals."""
    if candidates.shape != numbers.shape:
        return False
    pairs = zip(candidates.flatten().tolist(), numbers.flatten().tolist(), strict=True)
    exact = Fraction(share)
    return all(c == n or abs(Fraction(c) - Fraction(n)) <= exact * abs(Fraction(n)) for c, n in pairs)
