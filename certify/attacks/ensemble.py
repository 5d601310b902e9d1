"""The worst of several attacks: one surrogate's gradient hides what another's finds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...models.surrogates import Arctan, Sigmoid, Triangle
from .base import Attack, Target
from .gaussian import Gaussian
from .pgd import FGSM, PGD


def _members() -> tuple[Attack, ...]:
    surrogates = (None, Triangle(0.5), Triangle(2.0), Sigmoid(0.25), Arctan(1.0))
    losses = ("cross-entropy", "margin")
    own = tuple(PGD(steps=20, restarts=2, loss=loss) for loss in losses)
    others = tuple(
        PGD(steps=10, restarts=1, loss=loss, surrogate=surrogate)
        for surrogate in surrogates[1:]
        for loss in losses
    )
    return (FGSM(), Gaussian(), *others, *own)


@dataclass(frozen=True)
class Ensemble(Attack):
    """Runs each member on the samples that still stand.

    Args:
        members: attacks; default FGSM, noise, and PGD over five surrogates and two losses.
    """

    members: tuple[Attack, ...] = field(default_factory=_members)
    name: str = "ensemble"

    def propose(self, target: Target, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield each member's worst inputs; fallen samples keep theirs."""
        worst = target.inputs.clone()
        standing = torch.ones(len(worst), dtype=torch.bool, device=worst.device)
        for member in self.members:
            result = member(
                target.network,
                target.inputs[standing],
                target.labels[standing],
                target.perturbation,
                generator,
            )
            worst[standing] = result.inputs
            standing[standing.clone()] = ~result.success
            yield worst
            if not bool(standing.any()):
                return
