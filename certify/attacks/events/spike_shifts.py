"""Move the events that matter: projected gradients, greedy moves by gradient, then swaps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.dynamics import Surrogate
from ...perturbations import Perturbation, SpikeShift
from ...perturbations.base import expand
from ..backward import AttackView, Backward, attack_view
from ..base import Attack, Lead, Search, Target, check_climb
from ..gradients import LOSSES, Loss, differentiate, margins_at
from .spike_flips import ROUNDS

LOUD = 1e6
"""What summed gradients are multiplied with, so that every call for a move is heard."""


@dataclass(frozen=True)
class SpikeShifts(Attack):
    """Projected gradients over retimed events, then a greedy search and local search.

    To first order, moving an event from t to t' raises the loss by ∂loss/∂x[t'] − ∂loss/∂x[t]. First these gains,
    summed over `steps` points, are projected: the moves of the greatest sums that the budgets pay for are made at
    once. Then each greedy round tries the `trials` best single moves in the network and keeps the one of least
    margin; each swap takes one random move back, scores again, and is kept if the margin falls.

    Args:
        steps: projected gradients.
        trials: moves tried per greedy round.
        swaps: rounds of local search.
        loss: "cross-entropy", "margin" or "dlr".
        surrogate: for the backward pass; None for the network's own.

    Raises:
        TypeError, ValueError: for settings out of range.
    """

    steps: int = 10
    trials: int = 8
    swaps: int = 20
    loss: str = "margin"
    surrogate: Surrogate | Backward | None = None
    name: str = "spike-shift"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (SpikeShift,)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "trials")
        settle(self, at_least(0), "steps", "swaps")
        check_climb(self.loss, self.surrogate)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the worst points: whenever a sample falls, and at the end."""
        threat = target.shifts
        if not threat.reach or not bool(threat.layers(target.inputs).any()):
            return
        view, lead = attack_view(target.network, self.surrogate), Lead.start(target)
        index = target.everyone.nonzero().flatten()
        for points, margins in self._projected(target, view):
            if lead.note(index, points[index], margins[index]):
                standing = yield lead.points
                index = standing.nonzero().flatten()
        moves = torch.zeros_like(threat.layers(target.inputs).transpose(0, 1).flatten(1), dtype=torch.long)
        for size in (*_sizes(target), *[0] * self.swaps):
            search = _Moving(target, view, index, LOSSES[self.loss], self.trials)
            if size:
                moves[index], margins = search.grow(moves[index], size)
            else:
                moves[index], margins = search.swap(moves[index], lead.margins[index], generator)
            if lead.note(index, search.apply(moves[index]), margins):
                standing = yield lead.points
                index = standing.nonzero().flatten()
        yield lead.points

    def _projected(self, target: Target, view: AttackView) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield points and their margins: what the gradients so far call for."""
        calls, points = torch.zeros_like(target.inputs), target.inputs
        for _ in range(self.steps):
            view.rows.index = None
            gradient = differentiate(view, points, target.labels, LOSSES[self.loss]).gradient
            greatest = gradient.abs().flatten(1).amax(1).clamp_min(torch.finfo(gradient.dtype).tiny)
            calls = calls + gradient / expand(greatest, gradient)
            points = target.shifts.project(target.inputs + LOUD * calls, target.inputs)
            yield points, margins_at(target.network, points, target.labels, target.ties)


@dataclass(frozen=True)
class _Moving:
    """One round of the search on the samples `index`; moves are (samples, marks of events), in steps."""

    target: Target
    view: AttackView
    index: Tensor
    loss: Loss
    trials: int

    @property
    def layers(self) -> Tensor:
        """Return the marks of these samples' events, as many as any sample of the target needs."""
        return self.target.shifts.layers(self.target.inputs)[:, self.index]

    def apply(self, moves: Tensor) -> Tensor:
        """Return the samples with their events moved; moves may be several tries of each, (samples, n, ...)."""
        tries = moves.shape[1] if moves.dim() == 3 else 1
        inputs = self.target.inputs[self.index].repeat_interleave(tries, 0)
        layers = self.layers.repeat_interleave(tries, 1)
        offsets = moves.reshape(len(inputs), len(layers), *inputs.shape[1:]).transpose(0, 1)
        return self.target.shifts.retimed(inputs, layers, offsets)

    def grow(self, moves: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Add `size` moves per sample; return the moves and their margins."""
        return self._best(moves, self._scores(moves, moves != 0), size)

    def swap(self, moves: Tensor, margins: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Exchange one random move for another where that lowers the margin; return the moves and margins."""
        drawn = torch.rand(moves.shape, generator=generator, device=generator.device).to(moves.device)
        victim = torch.where(moves != 0, drawn, -1.0).argmax(1, keepdim=True)
        fewer = moves.scatter(1, victim, 0)
        found, lower = self._best(fewer, self._scores(fewer, fewer != 0), 1)
        better = lower < margins
        return torch.where(better[:, None], found, moves), torch.where(better, lower, margins)

    def _scores(self, moves: Tensor, moved: Tensor) -> Tensor:
        """Return the first-order gain of each further move, (samples, marks, offsets); −inf for barred ones."""
        threat, inputs = self.target.shifts, self.target.inputs[self.index]
        points = self.apply(moves)
        self.view.rows.index = self.index
        slope = differentiate(self.view, points, self.target.labels[self.index], self.loss).gradient
        offsets = threat.offsets(inputs)
        gains = torch.stack([threat.at(slope, o) for o in offsets], -1) - slope.unsqueeze(-1)
        if threat.merge == "refuse":  # where one is another may come once it has gone, in a later round
            taken = torch.stack([threat.at(points, o) > 0 for o in offsets], -1)
            gains = gains.masked_fill(taken, -torch.inf)
        layers = self.layers.transpose(0, 1)
        free = layers.flatten(1) & ~moved
        every = gains.unsqueeze(1).expand(*layers.shape, -1).reshape(*free.shape, -1)
        sizes = torch.tensor(offsets, device=inputs.device).abs()
        paid = sizes <= threat.left(moves)[:, None, None]
        return torch.where(free.unsqueeze(-1) & paid, every, -torch.inf)

    def _best(self, moves: Tensor, scores: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Try groups of `size` moves in the order of their scores; return the group of least margin."""
        flat, options = scores.flatten(1), scores.shape[-1]
        groups = max(1, min(self.trials, flat.shape[1] // size))
        best = flat.topk(min(groups * size, flat.shape[1]), dim=1)
        place, value = (part.unflatten(1, (groups, -1)) for part in (best.indices, best.values))
        events, tried = place // options, moves[:, None].repeat(1, groups, 1)
        steps = torch.tensor(self.target.shifts.offsets(self.target.inputs), device=moves.device)[place % options]
        paid = steps.abs().cumsum(2) <= self.target.shifts.left(moves)[:, None, None]
        tried.scatter_(2, events, torch.where((value > -torch.inf) & paid, steps, tried.gather(2, events)))
        labels = self.target.labels[self.index].repeat_interleave(groups, 0)
        found = margins_at(self.target.network, self.apply(tried), labels, self.target.ties)
        least = found.unflatten(0, (-1, groups)).min(1)
        return tried[torch.arange(len(tried), device=tried.device), least.indices], least.values


def _sizes(target: Target) -> list[int]:
    """Return how many events each greedy round moves."""
    threat = target.shifts
    events = int(threat.layers(target.inputs).transpose(0, 1).flatten(1).sum(1).max())
    return [len(part) for part in torch.arange(int(min(threat.most, events))).chunk(ROUNDS)]
