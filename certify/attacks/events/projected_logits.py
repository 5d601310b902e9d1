"""PIL: logits over the moves of each event, softened on the way back and projected on the way forward."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, positive, settle
from ....models.surrogates import Surrogate
from ...perturbations import Perturbation, SpikeShift
from ...perturbations.shapes import expand, normal
from ..backward import Backward, attack_view
from ..base import Attack, Search, Target
from ..gradients import differentiate
from ..lead import Lead
from ..losses import LOSSES
from ..settings import check_climb

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
