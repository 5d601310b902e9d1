"""A budget of flipped events: how far a weighted sum of events can move when at most k of them flip.

Let x ∈ {0,1}ⁿ and let x̃ differ from x in at most k entries. A flip of entry i changes Σ w_i·x_i by w_i·d_i, with
the direction d_i = 1 − 2x_i, whatever else flips. So Σ w_i·x̃_i lies in

    Σ w_i·x_i + [−(sum of the k greatest w_i·(−d_i) above 0), sum of the k greatest w_i·d_i above 0],

and both ends are attained. The budget is shared by all steps and features: for Σ_t rows[t]·(W·x[t]) the entries
are pairs (t, i) of weight rows[t]·W_i. Of one step no more than its own k greatest products W_i·d_i (or −W_i·d_i,
under a negative row) can be among the k greatest of all steps. So W is looked at once, and every row only sorts
what is left: (T·k) candidates an output.

Rounding: a candidate rows[t]·(W_i·d_i) carries one rounding, since d_i = ±1, and a sum of m numbers of one sign,
in any order, a relative error of γ_m; each end is widened by that much.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .budgets import Budget, Changes, Heaviest, total


@dataclass(frozen=True)
class Flips(Budget):
    """At most `count` entries of events flip, over all steps and features of a sample.

    Attributes:
        count: k ≥ 1.
        direction: d = 1 − 2x where an entry may flip, 0 where not, float64: shaped like the events.
        rows: what is summed over time, (k, T); None for the events themselves.
        other: −d of entries that may also change the other way, 0 elsewhere; None: none does. Only one of both
            changes of an entry has the sign that is sought, so that no bound counts both.
    """

    count: int
    direction: Tensor
    rows: Tensor | None = None
    other: Tensor | None = None

    def moved(self, change: Callable[[Tensor], Tensor]) -> "Flips":
        """Return the budget with other directions."""
        other = None if self.other is None else change(self.other)
        return replace(self, direction=change(self.direction), other=other)

    @property
    def _directions(self) -> tuple[Tensor, ...]:
        return (self.direction,) if self.other is None else (self.direction, self.other)

    def of_rows(self, rows: Tensor) -> "Flips":
        """Return the budget that remembers `rows`."""
        return replace(self, rows=rows.to(self.direction))

    def by_row(self) -> Iterator["Flips"]:
        """Yield the budget of each row."""
        assert self.rows is not None
        return (replace(self, rows=row) for row in self.rows.split(1))

    @property
    def _marks(self) -> Tensor:
        return self.direction

    def least(self, costs: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least Σ costs·x̃, attained by the flips of the `count` most negative changes."""
        every = torch.stack(self._directions)
        change = (costs * every).movedim(2, 0).flatten(1)
        lowest = (-change).topk(min(self.count, change.shape[1]), dim=1)
        flips = torch.zeros_like(change).scatter(1, lowest.indices, (lowest.values > 0).double())
        flips = flips.unflatten(1, (len(every), len(costs), *costs.shape[2:])).movedim(0, 2)
        inputs = events + (every * flips).sum(0)
        return (costs * inputs).movedim(1, 0).flatten(1).sum(1), inputs

    def heaviest(self, changes: Changes) -> Heaviest:
        """Return the greatest rises and falls of each step."""
        found = torch.cat([changes(direction) for direction in self._directions], -1)
        return self._greatest(found), self._greatest(-found)

    def reach_of(self, heaviest: Heaviest) -> tuple[Tensor, Tensor]:
        """Return fall and rise, each (k, batch, outputs)."""
        assert self.rows is not None
        up, down = heaviest
        falls = [self._sum(row, down, up) for row in self.rows]
        rises = [self._sum(row, up, down) for row in self.rows]
        return torch.stack(falls), torch.stack(rises)

    def _greatest(self, changes: Tensor) -> Tensor:
        return changes.topk(min(self.count, changes.shape[-1])).values.clamp_min(0)

    def _sum(self, row: Tensor, with_row: Tensor, against: Tensor) -> Tensor:
        """Return the `count` greatest of |row[t]|·candidates, summed; a negative row[t] takes the other ones."""
        used = row.nonzero().flatten()
        if len(used) == 0:
            return torch.zeros_like(with_row[0, ..., 0])
        weight = row[used].reshape(-1, *([1] * (with_row.dim() - 1)))
        candidates = torch.where(weight > 0, with_row[used], against[used]) * weight.abs()
        return total(candidates.movedim(0, -1).flatten(-2), self.count)
