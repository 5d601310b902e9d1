"""Bounds in the loss of a network whose outputs are numbers: how far an output can move over the ball."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from ...certify import LInf
from ...models.constants import nonnegative, settle, share
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..bounds.interval_bounds import BOUNDS, output_ends
from ..data import Split
from ..evaluation import CertifiedErrors
from ..perturbations.base import settle_range
from .base import Loss, Objective
from .judging import certified_errors
from .schedules import Weight, as_weight, full, rising


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
