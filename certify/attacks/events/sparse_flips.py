"""SDA: find flips that help by finite differences, then take back those that were not needed."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.surrogates import Surrogate
from ...perturbations import Perturbation, SpikeFlip
from ..backward import AttackView, Backward, PotentialDependent, attack_view
from ..base import Attack, Search, Target
from ..gradients import differentiate, margins_at
from ..losses import LOSSES
from ..settings import check_climb

AT_ONCE = 4096
"""Recordings that run at once."""


@dataclass(frozen=True)
class SparseFlips(Attack):
    """The sparse dynamic attack (SDA): as few flips as it can, whatever the budget is.

    Round n tries the n·k entries whose gradients help most, each by itself, and keeps those that lower the margin
    against what is flipped already. Once a sample fails, flips are taken back, the least helpful first, as many at
    once as bisection finds that it still fails. With `SpikeFlip` of as many flips as there are entries it is a
    minimal attack: what it returns fails by few flips.

    Args:
        first: k, the entries tried in the first round.
        rounds: at most.
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.

    References: lun2025towards
    """

    first: int = 10
    rounds: int = 20
    surrogate: Surrogate | Backward | None = PotentialDependent()  # noqa: RUF009 (frozen)
    name: str = "sparse-flip"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (SpikeFlip,)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "first", "rounds")
        check_climb("margin", self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield what fails by the fewest flips found, or the most helpful flips that the budget allows."""
        search = _Sparse.of(target, attack_view(target.network, self.surrogate))
        for n in range(1, self.rounds + 1):
            index = search.standing()
            if not len(index) or target.expired():
                break
            search.grow(index, n * self.first, generator)
        search.reduce()
        yield search.points(search.helpful(target.flips.count), torch.arange(len(target.inputs)))


@dataclass(frozen=True)
class _Sparse:
    """Flips of each sample, (batch, entries) of bool, and what each lowered the margin by, +0 where none is."""

    target: Target
    view: AttackView
    closed: Tensor
    flips: Tensor
    gains: Tensor

    @staticmethod
    def of(target: Target, view: AttackView) -> "_Sparse":
        closed = ~target.flips.free(target.inputs).flatten(1)
        return _Sparse(
            target, view, closed, torch.zeros_like(closed), torch.zeros_like(closed, dtype=torch.float64)
        )

    def points(self, flips: Tensor, index: Tensor) -> Tensor:
        """Return samples with flips."""
        samples = self.target.inputs[index]
        return torch.where(flips.reshape(samples.shape), 1.0 - samples, samples)

    def margins(self, flips: Tensor, index: Tensor) -> Tensor:
        """Return their margins."""
        parts = zip(flips.split(AT_ONCE), index.split(AT_ONCE), strict=True)
        labels, ties = self.target.labels, self.target.ties
        return torch.cat([margins_at(self.target.network, self.points(f, i), labels[i], ties) for f, i in parts])

    def standing(self) -> Tensor:
        """Return the samples that do not fail yet and have entries left."""
        everyone = torch.arange(len(self.flips), device=self.flips.device)
        left = ~(self.closed | self.flips).all(1)
        return everyone[left & (self.margins(self.flips, everyone) > 0)]

    def grow(self, index: Tensor, count: int, generator: torch.Generator) -> None:
        """Try `count` more flips of each of these samples, and keep those that help."""
        flips, scores = self.flips[index], self._scores(index, generator)
        count = min(count, scores.shape[1])
        best = scores.topk(count, dim=1)
        tried = flips.repeat_interleave(count, 0).scatter(1, best.indices.reshape(-1, 1), True)
        margins = self.margins(tried, index.repeat_interleave(count)).view(-1, count)
        gained = (self.margins(flips, index)[:, None] - margins).double()
        helps = (gained >= 0) & (best.values > -torch.inf)
        self.flips[index] = flips.scatter(1, best.indices, helps | flips.gather(1, best.indices))
        known = self.gains[index]
        self.gains[index] = known.scatter(
            1, best.indices, torch.where(helps, gained, known.gather(1, best.indices))
        )

    def _scores(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Return what each further flip promises; noise below all that where a gradient says nothing."""
        points = self.points(self.flips[index], index)
        self.view.rows.index = index
        slope = differentiate(self.view, points, self.target.labels[index], LOSSES["margin"]).gradient
        scores = (slope * (1.0 - 2.0 * points)).flatten(1).clamp_min(0.0)
        noise = torch.rand(scores.shape, generator=generator, device=generator.device).to(scores)
        least = torch.where(scores > 0, scores, torch.inf).amin(1, keepdim=True).clamp_max(1.0)
        scores = torch.where(scores > 0, scores, noise * least)
        return scores.masked_fill(self.closed[index] | self.flips[index], -torch.inf)

    def reduce(self) -> None:
        """Take back the least helpful flips of samples that fail: as many as bisection finds to be needless."""
        index = torch.arange(len(self.flips), device=self.flips.device)
        index = index[(self.margins(self.flips, index) <= 0) & self.flips.any(1)]
        if not len(index):
            return
        rank = torch.where(self.flips[index], self.gains[index], -torch.inf).argsort(1, descending=True).argsort(1)
        needed, most = torch.zeros_like(index), self.flips[index].sum(1)
        while bool((most - needed > 1).any()):
            middle = (needed + most) // 2
            fails = self.margins(rank < middle[:, None], index) <= 0
            needed, most = torch.where(fails, needed, middle), torch.where(fails, middle, most)
        self.flips[index] = rank < most[:, None]

    def helpful(self, count: int) -> Tensor:
        """Return the flips, no more than `count` a sample, the most helpful ones."""
        rank = torch.where(self.flips, self.gains, -torch.inf).argsort(1, descending=True).argsort(1)
        return self.flips & (rank < count)
