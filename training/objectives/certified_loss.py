"""Bounds in the loss: cross-entropy of the worst logits over the ball, so that certificates grow in training."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify import LInf
from ...certify.problem import Problem
from ...certify.verification import CHUNK
from ...certify.verifiers import TRAINS
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..data import Split
from ..evaluation import on_network
from ..interval_bounds import BOUNDS, worst_logits
from ..perturbations import SingleStep, evaluation_mode
from ..perturbations.base import check_range
from .base import Loss, Objective

JUDGED = 1000
"""The most validation samples that are certified after an epoch."""


@dataclass(frozen=True)
class CertifiedLoss(Objective):
    """L = (1−κ)·CE(f(x), y) + κ·CE(z, y),  z_k ≥ f_k(x̃) − f_y(x̃) for every x̃ in the box; z_y = 0.

    The box is that of the ℓ∞ ball of radius ε around x, or a small one inside it: of radius share·ε around the
    end of an adversarial step of (1−share)·ε. ε and κ rise linearly from 0 over the first `ramp` of the run.
    `fit` picks the epoch with the most validation samples (of the first 1,000) that "trains" certifies at ε.

    Args:
        epsilon: ε ≥ 0.
        bounds: "interval" (per-step interval propagation, the published S-IBP loss), or "trains": also the exact
            trains of hard-reset LIF neurons behind a constant current, intervals elsewhere.
        weight: κ ∈ [0, 1].
        ramp: the share of the run, in [0, 1], over which ε and κ rise.
        small_box: share ∈ (0, 1]; 1 is the whole ball.
        lower, upper: the range of valid inputs.

    Raises:
        ValueError: for a number outside its range or unknown bounds.

    >>> CertifiedLoss(epsilon=0.1, ramp=0.5).at(0.25).epsilon
    0.05

    References: liang2022toward, gowal2018effectiveness, mueller2023certified
    """

    epsilon: float = 0.05
    bounds: str = "interval"
    weight: float = 0.5
    ramp: float = 0.5
    small_box: float = 1.0
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ValueError(f"epsilon: got {self.epsilon!r}, expected a finite number of at least 0")
        check_choice("bounds", self.bounds, BOUNDS)
        for name in ("weight", "ramp"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: got {getattr(self, name)!r}, expected a number in [0, 1]")
        if not 0.0 < self.small_box <= 1.0:
            raise ValueError(f"small_box: got {self.small_box!r}, expected a number in (0, 1]")
        check_range(self.lower, self.upper)

    def at(self, progress: float) -> "CertifiedLoss":
        """Return this loss with the ε and the weight of that moment."""
        risen = 1.0 if progress >= self.ramp else progress / self.ramp
        return replace(self, epsilon=risen * self.epsilon, weight=risen * self.weight, ramp=0.0)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss at full ε and weight, with the terms "clean" and "certified" (cross-entropies)."""
        clean = cross_entropy(network(inputs), labels)
        worst = worst_logits(network, *self._box(network, inputs, labels, generator), labels, self.bounds)
        certified = cross_entropy(worst, labels)
        total = (1.0 - self.weight) * clean + self.weight * certified
        return Loss(total, {"clean": clean.detach(), "certified": certified.detach()})

    def _box(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Return the ends of the box, inside the ball."""
        radius = self.small_box * self.epsilon
        if self.small_box < 1.0:
            step = SingleStep(self.epsilon - radius, lower=self.lower, upper=self.upper)
            inputs = step(network, inputs, labels, generator)
        return (inputs - radius).clamp_min(self.lower), (inputs + radius).clamp_max(self.upper)

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float:
        """Return the share of the first samples of `split` that "trains" certifies at ε."""
        inputs, labels = on_network(network, split.take(torch.arange(min(JUDGED, len(split)))))
        threat = LInf(self.epsilon, self.lower, self.upper)
        verdicts = []
        with evaluation_mode(network):
            for part in zip(inputs.split(CHUNK), labels.split(CHUNK), strict=True):
                verdicts += TRAINS.decide(Problem(network, *part, threat, seed, None))
        return sum(verdict.status == "verified" for verdict in verdicts) / len(verdicts)
