"""Flip the events that matter: greedy by gradient, then swaps."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.surrogates import Surrogate
from ...perturbations import Perturbation, SpikeFlip
from ..backward import AttackView, Backward, attack_view
from ..base import Attack, Search, Target
from ..gradients import differentiate, margins_at
from ..lead import Lead
from ..losses import LOSSES, Loss
from ..settings import check_climb

ROUNDS = 64
"""Greedy rounds at most: a greater budget flips several events a round."""


@dataclass(frozen=True)
class SpikeFlips(Attack):
    """Greedy search over event flips, then local search.

    To first order, flipping entry i raises the loss by (1 − 2x_i)·∂loss/∂x_i. Each greedy round tries the
    `trials` best entries by that score in the network and keeps the one of least margin; each swap takes one
    random flip back, scores again, and is kept if the margin falls.

    Args:
        trials: entries tried per round; with as many as a sample has, one flip is searched exhaustively.
        swaps: rounds of local search.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.
    """

    trials: int = 8
    swaps: int = 20
    loss: str = "margin"
    surrogate: Surrogate | Backward | None = None
    name: str = "spike-flip"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (SpikeFlip,)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "trials")
        settle(self, at_least(0), "swaps")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        view, lead = attack_view(target.network, self.surrogate), Lead.start(target)
        index, flips = target.everyone.nonzero().flatten(), torch.zeros_like(target.inputs).flatten(1) > 0
        barred = ~target.flips.free(target.inputs).flatten(1)
        budget = min(target.flips.count, int((~barred).sum(1).max()))
        sizes = [len(part) for part in torch.arange(budget).chunk(ROUNDS)]
        for size in (*sizes, *[0] * self.swaps) if budget else ():
            search = _Round(target, view, index, LOSSES[self.loss], self.trials, barred[index])
            if size:
                flips[index], margins = search.grow(flips[index], size, generator)
            else:
                flips[index], margins = search.swap(flips[index], lead.margins[index], generator)
            if lead.note(index, search.apply(flips[index]), margins):
                standing = yield lead.points
                index = standing.nonzero().flatten()
        yield lead.points


@dataclass(frozen=True)
class _Round:
    """One round of the search on the samples `index`; `flips` and `closed` are (samples, entries) of bool."""

    target: Target
    view: AttackView
    index: Tensor
    loss: Loss
    trials: int
    closed: Tensor

    def apply(self, flips: Tensor) -> Tensor:
        """Return the samples with their flips."""
        samples = self.target.inputs[self.index]
        return torch.where(flips.reshape(samples.shape), 1.0 - samples, samples)

    def grow(self, flips: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Add `size` flips per sample; return the flips and their margins."""
        return self._best(flips, self._scores(flips, flips, generator), size)

    def swap(self, flips: Tensor, margins: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Exchange one random flip for another where that lowers the margin; return the flips and margins."""
        drawn = torch.rand(flips.shape, generator=generator, device=generator.device).to(flips.device)
        victim = torch.where(flips, drawn, -1.0).argmax(1, keepdim=True)
        fewer = flips.scatter(1, victim, False)
        found, lower = self._best(fewer, self._scores(fewer, flips, generator), 1)
        better = lower < margins
        return torch.where(better[:, None], found, flips), torch.where(better, lower, margins)

    def _scores(self, flips: Tensor, barred: Tensor, generator: torch.Generator) -> Tensor:
        """Return the first-order gain of each further flip; −inf for barred ones, noise where no gradient is."""
        points = self.apply(flips)
        self.view.rows.index = self.index
        slope = differentiate(self.view, points, self.target.labels[self.index], self.loss)
        scores = (slope.gradient * (1.0 - 2.0 * points)).flatten(1)
        noise = torch.rand(scores.shape, generator=generator, device=generator.device).to(scores)
        dead = (scores == 0).all(1, keepdim=True)
        return torch.where(dead, noise, scores).masked_fill(barred | self.closed, -torch.inf)

    def _best(self, flips: Tensor, scores: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Try groups of `size` flips in the order of their scores; return the group of least margin."""
        entries = min(self.trials * size, max(size, int((scores[0] > -torch.inf).sum())))
        groups = max(1, entries // size)
        best = scores.topk(groups * size, dim=1)
        chosen, free = (part.unflatten(1, (groups, size)) for part in (best.indices, best.values > -torch.inf))
        tried = flips[:, None] | torch.zeros_like(flips)[:, None].repeat(1, groups, 1).scatter(2, chosen, free)
        samples = self.target.inputs[self.index].repeat_interleave(groups, 0)
        points = torch.where(tried.reshape(samples.shape), 1.0 - samples, samples)
        labels = self.target.labels[self.index].repeat_interleave(groups, 0)
        margins = margins_at(self.target.network, points, labels, self.target.ties).unflatten(0, (-1, groups))
        least = margins.min(1)
        return tried[torch.arange(len(tried), device=tried.device), least.indices], least.values
