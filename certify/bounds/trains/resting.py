"""The trains of neurons that rest behind each spike, or fire once.

Neurons that fire once: all that is to be known is at which steps the spike may come, and whether it must.

Until it comes the potential covers [L, min(U, θ)] of the recursion of train_graph.py from `start`, cut by the
windows from step 1 on. It may come at t iff silence is possible before t and U reaches θ at t; it may stay away
iff silence is possible all along. That graph has the edges 0 → t and nothing behind them, so Σ_t A[t]·s[t] is A[t]
at a step where the spike may come, or 0 where it may stay away: **all sums are exact** for these trains, without
paths.

The spike trains of neurons that rest behind each spike: F1 and F2, from where each rest ends (F15).

A rest leaves exactly 0 and takes nothing in. So between its spikes such a neuron is one without rest that starts
afresh R steps after each spike, and its potential, its rounding included, depends on the currents since then
alone. Under a constant current a first spike at step k is followed by one every k + R steps, at the same
currents as without rest (`periodic_rows`). Elsewhere the graph has an edge τ → t for t > τ + R only (`rest` in
train_graph.py).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from ....models.linear_neuron import LinearNeuron
from ...rounding import Rounding
from ..signals.box import Box
from ..signals.membrane import drive, prefix_drive
from ..signals.signals import Signal
from .base import Trains, TrainTable
from .train_graph import detours, trains_of, windowed_trains
from .train_table import TableTrains, periodic_rows, sorted_table


@dataclass(frozen=True)
class OnceTrains(Trains):
    """The spikes of a layer.

    Attributes:
        may: whether the spike may come at each step, (T, batch, ...) of bool.
        never: whether it may stay away, (batch, ...) of bool.
        like: a tensor of the bound's dtype.
    """

    may: Tensor
    never: Tensor
    like: Tensor

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.may)

    @property
    def numbers(self) -> int:
        """Return about what the steps of a neuron take."""
        return 4 * self.num_steps

    def steps(self) -> Box:
        """Return the spikes step by step: certain where there is no other step, and no way to stay away."""
        alone = self.may.sum(0) + self.never.long() == 1
        return Box((self.may & alone).to(self.like), self.may.to(self.like))

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over all steps where the spike may come."""
        lengths = _lengths(rows)
        if lengths is not None:
            return self._counted(rows[:, 0], lengths)
        return Box(self._least(rows), self._least(-rows).neg_())

    def _counted(self, weights: Tensor, lengths: Tensor) -> Box:
        """Return the range of weights[k]·(the spikes of the first lengths[k] steps), (k, batch, ...)."""
        sooner = _joined([torch.zeros_like(self.never), *self.may])
        later = _joined([self.never, *self.may.flip(0)]).flip(0)
        weights = weights.reshape(-1, *(1 for _ in self.never.shape))
        surely, perhaps = (1 - later[lengths]) * weights, sooner[lengths] * weights
        return Box(surely.minimum(perhaps), surely.maximum(perhaps))

    def _least(self, rows: Tensor) -> Tensor:
        """Return the least Σ_t rows[k,t]·s[t], (k, batch, ...)."""
        weights = rows.reshape(*rows.shape, *(1 for _ in self.never.shape))
        found = detours(self.never, rows).expand(len(rows), *self.never.shape)
        for t, may in enumerate(self.may):
            found = found.minimum(weights[:, t] + detours(may, rows))
        return found


def once_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> OnceTrains:
    """Return when neurons of `rule`, whose rest lasts all T steps, may fire under `current`.

    Raises:
        OverflowError: where a potential may overflow.
    """
    own = rule.kinds[0]
    drives = drive(current, own, rounding, rule.start)
    whole = prefix_drive(current, own, drives.slack) if rounding.bound == torch.float64 else None
    low = torch.full_like(drives.slack.expand(drives.lower.shape[1:]), rule.start)
    high, silent, may = low, torch.ones_like(low, dtype=torch.bool), []
    for t in range(current.num_steps):
        low = torch.add(drives.lower[t], low, alpha=own.decay)
        high = torch.add(drives.upper[t], high, alpha=own.decay)
        if whole is not None:  # a first look goes without windows
            started = rule.start * own.decay ** (t + 1)
            low, high = low.maximum(whole[0][0, t] + started), high.minimum(whole[1][0, t] + started)
            silent = silent & (low <= high)
        may.append(silent & (high >= drives.perhaps))
        silent = silent & (low <= drives.surely)
        high = high.clamp_max(drives.surely)
    return OnceTrains(torch.stack(may), silent, drives.slack)


def _joined(masks: list[Tensor]) -> Tensor:
    """Return for each mask whether it or one before it holds, (n, ...) of 0 and 1, bytes."""
    return torch.stack(list(accumulate(masks, torch.logical_or))).view(torch.uint8)


def _lengths(rows: Tensor) -> Tensor | None:
    """Return how many first steps each row weighs, alike, and no others, (k,); None where one does otherwise."""
    lengths = (rows != 0).sum(1)
    first = torch.arange(rows.shape[1], device=rows.device) < lengths[:, None]
    return lengths if bool((rows == torch.where(first, rows[:, :1], 0.0)).all()) else None


def refractory_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Trains:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    Raises:
        OverflowError: where a potential may overflow.
    """
    own = rule.kinds[0]
    drives = drive(current, own, rounding, rule.start)
    if current.constant and rule.start == 0.0:
        box = current.steps()[0]
        table = resting_table(rule, current.num_steps, rounding).like(box.lower)
        return TableTrains(table, *table.reachable(box))
    if rounding.bound == torch.float64:  # a first look goes without windows
        return windowed_trains(drives, current, own, own, rule.rest, rule.start)
    return trains_of(drives, own, keep=False, rest=rule.rest, start=rule.start)


def resting_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Trains:
    """Return what `refractory_spikes` does of steps and sums, without a graph where neurons fire once.

    Raises:
        OverflowError: where a potential may overflow.
    """
    if rule.rest >= current.num_steps and not current.constant:
        return once_spikes(current, rule, rounding)
    return refractory_spikes(current, rule, rounding)


@lru_cache(maxsize=256)
def resting_table(rule: LinearNeuron, num_steps: int, rounding: Rounding) -> TrainTable:
    """Return the T + 1 trains of neurons that rest, under a constant current."""
    return sorted_table(periodic_rows(rule.kinds[0], num_steps, rounding, rule.rest))
