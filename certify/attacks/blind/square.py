"""The Square attack: random search without gradients."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ...perturbations import L2, RangedSet
from ...perturbations.shapes import lengths, unit
from ..base import Attack, Search, Target
from ..gradients import margins_at
from ..lead import Lead
from ..settings import some_share
from .patches import patches, signs, stripes

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After how many of 10,000 queries the share of features that one query changes is halved."""


@dataclass(frozen=True)
class Square(Attack):
    """Square (Andriushchenko et al., 2020): changes one random square at a time, keeps what lowers the margin.

    Box sets: the square goes to ± the radius, one sign per channel. ℓ2: a square gives its share of the budget
    to another. All samples advance together, each with its own squares. Inputs that are no images (fewer than
    three axes per sample) get random sets of features in place of squares.

    Args:
        queries: network runs per sample.
        share: of the features, changed by one query at first.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: andriushchenko2020square
    """

    queries: int = 1000
    share: float = 0.8
    name: str = "square"
    by_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "queries")
        settle(self, some_share, "share")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        perturbation, lead = target.real_set, Lead.start(target)
        index = target.everyone.nonzero().flatten()
        for query in range(self.queries):
            samples, best = target.inputs[index], lead.points[index]
            if query == 0 and target.starts is not None:
                moved = target.starts
            elif query == 0:
                pattern = stripes(samples, generator).expand_as(samples)  # of ± the radius, or the ball's length
                moved = samples + _extent(perturbation, samples) * perturbation.ascent(pattern)
            else:
                halvings = sum(query / self.queries * 10_000 > bar for bar in HALVINGS)
                mask = patches(samples, self.share / 2**halvings, generator)
                moved = _move(best, samples, mask, perturbation, generator)
            moved = perturbation.project(moved, samples)
            if lead.note(index, moved, margins_at(target.network, moved, target.labels[index], target.ties)):
                standing = yield lead.points
                index = standing.nonzero().flatten()
        yield lead.points


def _move(
    best: Tensor, samples: Tensor, mask: Tensor, perturbation: RangedSet, generator: torch.Generator
) -> Tensor:
    if isinstance(perturbation, L2):
        return _move_budget(best - samples, samples, mask, perturbation, generator)
    return torch.where(mask, samples + _extent(perturbation, samples) * signs(samples, generator), best)


def _move_budget(
    step: Tensor, samples: Tensor, mask: Tensor, perturbation: L2, generator: torch.Generator
) -> Tensor:
    """Take the step's length within `mask` and a second patch, and what is left of ε, and spend it within `mask`.

    The new part points along its old direction plus a random pattern, as in the paper; the pattern is flat,
    where the paper's is a pyramid.
    """
    share = float(mask[0].float().mean())
    donor = patches(samples, share, generator) & ~mask
    zero = torch.zeros_like(step)
    kept = torch.where(mask | donor, zero, step)
    pattern = torch.where(mask, signs(samples, generator).expand_as(step), zero)
    direction = unit(unit(pattern) + unit(torch.where(mask, step, zero)))
    reach = min(perturbation.extent, torch.finfo(step.dtype).max ** 0.5 / 2)  # its square is finite
    budget = (reach**2 - lengths(kept) ** 2).clamp_min(0.0).sqrt()
    return samples + kept + budget * direction


def _extent(perturbation: RangedSet, like: Tensor) -> Tensor | float:
    extent = perturbation.extent
    return extent.to(like) if isinstance(extent, Tensor) else extent
