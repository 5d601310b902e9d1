"""Gradient ascent on a loss: one step (FGSM) or many, projected (PGD)."""

from dataclasses import dataclass

import torch

from ...models.constants import at_least, positive, settle, unless_none
from ...models.surrogates import Surrogate
from ...models.validation import check_choice
from .backward import Backward, attack_view
from .base import Attack, Lead, Search, Target, check_climb
from .gradients import climb, differentiate
from .losses import LOSSES

ITERATES = ("worst", "last")


@dataclass(frozen=True)
class FGSM(Attack):
    """One step across the set from the sample (Goodfellow et al., 2015).

    Args:
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.
    """

    loss: str = "cross-entropy"
    surrogate: Surrogate | Backward | None = None
    name: str = "fgsm"

    def __post_init__(self) -> None:
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield x + ε·ascent(∇loss(x))."""
        view = attack_view(target.network, self.surrogate)
        slope = differentiate(view, target.inputs, target.labels, LOSSES[self.loss])
        yield target.inputs + climb(target.real_set, slope.gradient, generator)


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent (Madry et al., 2018).

    Args:
        steps: per restart.
        restarts: the first from the sample itself, the others from a random point of the set.
        random_start: let the first restart begin at a random point, too.
        iterate: "worst" keeps the iterate of least margin, "last" the last of each restart, as papers do.
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
    surrogate: Surrogate | Backward | None = None
    halve: bool = True
    random_start: bool = False
    iterate: str = "worst"
    name: str = "pgd"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        check_choice("iterate", self.iterate, ITERATES)
        settle(self, unless_none(positive), "step_size")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst iterates: whenever a sample falls, and after each restart; or only the last ones."""
        view, samples = attack_view(target.network, self.surrogate), target.inputs
        lead, standing = Lead.start(target), target.everyone
        for restart in range(self.restarts):
            near = restart == 0 and not self.random_start
            current = samples.clone() if near else target.real_set.sample(samples, generator)
            for step in range(self.steps):
                index = standing.nonzero().flatten()
                view.rows.index = index
                slope = differentiate(view, current[index], target.labels[index], LOSSES[self.loss], target.ties)
                if self.iterate == "worst" and lead.note(index, current[index], slope.margins):
                    standing = yield lead.points
                share = min(1.0, 2.5 / self.steps) if self.step_size is None else self.step_size
                share *= 0.5 if self.halve and 2 * step >= self.steps else 1.0
                move = share * climb(target.real_set, slope.gradient, generator)
                current[index] = target.real_set.project(current[index] + move, samples[index])
            standing = yield current
        if self.iterate == "worst":
            yield lead.points

    @staticmethod
    def published(steps: int = 7, step_size: float = 2.55 / 8, name: str = "pgd-paper") -> "PGD":
        """Return PGD as papers run it: one random start, steps of one size, and the last iterate."""
        return PGD(steps, 1, step_size, halve=False, random_start=True, iterate="last", name=name)
