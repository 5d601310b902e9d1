"""Sets of events as training bounds them: ends of each entry, and how much may change at one step."""

import math

import torch
from torch import Tensor

from ...certify.perturbations import EventChange, SpikeFlip, SpikeShift
from ...models.networks import SpikingNetwork
from .event_ends import EventBall
from .interval_bounds import worst_logits

Threat = SpikeFlip | SpikeShift | EventChange


def worst_of_events(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    threat: Threat,
    bounds: str = "interval",
    share: float = 1.0,
    margin: float = 0.0,
) -> Tensor:
    """Return upper bounds of logit_k − logit_y over a set of recordings, (batch, classes); 0 at y.

    Args:
        network: of any layers.
        inputs: recordings that the set takes, (batch, T, ...).
        labels: y, (batch,).
        threat: the set.
        bounds: of `worst_logits`.
        share: of the budget, in [0, 1]; of how far each entry may change, where the set has no budget.
        margin: of `worst_logits`.

    Raises:
        ValueError: for inputs, or a network, that the set is not about.
    """
    if network.encoding not in ("none", "direct"):
        told = 'expected "none", whose inputs are events over time'
        raise ValueError(f'network: got encoding "{network.encoding}", {told}')
    threat.check(inputs)
    threat.suits(network)
    most = changes(threat)
    with torch.no_grad():
        box = threat.enclosure(inputs)
        low, high = box.lower.to(inputs), box.upper.to(inputs)
    if math.isinf(most):
        low, high = torch.lerp(inputs, low, share), torch.lerp(inputs, high, share)
    elif share == 0.0:
        low = high = inputs
    ball = EventBall(inputs, share * most if share else 0.0, box, share)
    return worst_logits(network, low, high, labels, bounds, ball, margin)


def changes(threat: Threat) -> float:
    """Return how much all entries of one step change at most, Σ_i |x̃_i − x_i|; inf where that has no limit.

    An event that moves changes one entry of a step by 1: it leaves it, or comes to it. Where events merge, changes
    are no more.
    """
    if isinstance(threat, EventChange):
        return changes(threat.shifts) + changes(threat.flips)
    return float(threat.count if isinstance(threat, SpikeFlip) else threat.most)
