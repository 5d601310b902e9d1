"""Attacks that flip events: greedy ones by gradient, SDA and PIL.

SDA: find flips that help by finite differences, then take back those that were not needed.

PIL: logits over the moves of each event, softened on the way back and projected on the way forward.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, positive, settle
from ....models.dynamics import Surrogate
from ...perturbations import Perturbation, SpikeFlip, SpikeShift
from ...perturbations.base import expand, normal
from ..backward import AttackView, Backward, PotentialDependent, attack_view
from ..base import Attack, Lead, Search, Target, check_climb
from ..gradients import LOSSES, Loss, differentiate, margins_at

ROUNDS = 64
"""Greedy rounds at most: a greater budget changes several events a round."""


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


FIRST = 1e-3
"""How far logits are from 0 at first: who moves first is left to chance."""


@dataclass(frozen=True)
class ProjectedLogits(Attack):
    """Projected-in-the-loop retiming (PIL, arXiv:2602.03284).

    Each event e at step t has a logit φ_e(o) for each move o, staying (o = 0) included, and p_e = softmax(φ_e/τ).
    The network runs on the projection x̂ of the moves of greatest φ_e(o) − φ_e(0) > 0 that the budgets pay for and
    that events have room for; back goes the soft input Σ_e p_e(o) at t + o: with g = ∂loss/∂x̂,

        ∂loss/∂φ_e(o) = p_e(o)·(g[t + o] − Σ_o' p_e(o')·g[t + o'])/τ,

    and φ climbs by `rate` times this in units of its greatest entry. Every x̂ is allowed: no penalty is needed for
    budgets, and none is paid for what a projection would undo at the end.

    Args:
        steps: per restart.
        restarts: each from other first logits.
        rate: how far the greatest logit moves in a step.
        temperature: τ.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.
    """

    steps: int = 40
    restarts: int = 1
    rate: float = 0.5
    temperature: float = 1.0
    loss: str = "margin"
    surrogate: Surrogate | Backward | None = None
    name: str = "pil"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (SpikeShift,)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "steps", "restarts")
        settle(self, positive, "rate", "temperature")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        threat = target.shifts
        if not threat.reach or not threat.most or not bool(threat.layers(target.inputs).any()):
            return
        view, lead = attack_view(target.network, self.surrogate), Lead.start(target)
        index, loss = target.everyone.nonzero().flatten(), LOSSES[self.loss]
        for _ in range(self.restarts):
            logits = _Logits.start(target, generator)
            for _ in range(self.steps):
                points = logits.projected(index)
                view.rows.index = index
                slope = differentiate(view, points, target.labels[index], loss, target.ties)
                logits.climb(index, slope.gradient, self.rate, self.temperature)
                if lead.note(index, points, slope.margins):
                    standing = yield lead.points
                    index = standing.nonzero().flatten()
            yield lead.points


@dataclass(frozen=True)
class _Logits:
    """φ of all samples, (marks, batch, T, ..., 1 + moves): staying first; −∞ where an event may not go."""

    target: Target
    values: Tensor

    @staticmethod
    def start(target: Target, generator: torch.Generator) -> "_Logits":
        threat, inputs = target.shifts, target.inputs
        layers = threat.layers(inputs)
        allowed = _ahead(threat, torch.zeros_like(inputs)).isfinite()
        noise = FIRST * normal(inputs.new_zeros(*layers.shape, allowed.shape[-1]), generator)
        return _Logits(target, torch.where(allowed, noise, -torch.inf))

    def projected(self, index: Tensor) -> Tensor:
        """Return the samples with the moves that their logits call for, within all budgets."""
        threat, inputs = self.target.shifts, self.target.inputs[index]
        stay, moves = self.values[:, index].split([1, self.values.shape[-1] - 1], -1)
        best = moves.max(-1)
        calls = best.values - stay.squeeze(-1)
        layers = threat.layers(self.target.inputs)[:, index]
        offsets = torch.tensor(threat.offsets(inputs), device=inputs.device)[best.indices]
        return threat.retimed(
            inputs, layers, threat.afforded(torch.where(layers, calls.clamp_min(0.0), 0.0), offsets)
        )

    def climb(self, index: Tensor, gradient: Tensor, rate: float, temperature: float) -> None:
        """Take one step along the gradient of the soft input."""
        values = self.values[:, index]
        shares = (values / temperature).softmax(-1)
        gains = _ahead(self.target.shifts, gradient).masked_fill(values == -torch.inf, 0.0)
        slope = shares * (gains - (shares * gains).sum(-1, keepdim=True))
        marks = self.target.shifts.layers(self.target.inputs)[:, index]
        slope = slope.masked_fill(~marks.unsqueeze(-1), 0.0)
        greatest = slope.abs().transpose(0, 1).flatten(1).amax(1).clamp_min(torch.finfo(slope.dtype).tiny)
        self.values[:, index] = values + rate * slope / expand(greatest, slope[0])


def _ahead(threat: SpikeShift, values: Tensor) -> Tensor:
    """Return values where each event may be, (batch, T, ..., 1 + moves): where it is first."""
    return torch.stack([values, *(threat.at(values, offset) for offset in threat.offsets(values))], -1)
