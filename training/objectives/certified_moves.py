"""Bounds in the loss of a network whose outputs are numbers: how far an output can move over the ball.

Bounds over sets of events in the loss: cross-entropy of the worst logits when events come, go or move.

Bounds in the loss: cross-entropy of the worst logits over the ball, so that certificates grow in training.

Sets of events as training bounds them: ends of each entry, and how much may change at one step.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify import LInf
from ...certify.perturbations import EventChange, SpikeFlip, SpikeShift
from ...certify.verifiers import TRAINS
from ...models.constants import nonnegative, real, settle, share
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..bounds.interval_bounds import BOUNDS, output_ends, worst_logits
from ..bounds.spike_ends import EventBall
from ..data import Split
from ..evaluation import CertifiedErrors
from ..perturbations import SingleStep
from ..perturbations.base import settle_range
from .base import Loss, Objective, Weight, as_share, as_weight, full, rising
from .judging import bounded_share, certified_errors, certified_share


@dataclass(frozen=True)
class CertifiedMoves(Objective):
    """L = the mean of max(0, m_j − δ)², m_j ≥ |f_j(x̃) − f_j(x)| for every x̃ in the ball of radius ε.

    It learns no targets: add it to a loss that does, as in `MSE() + 2.0 * CertifiedMoves(0.02, delta=0.1)`. ε
    rises linearly from 0 over the first `ramp` of the run, or follows a schedule of its own. `fit` picks the epoch
    of the least certified error: what the root of the mean squared error can be at most, each output at its worst
    over the ball, by "trains".

    Args:
        epsilon: ε ≥ 0, of the ℓ∞ ball, or a schedule.
        delta: δ ≥ 0, in units of the outputs: what may be moved for nothing.
        bounds: as in `CertifiedLoss`.
        ramp: the share of the run, in [0, 1], over which ε rises where it is a number.
        lower, upper: the range of valid inputs.

    Raises:
        ValueError: for a number outside its range, or unknown bounds.
    """

    targets: ClassVar[str] = "numbers"

    epsilon: Weight = 0.05
    delta: float = 0.1
    bounds: str = "trains"
    ramp: float = 0.5
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, as_weight, "epsilon")
        settle(self, nonnegative, "delta")
        check_choice("bounds", self.bounds, BOUNDS)
        settle(self, share, "ramp")
        settle_range(self)

    def at(self, progress: float) -> Self:
        """Return this loss with the ε of that moment."""
        return replace(self, epsilon=rising(self.epsilon, self.ramp).at(progress), ramp=0.0)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss at full ε, with "moves" (the mean of the bounds m_j) and "epsilon"."""
        radius = full(self.epsilon)
        own = network(inputs)
        ends = output_ends(
            network, (inputs - radius).clamp_min(self.lower), (inputs + radius).clamp_max(self.upper), self.bounds
        )
        moves = (ends.upper - own).maximum(own - ends.lower)
        total = (moves - self.delta).clamp_min(0).square().mean()
        told = {"certified": total.detach(), "moves": moves.detach().mean()}
        return Loss(total, {**told, "epsilon": total.new_tensor(radius)})

    def certified_errors(self, network: SpikingNetwork, split: Split, seed: int) -> CertifiedErrors | None:
        """Return what is proven of the first samples of `split` at full ε."""
        return certified_errors(network, split, LInf(full(self.epsilon), self.lower, self.upper), self.delta)


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


@dataclass(frozen=True)
class CertifiedEvents(Objective):
    """L = (1−κ)·CE(f(x), y) + κ·ℓ_q(z, y),  z_k ≥ f_k(x̃) − f_y(x̃) for every recording x̃ of a set; z_y = 0.

    The set is one of flips, of moves, or of both. Of the first layer's currents each step's worst ones are taken:
    those of the budget's greatest weights. Where bounds are of sums over time, by "windows" and without leak by
    "prefix", one budget is shared by all steps, and an event that moves counts once: this is exact for prefix
    sums of events that flip or add up. From there bounds go on as in `CertifiedLoss`, and ℓ_q is that of it. They
    pay no rounding: what is proved is for `verify` to say.

    Budget and κ rise linearly from 0 over the first `ramp` of the run, or follow schedules of their own; between
    two whole budgets bounds lie on a straight line. Where all events may move, the range of each entry grows.
    `fit` picks the epoch with the most validation samples (of the first 1,000) that "trains" certifies on the
    whole set.

    Args:
        threat: a `SpikeFlip`, a `SpikeShift` or an `EventChange`. A budget of steps in all counts each move as one
            step here, and is exact in `verify`.
        bounds: "interval", "trains", "windows" or "prefix", as of `CertifiedLoss`; for events over time "trains"
            is "interval".
        weight: κ ∈ [0, 1], or a schedule.
        ramp: the share of the run, in [0, 1], over which budget and κ rise where they are numbers.
        share: of the budget, in [0, 1], or a schedule.
        q: of ℓ_q, in [0, 1].
        margin: of bounds "prefix", as a share of each threshold, ≥ 0: a spike that less than this decides counts
            as open. A small one (.01) leaves room for the rounding that a proof pays.

    Raises:
        TypeError: for another set.
        ValueError: for a number outside its range, or unknown bounds.

    >>> from spikecert import SpikeFlip
    >>> CertifiedEvents(SpikeFlip(4), ramp=0.5).at(0.25).share
    0.5

    References: liang2022toward, gowal2018effectiveness, zhang2018generalized
    """

    threat: Threat
    bounds: str = "interval"
    weight: Weight = 0.5
    ramp: float = 0.5
    share: Weight = 1.0
    q: float = 0.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        if type(self.threat) not in (SpikeFlip, SpikeShift, EventChange):
            got = type(self.threat).__name__
            raise TypeError(f"threat: got {got}, expected a SpikeFlip, a SpikeShift or an EventChange")
        check_choice("bounds", self.bounds, BOUNDS)
        settle(self, as_share, "weight", "share")
        settle(self, share, "ramp", "q")
        settle(self, nonnegative, "margin")
        if self.margin and self.bounds != "prefix":
            raise ValueError(
                f'margin: got {self.margin:g} with bounds {self.bounds!r}, expected 0, or bounds "prefix"'
            )

    def at(self, progress: float) -> Self:
        """Return this loss with the share of the budget and the weight of that moment."""
        part, weight = (rising(value, self.ramp).at(progress) for value in (self.share, self.weight))
        return replace(self, share=part, weight=weight, ramp=0.0)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss at full budget and weight, with "clean", "certified" (ℓ_q of the bound) and "share".

        Raises:
            ValueError: for inputs, or a network, that the set is not about.
        """
        weight, part = full(self.weight), full(self.share)
        worst = worst_of_events(network, inputs, labels, self.threat, self.bounds, part, self.margin)
        certified = bounded(worst, labels, self.q)
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight < 1.0):
            clean = cross_entropy(network(inputs), labels)
        total = (1.0 - weight) * clean + weight * certified
        told = {"clean": clean.detach(), "certified": certified.detach()}
        return Loss(total, {**told, "share": total.new_tensor(part)})

    def robust_accuracy(self, network: SpikingNetwork, split: Split, seed: int) -> float:
        """Return the share of the first samples of `split` that "trains" certifies on the whole set."""
        return certified_share(network, split, self.threat, TRAINS, seed)
