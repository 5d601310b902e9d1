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

Layers whose constants differ: each kind of neuron by itself while they are few, else all neurons at once.

Neurons of one layer share nothing but their input. So what is known of each kind of them, from its own currents,
is known of the layer. Kinds are rules of their own, and have their own tables, graphs and prices.

Many kinds are bounded all at once: their trains by tables that are alike (F1), or by graphs (F2).

Under a constant current, a hard reset with a = 1 has T + 1 trains, whatever λ and θ are: a first spike at step k,
then every k steps, or silence. The first spike may fall at k iff b_k·(1 − γ) ≤ I ≤ b_{k−1}·(1 + γ), b_k = θ/α_k,
α_k = Σ_{i<k} λ^i (see train_table.py). So one list of trains serves all neurons, and only its ends differ.

Elsewhere the graph is built for all neurons together; windows (F5) are asked for where they share their decay.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from ....models.linear_neuron import LinearNeuron
from ...rounding import Rounding, around
from ..signals.derived import JoinedSignal, SharedSignal, chosen
from ..signals.membrane import Lanes, drive, lane_drive, lane_slack, prefix_drive
from ..signals.signals import Signal, SpikeBound
from ..signals.windows import Box
from .train_graph import detours, trains_of, windowed_trains
from .train_table import TableTrains, Trains, TrainTable, gains, periodic_rows, sorted_table, trains_between


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
            low, high = low.maximum(whole.lower[t] + started), high.minimum(whole.upper[t] + started)
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


def many_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Trains:
    """Return what is known of the spikes of neurons of `rule`, all at once.

    Raises:
        OverflowError: where a potential may overflow.
    """
    if current.constant and rule.reset == "zero":
        return periodic_trains(current, rule, rounding)
    drives = lane_drive(current, rule, rounding)
    lanes = Lanes.of(rule, drives.lower)
    windows = not current.constant and rounding.bound == torch.float64  # a first look goes without
    if isinstance(lanes.decay, float) and windows:
        return windowed_trains(drives, current, lanes, rule.kinds[0])
    return trains_of(drives, lanes, keep=False)


def periodic_trains(current: Signal, rule: LinearNeuron, rounding: Rounding) -> TableTrains:
    """Return the trains of a hard reset under a constant current; the table's own ends say nothing.

    Raises:
        OverflowError: where a potential may overflow.
    """
    box, steps = current.steps()[0], current.num_steps
    lane_slack(box.magnitude.double(), rule, steps, rounding)
    low, high = _ends(rule, steps, rounding, box.lower)
    first = (box.lower > high).sum(0)
    last = (box.upper >= low).sum(0) - 1
    return trains_between(first, last, steps, box.lower)


def _ends(rule: LinearNeuron, steps: int, rounding: Rounding, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends of the currents of each train, (T + 1, 1, *features), rounding paid; they never decrease."""
    decay, threshold, _ = map(torch.as_tensor, rule.constants(like[None].double()))
    breakpoints = (threshold / torch.stack(gains(decay, steps)).flip(0))[:, None]
    low, high = around(breakpoints, steps, rounding)
    edge = torch.full_like(breakpoints[:1], torch.inf)
    found = Box(torch.cat((-edge, low)), torch.cat((high, edge)))
    found = found if like.dtype == torch.float64 else found.outward(like.dtype)
    return found.lower, found.upper


MOST_KINDS = 64
"""The most kinds of neurons of a layer that are bounded one after another: above, all at once, step by step."""


def varied_spikes(current: Signal, rule: LinearNeuron, spikes: SpikeBound, rounding: Rounding) -> Signal:
    """Return what is known of the spikes of neurons of several kinds.

    Args:
        current: of the whole layer.
        rule: of its neurons.
        spikes: what is known of the spikes of one kind.
        rounding: the dtypes of the run and of the bound.
    """
    if not separable(rule):
        return many_spikes(current, rule, rounding)
    features = current.magnitude().shape[1:]
    shared, places = SharedSignal(current), rule.places(tuple(features))
    parts = [
        spikes(chosen(shared, place, rounding), kind, rounding)
        for kind, place in zip(rule.kinds, places, strict=True)
    ]
    return JoinedSignal(tuple(parts), places, features)


def separable(rule: LinearNeuron) -> bool:
    """Return whether the kinds of neurons are few enough to be bounded one after another."""
    return len(rule.kinds) <= MOST_KINDS
