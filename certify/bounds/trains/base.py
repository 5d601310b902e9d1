"""One face for what stands behind a layer that fires: a set of spike trains that holds those of every run.

A family of trains says where they lie (`steps`, `combine`: see signals.py). It may say more; what it
does not say has a default here, or in signals.py, that claims nothing. What a reader in another folder makes of a
family is a function of its type, in one table there, and trains that are not in it are refused:

    priced (prices/priced_layer.py), gain_rows (prices/gain_rows.py), tight_spikes (milp/encoding.py),
    root (branching/nodes/decisions.py).

Two forms that a layer's trains may have: rows of a table (F1), and paths of a graph (F2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding
from ..signals.box import Box, Spread
from ..signals.membrane import Drive
from ..signals.signals import Signal

FEW_ROWS = 64
"""Up to so many rows, comparing all currents with each row's end is faster than a binary search for each."""


@dataclass(frozen=True)
class TrainTable:
    """Rows sorted so that both ends never decrease: `lower`, `upper` (R,) and `trains` (R, T)."""

    lower: Tensor
    upper: Tensor
    trains: Tensor

    def reachable(self, current: Box) -> tuple[Tensor, Tensor]:
        """Return the first and the last row that each current may have, with the shape of current.lower."""
        if len(self.trains) > FEW_ROWS:
            first = torch.searchsorted(self.upper, current.lower.contiguous())
            return first, torch.searchsorted(self.lower, current.upper.contiguous(), right=True) - 1
        return _count(torch.gt, current.lower, self.upper), _count(torch.ge, current.upper, self.lower) - 1

    @cached_property
    def ranges(self) -> Spread:
        """Return what each step of a neuron is that may have the rows from i to j, (T, R, R); 0 for j < i."""
        rows = len(self.trains)
        spikes = torch.cat((torch.zeros_like(self.trains[:1]), self.trains.cumsum(0)))  # of the rows before
        fired = (spikes[None, 1:] - spikes[:-1, None]).movedim(2, 0).triu()
        size = (torch.arange(rows)[None] - torch.arange(rows)[:, None] + 1).to(fired)
        may, must = (fired > 0).to(fired), (fired == size).to(fired).triu()
        return Spread(0.5 * (may + must), 0.5 * (may - must))

    def like(self, current: Tensor) -> "TrainTable":
        """Return the table in the dtype and on the device of `current`; rows only widen."""
        rows = Box(self.lower, self.upper)
        rows = rows if current.dtype == self.lower.dtype else rows.outward(current.dtype)
        return TrainTable(rows.lower.to(current.device), rows.upper.to(current.device), self.trains.to(current))


@dataclass(frozen=True)
class TrainRows:
    """What neurons may have under constant currents: rows `first` to `last` of one table, each (batch, ...)."""

    table: TrainTable
    first: Tensor
    last: Tensor

    @property
    def currents(self) -> Box:
        """Return the ends of the currents that have these rows, (batch, n)."""
        return Box(self.table.lower[self.first.flatten(1)], self.table.upper[self.last.flatten(1)])


@dataclass(frozen=True)
class TrainPaths:
    """What neurons may have under currents that vary: the paths of a graph (see train_graph.py).

    Attributes:
        edges: edges[t−1][τ] says whether edge τ → t exists, each (t, batch, ...) of bool.
        ends: whether a path may end at node τ (silence from τ to T), (T + 1, batch, ...).
        box: whether each step's spike is certain, impossible or open, (T, batch, ...).
        drives: the currents that the graph was built from.
        reach: reach[t−1] holds the potentials at step t since the last spike at τ < t, before they are cut by θ:
            low and high, each (t, batch, ...).
        starts: starts[τ] holds the potentials that are left after a spike at τ, low and high; None where 0 is.
    """

    edges: tuple[Tensor, ...]
    ends: Tensor
    box: Box
    drives: Drive
    reach: tuple[tuple[Tensor, Tensor], ...]
    starts: tuple[tuple[Tensor, Tensor], ...] | None = None

    @property
    def left(self) -> tuple[Tensor, Tensor] | None:
        """Return both ends of `starts`, (T + 1, batch, n) each; None where 0 is left."""
        if self.starts is None:
            return None
        low, high = (torch.stack(ends).flatten(2) for ends in zip(*self.starts, strict=True))
        return low, high

    def emptied(self) -> Tensor:
        """Return for which rows some neuron has no current or no path left, (batch,)."""
        no_current = (self.drives.lower > self.drives.upper).flatten(2).any(2).any(0)
        return no_current | ~self.ends.any(0).flatten(1).all(1)


def _count(compare: Callable[..., Tensor], values: Tensor, limits: Tensor) -> Tensor:
    """Return for each value how many of `limits` it compares with."""
    count, hit = torch.zeros_like(values), torch.empty_like(values)
    for limit in limits.tolist():
        count += compare(values, limit, out=hit)
    return count.long()


class Trains(Signal):
    """The spike trains that the neurons of a layer may have."""

    constant = False
    binary = True
    priced = False
    """Whether prices on the currents in front of a layer reach its trains."""

    def magnitude(self) -> Tensor:
        """Return 1 where a neuron may fire at some step, and 0 elsewhere."""
        return self._fires

    @cached_property
    def _fires(self) -> Tensor:
        return self.steps().upper.amax(0).clamp(0, 1)

    @property
    def rows(self) -> TrainRows | None:
        """Return the rows of a table that the trains are (F1); None where they are none."""
        return None

    @property
    def paths(self) -> TrainPaths | None:
        """Return the paths of a graph that the trains are (F2); None where they are none."""
        return None

    @property
    def price_steps(self) -> int:
        """Return how many prices a neuron has: on its one current, or on each step's."""
        return self.num_steps if self.rows is None else 1

    @property
    def price_numbers(self) -> int:
        """Return about how many numbers a neuron's trains take with prices: by row, or by edge and segment."""
        return self.num_steps**2 * (self.num_steps + 8) if self.rows is None else 8 * len(self.rows.table.lower)

    def priceable(self, decay: float) -> bool:
        """Return whether prices may differ from 0, for neurons of this decay."""
        return self.priced


TrainBound = Callable[[Signal, Leaky, Rounding], Trains]
"""Turns what is known of a layer's input currents into the trains that its neurons may have."""
