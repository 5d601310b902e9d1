"""Gradient ascent on a loss: one step (FGSM) or many, projected (PGD)."""

from dataclasses import dataclass

import torch

from ...models.constants import at_least, positive, settle, unless_none
from ...models.surrogates import Surrogate
from .base import Attack, Search, Target
from .gradients import attack_view, climb, differentiate
from .lead import Lead
from .losses import LOSSES
from .settings import check_climb


@dataclass(frozen=True)
class FGSM(Attack):
    """One step across the set from the sample (Goodfellow et al., 2015).

    Args:
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.
    """

    loss: str = "cross-entropy"
    surrogate: Surrogate | None = None
    name: str = "fgsm"

    def __post_init__(self) -> None:
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield x + ε·ascent(∇loss(x))."""
        view = attack_view(target.network, self.surrogate)
        slope = differentiate(view, target.inputs, target.labels, LOSSES[self.loss])
        yield target.inputs + climb(target.ranged, slope.gradient, generator)


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent (Madry et al., 2018).

    Args:
        steps: per restart.
        restarts: the first from the sample itself, the others from a random point of the set.
        step_size: as a share of ε; default 2.5/steps, at most 1.
        halve: halve the step over the last half of the steps.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        ValueError: for steps or restarts below 1, a step size that is not positive, or an unknown loss.
    """

    steps: int = 20
    restarts: int = 2
    step_size: float | None = None
    loss: str = "cross-entropy"
    surrogate: Surrogate | None = None
    halve: bool = True
    name: str = "pgd"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        settle(self, unless_none(positive), "step_size")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst iterates: whenever a sample falls, and after each restart."""
        view, samples = attack_view(target.network, self.surrogate), target.inputs
        lead, standing = Lead.start(target), target.everyone
        for restart in range(self.restarts):
            current = samples.clone() if restart == 0 else target.ranged.sample(samples, generator)
            for step in range(self.steps):
                index = standing.nonzero().flatten()
                slope = differentiate(view, current[index], target.labels[index], LOSSES[self.loss], target.ties)
                if lead.note(index, current[index], slope.margins):
                    standing = yield lead.points
                move = self._length(step) * climb(target.ranged, slope.gradient, generator)
                current[index] = target.ranged.project(current[index] + move, samples[index])
            standing = yield current
        yield lead.points

    def _length(self, step: int) -> float:
        share = min(1.0, 2.5 / self.steps) if self.step_size is None else self.step_size
        return share * (0.5 if self.halve and 2 * step >= self.steps else 1.0)
