"""Random noise, clipped into the set: what an attack must beat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ...perturbations.shapes import normal
from ..base import Attack, Search, Target


@dataclass(frozen=True)
class Gaussian(Attack):
    """Adds ε·n, n standard normal, and projects; `draws` times. With `PixelBox`, each feature's own radius·n."""

    draws: int = 10
    name: str = "gaussian"
    by_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "draws")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield one noisy copy per draw."""
        inputs, extent = target.inputs, target.real_set.extent
        scale = extent.to(inputs) if isinstance(extent, Tensor) else extent
        for _ in range(self.draws):
            yield inputs + scale * normal(inputs, generator)
