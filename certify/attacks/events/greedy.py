"""Greedy attacks on events: change the ones of greatest gradient, then exchange some; flips, and moves.

A sample is a row of slots, each of which is as it was (0) or changed in one of a few ways: an entry that flips, or
an event that moves by so many steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.dynamics import Surrogate
from ...perturbations import Perturbation, SpikeFlip, SpikeShift
from ...perturbations.base import expand
from ..backward import AttackView, Backward, attack_view
from ..base import Attack, Lead, Search, Target, check_climb
from ..gradients import LOSSES, Loss, differentiate, margins_at

ROUNDS = 64
"""Greedy rounds at most: a greater budget changes several events a round."""

LOUD = 1e6
"""What summed gradients are multiplied with, so that every call for a move is heard."""


@dataclass(frozen=True)
class _Round(ABC):
    """One round of the search on the samples `index`.

    Attributes:
        again: whether a slot that is taken back may change again, in another way.
    """

    target: Target
    view: AttackView
    index: Tensor
    loss: Loss
    trials: int
    again: ClassVar[bool]

    @property
    @abstractmethod
    def ways(self) -> Tensor:
        """Return how a slot may change."""

    @abstractmethod
    def apply(self, states: Tensor) -> Tensor:
        """Return samples with their changes, (samples, slots), or with n tries of each, (samples, n, slots)."""

    @abstractmethod
    def gains(self, points: Tensor, slope: Tensor, generator: torch.Generator) -> Tensor:
        """Return the first-order gain of each slot's changes, (samples, slots, ways); −inf where there is none."""

    def within(self, states: Tensor, sizes: Tensor) -> Tensor:
        """Return which further changes of such sizes, one after the other, the budgets pay for, like `sizes`."""
        return torch.ones_like(sizes, dtype=torch.bool)

    def grow(self, states: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Change `size` slots more per sample; return the changes and their margins."""
        return self._best(states, self._scores(states, states, generator), size)

    def swap(self, states: Tensor, margins: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Exchange one random change for another where that lowers the margin; return changes and margins."""
        drawn = torch.rand(states.shape, generator=generator, device=generator.device).to(states.device)
        victim = torch.where(states != 0, drawn, -1.0).argmax(1, keepdim=True)
        fewer = states.scatter(1, victim, 0)
        found, lower = self._best(fewer, self._scores(fewer, fewer if self.again else states, generator), 1)
        better = lower < margins
        return torch.where(better[:, None], found, states), torch.where(better, lower, margins)

    def _scores(self, states: Tensor, barred: Tensor, generator: torch.Generator) -> Tensor:
        """Return the gains of each further change; −inf for slots that are barred, and for what is not paid."""
        points = self.apply(states)
        self.view.rows.index = self.index
        slope = differentiate(self.view, points, self.target.labels[self.index], self.loss).gradient
        gains = self.gains(points, slope, generator)
        open_ = (barred == 0).unsqueeze(-1) & self.within(states, self.ways.abs()[None, None, :, None]).squeeze(-1)
        return torch.where(open_, gains, -torch.inf)

    def _best(self, states: Tensor, scores: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Try groups of `size` changes in the order of their scores; return the group of least margin."""
        flat, count = scores.flatten(1), scores.shape[-1]
        groups = max(1, min(self.trials, flat.shape[1] // size))
        best = flat.topk(min(groups * size, flat.shape[1]), dim=1)
        place, value = (part.unflatten(1, (groups, -1)) for part in (best.indices, best.values))
        slots, changed, tried = place // count, self.ways[place % count], states[:, None].repeat(1, groups, 1)
        paid = (value > -torch.inf) & self.within(states, changed.abs())
        tried.scatter_(2, slots, torch.where(paid, changed, tried.gather(2, slots)))
        labels = self.target.labels[self.index].repeat_interleave(groups, 0)
        found = margins_at(self.target.network, self.apply(tried), labels, self.target.ties)
        least = found.unflatten(0, (-1, groups)).min(1)
        return tried[torch.arange(len(tried), device=tried.device), least.indices], least.values


def _searched(
    lead: Lead,
    index: Tensor,
    states: Tensor,
    sizes: Sequence[int],
    begin: Callable[[Tensor], _Round],
    generator: torch.Generator,
) -> Search:
    """Yield the worst points: whenever a sample falls, and at the end.

    Args:
        lead: what is known.
        index: the samples that stand.
        states: of all samples.
        sizes: how many slots each round changes more; 0: one is exchanged.
        begin: returns a round on such samples.
        generator: of what is drawn.
    """
    for size in sizes:
        search = begin(index)
        if size:
            states[index], margins = search.grow(states[index], size, generator)
        else:
            states[index], margins = search.swap(states[index], lead.margins[index], generator)
        if lead.note(index, search.apply(states[index]), margins):
            standing = yield lead.points
            index = standing.nonzero().flatten()
    yield lead.points


def _sizes(most: int) -> list[int]:
    """Return how many slots each greedy round changes."""
    return [len(part) for part in torch.arange(most).chunk(ROUNDS)]


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
        flips = torch.zeros_like(target.inputs, dtype=torch.long).flatten(1)
        budget = min(target.flips.count, int(target.flips.free(target.inputs).flatten(1).sum(1).max()))
        sizes = (*_sizes(budget), *[0] * self.swaps) if budget else ()

        def begin(index: Tensor) -> _Round:
            """Return a round."""
            return _Flipping(target, view, index, LOSSES[self.loss], self.trials)

        yield from _searched(lead, target.everyone.nonzero().flatten(), flips, sizes, begin, generator)


@dataclass(frozen=True)
class _Flipping(_Round):
    """Slots are entries, which flip: what is taken back would be the same flip again."""

    again: ClassVar[bool] = False

    @property
    def ways(self) -> Tensor:
        """Return one way: a flip."""
        return torch.ones(1, dtype=torch.long, device=self.index.device)

    def apply(self, states: Tensor) -> Tensor:
        """Return the samples with their flips."""
        tries = states.shape[1] if states.dim() == 3 else 1
        samples = self.target.inputs[self.index].repeat_interleave(tries, 0)
        return torch.where(states.reshape(samples.shape) != 0, 1.0 - samples, samples)

    def gains(self, points: Tensor, slope: Tensor, generator: torch.Generator) -> Tensor:
        """Return what each flip gains; noise where no gradient is."""
        gains = (slope * (1.0 - 2.0 * points)).flatten(1)
        noise = torch.rand(gains.shape, generator=generator, device=generator.device).to(gains)
        gains = torch.where((gains == 0).all(1, keepdim=True), noise, gains)
        free = self.target.flips.free(self.target.inputs)[self.index].flatten(1)
        return gains.masked_fill(~free, -torch.inf).unsqueeze(-1)


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
        layers = threat.layers(target.inputs).transpose(0, 1).flatten(1)
        if not threat.reach or not bool(layers.any()):
            return
        view, lead = attack_view(target.network, self.surrogate), Lead.start(target)
        index = target.everyone.nonzero().flatten()
        for points, margins in self._projected(target, view):
            if lead.note(index, points[index], margins[index]):
                standing = yield lead.points
                index = standing.nonzero().flatten()

        def begin(index: Tensor) -> _Round:
            """Return a round."""
            return _Moving(target, view, index, LOSSES[self.loss], self.trials)

        sizes = (*_sizes(int(min(threat.most, int(layers.sum(1).max())))), *[0] * self.swaps)
        yield from _searched(lead, index, torch.zeros_like(layers, dtype=torch.long), sizes, begin, generator)

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
class _Moving(_Round):
    """Slots are marks of events, which move by steps."""

    again: ClassVar[bool] = True

    @property
    def layers(self) -> Tensor:
        """Return the marks of these samples' events, as many as any sample of the target needs."""
        return self.target.shifts.layers(self.target.inputs)[:, self.index]

    @property
    def ways(self) -> Tensor:
        """Return all moves."""
        return torch.tensor(self.target.shifts.offsets(self.target.inputs), device=self.index.device)

    def apply(self, states: Tensor) -> Tensor:
        """Return the samples with their events moved."""
        tries = states.shape[1] if states.dim() == 3 else 1
        inputs = self.target.inputs[self.index].repeat_interleave(tries, 0)
        layers = self.layers.repeat_interleave(tries, 1)
        offsets = states.reshape(len(inputs), len(layers), *inputs.shape[1:]).transpose(0, 1)
        return self.target.shifts.retimed(inputs, layers, offsets)

    def gains(self, points: Tensor, slope: Tensor, generator: torch.Generator) -> Tensor:
        """Return what each move gains."""
        threat, offsets = self.target.shifts, self.ways.tolist()
        gains = torch.stack([threat.at(slope, o) for o in offsets], -1) - slope.unsqueeze(-1)
        if threat.merge == "refuse":  # where one is another may come once it has gone, in a later round
            taken = torch.stack([threat.at(points, o) > 0 for o in offsets], -1)
            gains = gains.masked_fill(taken, -torch.inf)
        layers = self.layers.transpose(0, 1)
        every = gains.unsqueeze(1).expand(*layers.shape, -1).flatten(1, -2)
        return every.masked_fill(~layers.flatten(1).unsqueeze(-1), -torch.inf)

    def within(self, states: Tensor, sizes: Tensor) -> Tensor:
        """Return which moves the steps that are left pay for."""
        return sizes.cumsum(-1) <= self.target.shifts.left(states).view(-1, *[1] * (sizes.dim() - 1))
