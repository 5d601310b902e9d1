"""A surrogate that takes its width from where the potentials are."""

import math
from dataclasses import dataclass

from torch import Tensor

from ....models.surrogates import Surrogate

LEAST = 1e-30
"""A width above 0 for samples whose potentials all lie on their thresholds."""


@dataclass(frozen=True)
class AdaptiveArctan(Surrogate):
    """h(x) = 1 / (γ·(1 + (πx/γ)²)), with γ = width · mean|x| over the layer's neurons, for each sample and step.

    A fixed width is right for one unit of potentials: where thresholds are 50 it is too narrow, and gradients
    vanish; where they are .02 it is so wide that all neurons count alike. Here c·x has the slope h(x)/c, so what
    is attacked does not depend on the unit, and layers far from their thresholds still say where to go. A
    sample's slope does not depend on what else is in the batch.

    Args:
        width: γ in units of the mean distance.

    References: wang2025towards (adaptive sharpness; theirs follows a running mean over the steps of an attack)
    """

    width: float = 0.5

    def derivative(self, distance: Tensor) -> Tensor:
        """Return h(distance), for (batch, ...); 0 where a distance is not finite."""
        mean = distance.abs().flatten(1).mean(1).clamp_min(LEAST)
        width = self.width * mean.view(-1, *[1] * (distance.dim() - 1))
        return (1.0 / (width * (1.0 + (math.pi * distance / width) ** 2))).nan_to_num(nan=0.0)

    @property
    def steepest(self) -> float:
        """Return +inf: neurons may be as near as they like."""
        return math.inf
