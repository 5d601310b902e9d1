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

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_PRODUCTS = 2**23
"""How many products W_i·d_i are held at once: 64 MiB."""


@dataclass(frozen=True)
class Flips:
    """At most `count` entries of events flip, over all steps and features of a sample.

    Attributes:
        count: k ≥ 1.
        direction: d = 1 − 2x, ±1, float64: shaped like the events, (T, batch, ...) once time is first.
        rows: what is summed over time, Σ_t rows[k,t]·x[t], (k, T); None for the events themselves.
    """

    count: int
    direction: Tensor
    rows: Tensor | None = None

    def reach(self, products: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return how far Σ_t rows[k,t]·(W·x[t]) may fall and rise, each (k, batch, ...) and ≥ 0.

        Args:
            products: x ↦ all W_i·x_i of each output, (n, ...) → (n, outputs, terms).
        """
        each = products(self.direction[:, 0]).numel()
        parts = self.direction.split(max(1, MOST_PRODUCTS // max(1, each)), dim=1)
        found = [self.reach_of(products(part.flatten(0, 1)).unflatten(0, part.shape[:2])) for part in parts]
        return torch.cat([fall for fall, _ in found], 1), torch.cat([rise for _, rise in found], 1)

    def least(self, costs: Tensor) -> Tensor:
        """Return the flips, 0 or 1, that minimise Σ costs·x̃: those of the `count` most negative changes.

        Args:
            costs: (steps, S, ...), with `direction` of the same shape.
        """
        change = (costs * self.direction).movedim(1, 0).flatten(1)
        lowest = (-change).topk(min(self.count, change.shape[1]), dim=1)
        flips = torch.zeros_like(change).scatter(1, lowest.indices, (lowest.values > 0).double())
        return flips.unflatten(1, (len(costs), *costs.shape[2:])).movedim(0, 1)

    def reach_of(self, changes: Tensor) -> tuple[Tensor, Tensor]:
        """Return fall and rise for W_i·d_i, (T, batch, outputs, terms), as `reach` does."""
        assert self.rows is not None
        up, down = self._greatest(changes), self._greatest(-changes)
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
        pooled = candidates.movedim(0, -1).flatten(-2)
        taken = min(self.count, pooled.shape[-1])
        total = pooled.sum(-1) if taken == pooled.shape[-1] else pooled.topk(taken).values.sum(-1)
        return total * (1.0 + (taken + 8) * torch.finfo(torch.float64).eps)
