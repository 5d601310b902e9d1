"""Random noise, clipped into the set: what an attack must beat."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Attack, Target


@dataclass(frozen=True)
class Gaussian(Attack):
    """Adds ε·n, n standard normal, and projects; `draws` times."""

    draws: int = 10
    name: str = "gaussian"

    def propose(self, target: Target, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield one noisy copy per draw."""
        inputs, epsilon = target.inputs, target.perturbation.epsilon
        for _ in range(self.draws):
            noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype, device=generator.device)
            yield inputs + epsilon * noise.to(inputs.device)
