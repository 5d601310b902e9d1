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

How far a weighted sum of events can move when a budget of changes is shared by all steps and features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ....models.deadline import check_time

MOST_PRODUCTS = 2**23
"""How many products W_i·x_i are held at once: 64 MiB."""

MOST_KEPT = 2**23
"""How many of the greatest products are kept for further rows."""

Heaviest = tuple[Tensor, ...]
"""The products that can count, whatever the rows, (T, batch, outputs, ·) each."""

Changes = Callable[[Tensor], Tensor]
"""Turns marks of events, (T, batch, ...), into the products of each output, (T, batch, outputs, terms)."""


Sums = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Turns marks of events, (n, ...), into at least Σ max(W_i·x_i, 0) and Σ max(−W_i·x_i, 0), (n, outputs) each."""


class Budget(ABC):
    """What may be changed of events: at most so many of them flip, or move in time.

    Its tensors are shaped like the events: (batch, ...) as a threat model makes them, (T, batch, ...) once time is
    first. A concrete budget bounds linear functions of all events together; bounds hold in exact arithmetic for
    every allowed input, with its own float64 rounding paid.
    """

    @abstractmethod
    def moved(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return the budget with `change` applied to what is shaped like the events: other axes, fewer samples."""

    @abstractmethod
    def of_rows(self, rows: Tensor) -> Self:
        """Return the budget that remembers what is summed over time, Σ_t rows[k,t]·x[t], (k, T)."""

    @abstractmethod
    def by_row(self) -> Iterator[Self]:
        """Yield the budget that remembers each of the rows alone."""

    @abstractmethod
    def heaviest(self, changes: Changes) -> Heaviest:
        """Return the products that can be among the greatest, or their sums.

        Args:
            changes: e ↦ all W_i·e_i[t] of each output.
        """

    @abstractmethod
    def reach_of(self, heaviest: Heaviest) -> tuple[Tensor, Tensor]:
        """Return how far Σ_t rows[k,t]·(W·x[t]) may fall and rise, each (k, batch, outputs) and ≥ 0."""

    @abstractmethod
    def least(self, costs: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Return a lower bound of Σ costs·x̃ over all allowed x̃, (S,), and inputs near which it lies, like `costs`.

        Args:
            costs: (T, S, ...), with marks of the same shape.
            events: the unchanged input x.
        """

    @property
    @abstractmethod
    def _marks(self) -> Tensor:
        """Return one tensor that is shaped like the events."""

    def reach(
        self, products: Callable[[Tensor], Tensor], kept: dict[int, Heaviest], sums: Sums | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return `reach_of`, some samples at a time, each (k, batch, ...).

        Args:
            products: x ↦ all W_i·x_i of each output, (n, ...) → (n, outputs, terms).
            kept: the heaviest products of the samples from each on, of the same events and products whatever the
                rows; what is small is added.
            sums: what is enough to know of the products where all events may change.
        """

        def changes(marks: Tensor) -> Tensor:
            """Return the products, step by step."""
            return products(marks.flatten(0, 1)).unflatten(0, marks.shape[:2])

        steps, batch = self._marks.shape[:2]
        if 0 in kept:
            size = max(1, kept[0][0].shape[1])
        else:
            each = steps * products(torch.ones_like(self._marks[:1, 0])).numel()
            size = max(1, MOST_PRODUCTS // max(1, each))
        found = []
        for start in range(0, max(1, batch), size):
            check_time()
            heaviest = kept.get(start)
            part = self.moved(lambda marks, start=start: marks[:, start : start + size])
            if heaviest is None:
                heaviest = part.heaviest(changes)
                if sum(tensor.numel() for tensor in heaviest) * batch <= MOST_KEPT * size:
                    kept[start] = heaviest
            found.append(part.reach_of(heaviest))
        return torch.cat([fall for fall, _ in found], 1), torch.cat([rise for _, rise in found], 1)


def total(changes: Tensor, most: int) -> Tensor:
    """Return the sum of the `most` greatest of some changes ≥ 0, rounded up, (..., n) → (...)."""
    taken = min(most, changes.shape[-1])
    found = changes.sum(-1) if taken == changes.shape[-1] else changes.topk(taken).values.sum(-1)
    return found * (1.0 + (taken + 8) * torch.finfo(torch.float64).eps)


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
