"""Gaussian noise on the inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import nonnegative, settle
from ...models.networks import SpikingNetwork
from .base import Perturber, noise_like, settle_range


@dataclass(frozen=True)
class GaussianNoise(Perturber):
    """x̃ = x + σ·n, n ~ N(0, 1) in each feature.

    Args:
        sigma: σ ≥ 0.
        clamp: clip x̃ to [lower, upper]; the paper does not.
        lower, upper: the range of valid inputs, for `clamp`.

    Raises:
        ValueError: for σ < 0 or an empty range.

    >>> GaussianNoise(sigma=0.1).sigma
    0.1

    References: ding2024robust
    """

    sigma: float = 8 / 255
    clamp: bool = False
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, nonnegative, "sigma")
        settle_range(self)

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return x + σ·n, clipped if `clamp`."""
        noisy = noise_like(inputs, generator).mul_(self.sigma).add_(inputs)
        return noisy.clamp_(self.lower, self.upper) if self.clamp else noisy
