"""Events that move and events that flip: how far a weighted sum of events can move when both may happen.

Let y be a recording whose events moved within one budget, and x̃ one that differs from y in entries within another.
Then Σ w·x̃ = Σ w·y + Σ w·(x̃ − y), and the second sum is over flips of y. What y is at an entry is not known, so an
entry may change either way where y may be 0 and 1. Hence rises and falls add up,

    Σ w·x̃ − Σ w·x ≤ (rise by moves) + (rise by flips of any y),

and each of both bounds pays its own rounding; their sum adds one rounding, which is paid here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .flips import Budget, Changes, Flips, Heaviest
from .moved_events import Shifts

UP = 1.0 + 4 * torch.finfo(torch.float64).eps
"""Pays for the sum of two bounds."""


@dataclass(frozen=True)
class Summed(Budget):
    """Events move within `shifts`, and entries of what they become flip within `flips`."""

    shifts: Shifts
    flips: Flips

    def moved(self, change: Callable[[Tensor], Tensor]) -> "Summed":
        """Return the budget with both parts changed."""
        return Summed(self.shifts.moved(change), self.flips.moved(change))

    def of_rows(self, rows: Tensor) -> "Summed":
        """Return the budget that remembers `rows`."""
        return Summed(self.shifts.of_rows(rows), self.flips.of_rows(rows))

    def by_row(self) -> Iterator["Summed"]:
        """Yield the budget of each row."""
        pairs = zip(self.shifts.by_row(), self.flips.by_row(), strict=True)
        return (replace(self, shifts=shifts, flips=flips) for shifts, flips in pairs)

    @property
    def _marks(self) -> Tensor:
        return self.flips.direction

    def heaviest(self, changes: Changes) -> Heaviest:
        """Return those of the flips, two, and those of the moves."""
        return (*self.flips.heaviest(changes), *self.shifts.heaviest(changes))

    def reach_of(self, heaviest: Heaviest) -> tuple[Tensor, Tensor]:
        """Return fall and rise, each (k, batch, outputs)."""
        parts = self.shifts.reach_of(heaviest[2:]), self.flips.reach_of(heaviest[:2])
        fall, rise = (one + other for one, other in zip(*parts, strict=True))
        return fall * UP, rise * UP

    def least(self, costs: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Return a lower bound of Σ costs·x̃, and the moved events with the best flips: near the least, at best.

        Σ costs·x̃ ≥ (least over moves) + (least change by flips), the latter with no events underneath.
        """
        moved, inputs = self.shifts.least(costs, events)
        changed, flips = self.flips.least(costs, torch.zeros_like(events))
        return moved + changed, inputs + flips
