"""Gradient ascent on a loss: one step (FGSM) or many, projected (PGD)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.surrogates import Surrogate
from .base import Attack, Target
from .gradients import LOSSES, attack_view, input_gradient


@dataclass(frozen=True)
class FGSM(Attack):
    """One step of length ε from the sample (Goodfellow et al., 2015)."""

    loss: str = "cross-entropy"
    surrogate: Surrogate | None = None
    name: str = "fgsm"

    def propose(self, target: Target, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield x + ε·ascent(∇loss(x))."""
        view = attack_view(target.network, self.surrogate)
        gradient = input_gradient(view, target.inputs, target.labels, LOSSES[self.loss])
        perturbation = target.perturbation
        yield target.inputs + perturbation.epsilon * perturbation.ascent(gradient)


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent (Madry et al., 2018).

    Args:
        steps: per restart.
        restarts: the first from the sample itself, the others from a random point of the set.
        step_size: as a share of ε; default 2.5/steps, at most 1, halved over the last half of the steps.
        loss: "cross-entropy" or "margin".
        surrogate: for the backward pass; None for the network's own.
    """

    steps: int = 20
    restarts: int = 2
    step_size: float | None = None
    loss: str = "cross-entropy"
    surrogate: Surrogate | None = None
    name: str = "pgd"

    def propose(self, target: Target, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield every iterate."""
        view = attack_view(target.network, self.surrogate)
        share = min(1.0, 2.5 / self.steps) if self.step_size is None else self.step_size
        perturbation = target.perturbation
        for restart in range(self.restarts):
            current = target.inputs if restart == 0 else perturbation.sample(target.inputs, generator)
            for step in range(self.steps):
                gradient = input_gradient(view, current, target.labels, LOSSES[self.loss])
                length = perturbation.epsilon * share * (0.5 if 2 * step >= self.steps else 1.0)
                moved = current + length * perturbation.ascent(gradient)
                current = perturbation.project(moved, target.inputs)
                yield current
