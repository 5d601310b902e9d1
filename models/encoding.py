"""How inputs become signals over time: encodings, and the draws of the rate code."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .constants import at_least, settle, whole, wholes

ENCODINGS = ("direct", "none", "rate")


@dataclass(frozen=True)
class RateDraws:
    """The numbers that a rate code compares its inputs with: step t spikes iff u[t] < x.

    u[t] is uniform on [0, 1), drawn for each step and feature and the same for all samples, so s[t] ~ Bernoulli(x)
    over the seeds, while for one seed the spikes are a function of x alone. What is proved of a network is proved
    for its draws.

    Args:
        seed: of the draws, 0 ≤ seed < 2⁶³.

    Raises:
        TypeError, ValueError: for a seed that is no such integer.

    >>> RateDraws(seed=3).thresholds(4, (784,)).shape
    torch.Size([4, 784])
    """

    seed: int = 0

    def __post_init__(self) -> None:
        settle(self, whole, "seed")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: got {self.seed}, expected 0 ≤ seed < 2⁶³")

    def thresholds(self, num_steps: int, features: tuple[int, ...]) -> Tensor:
        """Return u, (num_steps, *features), float64, on the CPU: a copy, so that no one writes into the cache."""
        shape = wholes("features", features)
        return _drawn(self.seed, at_least(1)("num_steps", num_steps), shape).clone()


@lru_cache(maxsize=16)
def _drawn(seed: int, num_steps: int, features: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((num_steps, *features), generator=generator, dtype=torch.float64)


def fresh_thresholds(rates: Tensor, num_steps: int, generator: torch.Generator | None) -> Tensor:
    """Return new draws for each step, sample and feature, (num_steps, *rates.shape), float64."""
    device = rates.device if generator is None else generator.device
    shape = (num_steps, *rates.shape)
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=device).to(rates.device)


def rate_code(rates: Tensor, thresholds: Tensor) -> Tensor:
    """Return spikes s[t] = 1 where u[t] < x and 0 elsewhere, (T, batch, ...).

    The comparison is exact. The backward pass takes ds[t]/dx = 1 at every step (straight through): the slope of
    the firing probability, where a spike's own slope is 0.

    Args:
        rates: x, (batch, ...); below 0 never spikes, 1 and above always.
        thresholds: u, float64, (T, ...) or (T, batch, ...).
    """
    if thresholds.dim() == rates.dim():
        thresholds = thresholds.unsqueeze(1)
    spikes = (thresholds < rates.detach().double()).to(rates.dtype)
    return spikes + (rates - rates.detach()) if rates.requires_grad else spikes
