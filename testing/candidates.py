"""Allowed inputs to try: the samples themselves, random ones, extreme ones, and what an attack finds."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..certify.attacks import PGD, Attack, EventChanges, SpikeFlips, SpikeShifts, attack
from ..certify.perturbations import EventChange, Perturbation, SpikeFlip, SpikeShift
from ..models.constants import at_least, whole
from ..models.networks import SpikingNetwork

FAR = 1e3
"""How far outside of a set a direction starts that is then projected onto it."""
STEPS = 6
"""Of the attack: few, as checks run hundreds of times."""


def candidates(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    perturbation: Perturbation,
    count: int,
    seed: int,
    ties: str | None = None,
) -> Iterator[Tensor]:
    """Yield allowed inputs, one for each sample at a time, (batch, ...).

    Args:
        network, inputs, labels, perturbation: the problem.
        count: how many are drawn; half of them are extreme, such as corners of an ℓ∞ ball.
        seed: of the draws and of the attack.
        ties: what the attack takes for a failure, as in `attack`.
    """
    seed, count = whole("seed", seed), at_least(0)("count", count)
    generator = torch.Generator().manual_seed(seed)
    yield inputs
    for index in range(count):
        yield perturbation.sample(inputs, generator)
        if index % 2:
            yield extreme(inputs, perturbation, generator)
    method = _attack(perturbation)
    yield attack(network, inputs, labels, perturbation, method, seed=seed, ties=ties).inputs


def _attack(perturbation: Perturbation) -> Attack:
    """Return a cheap attack on a set."""
    if isinstance(perturbation, SpikeShift):
        return SpikeShifts(steps=3, swaps=3)
    if isinstance(perturbation, EventChange):
        return EventChanges(SpikeShifts(steps=3, swaps=3))
    return SpikeFlips() if isinstance(perturbation, SpikeFlip) else PGD(steps=STEPS, restarts=1)


def extreme(inputs: Tensor, perturbation: Perturbation, generator: torch.Generator) -> Tensor:
    """Return the projection of a far point in a random direction: a corner of a box, a point of a sphere."""
    direction = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    return perturbation.project(inputs + FAR * direction, inputs)


def own_labels(network: SpikingNetwork, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """Return `labels`, or without them the network's own answers, so that each sample starts out right."""
    if labels is not None:
        return labels
    with torch.no_grad():
        return network(inputs).argmax(1)
