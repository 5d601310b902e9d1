"""SA-PGD: projected ascent along a momentum in units of the gradient's own size."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import at_least, settle
from ...models.dynamics import Surrogate
from ..perturbations import L2, RangedSet
from .backward import AdaptiveSharpness, Backward, attack_view
from .base import Attack, Lead, Search, Target, check_climb
from .gradients import LOSSES, climb, differentiate
from .pgd import Checkpoints

LEAST = 1e-12


@dataclass(frozen=True)
class SAPGD(Attack):
    """Stable adaptive projected gradient descent (SA-PGD).

    m ← .5·m + g/mean|g|, q ← .8·q + g²/mean g², x ← P(x + clip(η·m/√q, −η, η)); η = ε at first, and half of it at
    each of auto-PGD's checkpoints. Means are over a sample's features. On ℓ2 balls the step is η along m/√q.

    Args:
        steps: per restart.
        restarts: each from a random point of the set.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: wang2025towards
    """

    steps: int = 100
    restarts: int = 1
    loss: str = "cross-entropy"
    surrogate: Surrogate | Backward | None = AdaptiveSharpness()  # noqa: RUF009 (frozen)
    name: str = "sapgd"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and after each restart."""
        lead, standing = Lead.start(target), target.everyone
        for _ in range(self.restarts):
            view, checkpoints, share = attack_view(target.network, self.surrogate), Checkpoints.of(self.steps), 1.0
            point, kept = target.real_set.sample(target.inputs, generator), _Averages.of(target.inputs)
            for _ in range(self.steps):
                index = standing.nonzero().flatten()
                view.rows.index = index
                labels = target.labels[index]
                slope = differentiate(view, point[index], labels, LOSSES[self.loss], target.ties)
                if lead.note(index, point[index], slope.margins):
                    standing = yield lead.points
                move = share * kept.step(index, slope.gradient, target.real_set, generator)
                point[index] = target.real_set.project(point[index] + move, target.inputs[index])
                if checkpoints.due():
                    share *= 0.5
                    checkpoints.shorten()
            standing = yield point
        yield lead.points


@dataclass
class _Averages:
    """m and q of all samples."""

    momentum: Tensor
    square: Tensor

    @staticmethod
    def of(like: Tensor) -> "_Averages":
        return _Averages(torch.zeros_like(like), torch.zeros_like(like))

    def step(self, index: Tensor, gradient: Tensor, perturbation: RangedSet, generator: torch.Generator) -> Tensor:
        """Return the step of these samples at η = ε; a random one where the gradient vanished."""
        size = gradient.abs().flatten(1).amax(1).view(-1, *[1] * (gradient.dim() - 1))
        unit = gradient / torch.where(size > 0, size, torch.ones_like(size))  # squares neither vanish nor overflow
        self.momentum[index] = 0.5 * self.momentum[index] + unit / _mean(unit.abs())
        self.square[index] = 0.8 * self.square[index] + unit**2 / _mean(unit**2)
        direction = self.momentum[index] / (self.square[index].sqrt() + LEAST)
        climbed = climb(perturbation, direction, generator)
        dead = (direction == 0).flatten(1).all(1).view(-1, *[1] * (direction.dim() - 1))
        whole = dead | isinstance(perturbation, L2)
        return torch.where(whole, climbed, climbed * direction.abs().clamp_max(1.0))


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1).clamp_min(LEAST).view(-1, *[1] * (values.dim() - 1))
