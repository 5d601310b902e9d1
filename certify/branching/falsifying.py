"""Attack from where the relaxation is least: a node's minimising input is a better start than a random one."""

import torch
from torch import Tensor

from ..attacks.gradients import climb, differentiate, margins_at
from ..attacks.losses import LOSSES
from ..perturbations import RangedSet
from .question import MarginQuestion

STEPS = 8
STARTS = 16
SHARE = 0.25
"""The first step's length, as a share of the set's extent; it shrinks with the steps."""

REST = 16
"""After so many batches without an attack there is one, whatever the candidates are."""
NEARER = 0.9
"""What the least margin must fall to, as a share of the least before, for an attack."""


class Patrol:
    """When to attack: where a candidate came clearly nearer than all before about its sample, and now and then.

    Args:
        samples: how many there are.
    """

    def __init__(self, samples: int) -> None:
        self._nearest = torch.full((samples,), torch.inf, dtype=torch.float64)
        self._rested = REST

    def starts(self, samples: Tensor, distances: Tensor) -> bool:
        """Note the margins of a batch's candidates, (N,) each; return whether to attack from them."""
        if len(samples) == 0:
            return False
        before = self._nearest.clone()
        self._nearest.scatter_reduce_(0, samples, distances, "amin")
        self._rested += 1
        if self._rested <= REST and not bool((self._nearest < NEARER * before).any()):
            return False
        self._rested = 0
        return True


def attack_from(
    question: MarginQuestion, samples: Tensor, starts: Tensor, distances: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return samples and allowed inputs that the network misclassifies (in a batch: to be replayed).

    Args:
        question: what is asked.
        samples: of each start, (N,).
        starts: allowed inputs, (N, ...).
        distances: their margins, (N,); the `STARTS` least are tried.
        generator: for gradients that vanish.
    """
    threat = question.perturbation
    if not isinstance(threat, RangedSet) or len(samples) == 0:
        return samples[:0], starts[:0]
    chosen = distances.argsort()[:STARTS]
    samples, points = samples[chosen], starts[chosen]
    labels, inputs = question.labels[samples], question.inputs[samples]
    network, labels, ties = question.goal.posed(question.network, labels)
    found = torch.zeros_like(samples, dtype=torch.bool)
    worst = points.clone()
    for step in range(STEPS):
        slope = differentiate(network, points, labels, LOSSES["margin"])
        move = climb(threat, slope.gradient, generator) * (SHARE * (1.0 - step / STEPS))
        points = threat.project(points + move, inputs)
        fell = ~found & (margins_at(network, points, labels, ties) <= 0)
        worst[fell] = points[fell]
        found |= fell
    return samples[found], worst[found]
