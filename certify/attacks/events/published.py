"""Attacks on events as others published them: SDA and PIL.

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
from ..gradients import LOSSES, differentiate, margins_at

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
        """Return the search before its first flip."""
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
        """Return logits near 0, drawn; −∞ where an event may not go."""
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
