"""The published certified training of spiking networks: S-IBP of Liang et al., as the baseline to beat."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify import LInf
from ...certify.verifiers import INTERVAL
from ...models.constants import settle, share
from ...models.networks import SpikingNetwork
from ..bounds.interval_bounds import worst_logits
from ..data import Split
from ..perturbations.base import settle_range
from .base import Loss, Objective, Schedule, Weight, as_share, as_weight, full, rising
from .judging import certified_share


@dataclass(frozen=True)
class SIBP(Objective):
    """L = κ·CE(f(x), y) + (1−κ)·CE(z, y),  z_k = the interval bound of f_k − f_y over the ball, z_y = 0.

    Bounds are propagated step by step. A potential lies in an interval; bounds of a spike are integers, 0 or 1:
    the lower one fires where the potential's lower end does, the upper one where the upper end does. After an
    open spike the reset joins both cases. The box is the whole ℓ∞ ball within the range of inputs. The negative of
    the greatest z_k, k ≠ y, is the margin that the verifier "interval" proves, to rounding. Behind a mean readout
    the last affine layer's rows are subtracted before they are bounded, as in interval training of other
    networks; the authors' networks end in spikes, whose bounds are compared as they are.

    ε rises linearly from 0 over the first `ramp` of the run. The authors train rate-coded inputs with Adam,
    batches of 256, λ = θ = .25 and T = 10. `fit` picks the epoch with the most validation samples (of the first
    1,000) that "interval" certifies at ε.

    Args:
        epsilon: ε ≥ 0; a schedule in place of a number is taken as it is, without `ramp`.
        kappa: κ ∈ [0, 1], the share of the clean cross-entropy, or a schedule such as Ramp(1, 0.5, end=0.5).
        ramp: the share of the run, in [0, 1], over which ε rises.
        lower, upper: the range of valid inputs.

    Raises:
        ValueError: for a number outside its range.

    >>> SIBP(epsilon=0.06).at(0.25).epsilon
    0.03

    References: liang2022toward, gowal2018effectiveness
    """

    epsilon: Weight = 0.06
    kappa: Weight = 0.5
    ramp: float = 0.5
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, as_weight, "epsilon")
        settle(self, as_share, "kappa")
        settle(self, share, "ramp")
        settle_range(self)

    def at(self, progress: float) -> Self:
        """Return this loss with the ε and κ of that moment."""
        kappa = self.kappa.at(progress) if isinstance(self.kappa, Schedule) else self.kappa
        return replace(self, epsilon=rising(self.epsilon, self.ramp).at(progress), kappa=kappa, ramp=0.0)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss at full ε, with the terms "clean" and "certified" (cross-entropies)."""
        clean = cross_entropy(network(inputs), labels)
        low, high = (inputs + sign * full(self.epsilon) for sign in (-1.0, 1.0))
        worst = worst_logits(network, low.clamp_min(self.lower), high.clamp_max(self.upper), labels, "interval")
        certified = cross_entropy(worst, labels)
        kappa = full(self.kappa)
        terms = {"clean": clean.detach(), "certified": certified.detach()}
        return Loss(kappa * clean + (1.0 - kappa) * certified, terms)

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float:
        """Return the share of the first samples of `split` that "interval" certifies at ε."""
        threat = LInf(full(self.epsilon), self.lower, self.upper)
        return certified_share(network, split, threat, INTERVAL, seed)
