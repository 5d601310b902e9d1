"""Bounds of margins over sets of few moves, event by event (told_apart.py).

Each event of a set that is not proven is tried as the one that is told apart; the one whose worst part is best is
kept, and its parts that are not proven are told apart again, as long as that gains. The least over all parts of
such a cover is a bound.
"""

import torch
from torch import Tensor

from ..bounds.trains.trains import conserved_spikes
from ..perturbations import SpikeShift
from ..problem import Problem
from .told_apart import MovedSets, tells_apart

MOST_EVENTS = 16
"""Of more events, where one of them is says little of what the others do."""

MOST_PARTS = 768
"""So many parts of a sample are bounded at most."""

TOGETHER = 2**20
"""How many numbers the recordings have that are bounded at once."""

GAINED = 0.25
"""Which share of what a margin lacks an event that is told apart must gain, in its worst part."""


def told_apart(problem: Problem, known: Tensor) -> Tensor:
    """Return lower bounds of the columns where all parts are proven so, −inf elsewhere, like `known`.

    Args:
        problem: of some samples.
        known: bounds of their columns.
    """
    found = torch.full_like(known, -torch.inf)
    for index, threat in enumerate([problem.perturbation] * len(known)):
        one = problem.subset(torch.tensor([index], device=problem.labels.device))
        if isinstance(threat, SpikeShift) and tells_apart(threat, one.inputs):
            lower = _PartSearch(one).lower(MovedSets.of(threat, one.inputs), known[index, None])
            found[index] = -torch.inf if lower is None else lower
    return found


class _PartSearch:
    """The search of a problem of one sample.

    Attributes:
        problem: of one sample.
        left: how many parts may still be bounded.
        least: bounds of the columns over what is proven so far, one for each part.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem: Problem = problem
        self.left: int = MOST_PARTS
        self.least: list[Tensor] = []

    def lower(self, sets: MovedSets, known: Tensor) -> Tensor | None:
        """Return the least of each column, (columns,), once all parts are proven; None where they are not.

        Args:
            sets: the one set.
            known: bounds of its columns, (1, columns).
        """
        stack, goal = [(sets, self._worst(known))], self.problem.goal
        while stack:
            parts = self._parts(*stack.pop())
            if parts is None:
                return None
            for some, lower in parts:
                proven = goal.proven(goal.tightened(lower), self.problem.labels.expand(len(lower)))
                proven = goal.holds(proven)
                self.least.append(lower[proven])
                if not bool(proven.all()):
                    stack.append((some.at(~proven), self._worst(lower[~proven])))
        return torch.cat(self.least).amin(0)

    def _parts(self, sets: MovedSets, before: Tensor) -> list[tuple[MovedSets, Tensor]] | None:
        """Return the parts of each set's best event with their bounds; None where that does not pay.

        Args:
            sets: none of which is proven.
            before: their margins' bounds, (n,).
        """
        events = sets.events()
        counts = torch.bincount(events[:, 0], minlength=len(sets))
        groups = sets.parts(events) if int(counts.min()) > 0 and int(counts.max()) <= MOST_EVENTS else []
        self.left -= sum(len(some) for _, some in groups)
        if not groups or self.left < 0 or self.problem.expired():
            return None
        lower = [self._bounds(some) for _, some in groups]
        worst = before.new_full((len(events),), torch.inf)
        for (which, _), bounds in zip(groups, lower, strict=True):
            worst.scatter_reduce_(0, which, self._worst(bounds), "amin")
        best = before.new_full((len(sets),), -torch.inf).scatter_reduce_(0, events[:, 0], worst, "amax")
        if not bool((best >= (1.0 - GAINED) * before.clamp_max(0.0)).all()):
            return None
        first = (worst == best[events[:, 0]]) & self._first(worst == best[events[:, 0]], events[:, 0])
        kept = [first[which] for which, _ in groups]
        return [
            (some.at(chosen), bounds[chosen])
            for (_, some), bounds, chosen in zip(groups, lower, kept, strict=True)
            if bool(chosen.any())
        ]

    @staticmethod
    def _first(marked: Tensor, groups: Tensor) -> Tensor:
        """Return which is the first of the `marked` of its group, all (n,); groups rise."""
        places = torch.arange(len(marked)).to(groups)
        least = torch.full((int(groups.max()) + 1,), len(marked)).to(groups)
        least.scatter_reduce_(0, groups, torch.where(marked, places, len(marked)), "amin")
        return places == least[groups]

    def _bounds(self, sets: MovedSets) -> Tensor:
        """Return lower bounds of the columns over each set, (n, columns)."""
        size = max(1, TOGETHER // sets.recordings[0].numel())
        parts = [sets.at(slice(start, start + size)) for start in range(0, len(sets), size)]
        goal, labels = self.problem.goal, self.problem.labels
        return torch.cat(
            [
                goal.bounds(self.problem.circuit, some.enclosure(), labels.expand(len(some)), conserved_spikes)
                for some in parts
            ]
        )

    def _worst(self, lower: Tensor) -> Tensor:
        return self.problem.goal.least(self.problem.goal.tightened(lower))
