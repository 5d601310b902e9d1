"""Bounds in the loss: cross-entropy of the worst logits over the ball, so that certificates grow in training."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify import LInf
from ...certify.verifiers import TRAINS
from ...models.constants import real, settle, share
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..bounds.interval_bounds import BOUNDS, worst_logits
from ..data import Split
from ..perturbations import SingleStep
from ..perturbations.base import settle_range
from .base import Loss, Objective
from .judging import bounded_share, certified_share
from .schedules import Weight, as_share, as_weight, full, rising

MIXES = ("clean", "attack", "logits")


@dataclass(frozen=True)
class CertifiedLoss(Objective):
    """L = (1−κ)·CE(f(x), y) + κ·ℓ_q(z, y),  z_k ≥ f_k(x̃) − f_y(x̃) for every x̃ in the box; z_y = 0.

    With `mix="attack"` CE stands at an adversarial x̂ of the ball in place of x (MTL-IBP), and with `mix="logits"`
    L = ℓ_q((1−κ)·a + κ·z, y) for a_k = f_k(x̂) − f_y(x̂) (CC-IBP). Small κ then buy accuracy, for verifiers that
    prove more than the loss's bounds do.

    ℓ_q = (1 − p^q)/q for the share p that softmax(z) gives to y; ℓ_0 = CE. It is at most 1/q, and so does not bend
    the network for samples that are out of reach, as cross-entropy does: more is left for the clean accuracy.

    The box is that of the ℓ∞ ball of radius ε around x, or a small one inside it: of radius share·ε around the
    end of an adversarial step of (1−share)·ε. ε and κ rise linearly from 0 over the first `ramp` of the run, or
    follow schedules of their own.
    `fit` picks the epoch with the most validation samples (of the first 1,000) that "trains" certifies at ε; under
    "prefix", that the loss's own bounds hold: they pay no rounding, so what is proved is for `verify` to say.

    Args:
        epsilon: ε ≥ 0, or a schedule.
        bounds: "interval" (per-step interval propagation, the published S-IBP loss); "trains": also the exact
            trains of hard-reset LIF neurons behind a constant current, intervals elsewhere; "windows": hard resets
            in all layers, what they add up between any two steps bounded as one, as the verifier "trains" does;
            or "prefix": what came in and what went out over time, for neurons that subtract. Integrate-and-fire
            neurons (λ = 1) have exact counts, whose bounds do not widen with time; others are never wider than by
            "interval".
        weight: κ ∈ [0, 1], or a schedule.
        ramp: the share of the run, in [0, 1], over which ε and κ rise where they are numbers.
        small_box: share ∈ (0, 1]; 1 is the whole ball.
        lower, upper: the range of valid inputs.
        q: of ℓ_q, in [0, 1].
        mix: what stands beside the bound: "clean", "attack" or "logits".

    Raises:
        ValueError: for a number outside its range, unknown bounds or an unknown mix.

    >>> CertifiedLoss(epsilon=0.1, ramp=0.5).at(0.25).epsilon
    0.05

    References: liang2022toward, gowal2018effectiveness, mueller2023certified, zhang2018generalized,
    depalma2024expressive
    """

    epsilon: Weight = 0.05
    bounds: str = "interval"
    weight: Weight = 0.5
    ramp: float = 0.5
    small_box: float = 1.0
    lower: float = 0.0
    upper: float = 1.0
    q: float = 0.0
    mix: str = "clean"

    def __post_init__(self) -> None:
        settle(self, as_weight, "epsilon")
        check_choice("bounds", self.bounds, BOUNDS)
        check_choice("mix", self.mix, MIXES)
        settle(self, as_share, "weight")
        settle(self, share, "ramp", "q")
        settle(self, real, "small_box")
        if not 0.0 < self.small_box <= 1.0:
            raise ValueError(f"small_box: got {self.small_box!r}, expected a number in (0, 1]")
        settle_range(self)

    def at(self, progress: float) -> Self:
        """Return this loss with the ε and the weight of that moment."""
        epsilon, weight = (rising(value, self.ramp).at(progress) for value in (self.epsilon, self.weight))
        return replace(self, epsilon=epsilon, weight=weight, ramp=0.0)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss at full ε and weight, with "certified" (ℓ_q of the bound), "epsilon" and the other term.

        That is "clean" or "attacked", the cross-entropy.
        """
        weight = full(self.weight)
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight < 1.0):
            logits = network(self._beside(network, inputs, labels, generator))
            beside = cross_entropy(logits, labels)
        worst = worst_logits(network, *self._box(network, inputs, labels, generator), labels, self.bounds)
        certified = bounded(worst, labels, self.q)
        if self.mix == "logits":
            joined = torch.lerp(logits - logits.gather(1, labels[:, None]), worst, weight)
            total = bounded(joined, labels, self.q)
        else:
            total = (1.0 - weight) * beside + weight * certified
        name = "clean" if self.mix == "clean" else "attacked"
        told = {name: beside.detach(), "certified": certified.detach()}
        return Loss(total, {**told, "epsilon": total.new_tensor(full(self.epsilon))})

    def _beside(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return where the other term stands: the inputs, or the end of an adversarial step of ε."""
        if self.mix == "clean":
            return inputs
        step = SingleStep(full(self.epsilon), lower=self.lower, upper=self.upper)
        return step(network, inputs, labels, generator)

    def _box(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Return the ends of the box, inside the ball."""
        radius = self.small_box * full(self.epsilon)
        if self.small_box < 1.0:
            step = SingleStep(full(self.epsilon) - radius, lower=self.lower, upper=self.upper)
            inputs = step(network, inputs, labels, generator)
        return (inputs - radius).clamp_min(self.lower), (inputs + radius).clamp_max(self.upper)

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float:
        """Return the share of the first samples of `split` certified at ε, by "trains" or by "prefix" itself."""
        threat = LInf(full(self.epsilon), self.lower, self.upper)
        if self.bounds == "prefix":
            return bounded_share(network, split, threat, self.bounds)
        return certified_share(network, split, threat, TRAINS, seed)


def bounded(logits: Tensor, labels: Tensor, q: float) -> Tensor:
    """Return the mean of (1 − p^q)/q, p the softmax at the label; of −log p for q = 0."""
    if q == 0.0:
        return cross_entropy(logits, labels)
    return -torch.expm1(-q * cross_entropy(logits, labels, reduction="none")).mean() / q
