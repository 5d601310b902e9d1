"""How far a weighted sum of events can move when a budget of changes is shared by all steps and features."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Self

import torch
from torch import Tensor

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
