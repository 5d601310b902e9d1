"""F1: under a constant current, a neuron's spike train is a piecewise constant function of that current.

While a train stays the same, v[t] = α_t·I + β_t, so each interval of currents that shares a train so far splits
at most once per step, at (θ − β_t)/α_t. The table of intervals depends on the neuron's constants alone: one
table serves a whole layer, and the reachable trains of a current in [l, u] are a run of its rows, found by two
look-ups.

Floating point. The run computes v̂[t] with |v̂[t] − v[t]| ≤ e1_t·|I| + e0_t (`_Branch.error`), so an interval is
kept for 'fires' where v[t] + error ≥ θ and for 'stays silent' where v[t] − error ≤ θ: the rows overlap by the
rounding error, and a current on a breakpoint has both trains. A hard reset with a = 1 is exact beyond that:
the rounded recursion is monotone in I up to the first spike and starts from exactly 0 after each spike, so its
train is periodic, whatever the rounding (`periodic_rows`).

One face for what stands behind a layer that fires: a set of spike trains that holds those of every run.

A family of trains says where they lie (`steps`, `combine`: see signals.py). It may say more; what it
does not say has a default here, or in signals.py, that claims nothing. What a reader in another folder makes of a
family is a function of its type, in one table there, and trains that are not in it are refused:

    priced (prices/priced_layer.py), gain_rows (prices/stages.py), tight_spikes (milp/encoding.py),
    root (branching/nodes/decisions.py).

Two forms that a layer's trains may have: rows of a table (F1), and paths of a graph (F2).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TypeVar

import torch
from torch import Tensor

from ....models.deadline import check_time
from ....models.rules import Leaky
from ...rounding import Rounding, above, around, below, step_error, tie
from ..signals.membrane import Drive
from ..signals.signals import Signal
from ..signals.windows import Box, Spread

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
        rows, steps = self.trains.shape
        before = torch.cat((torch.zeros_like(self.trains[:1]), self.trains.cumsum(0))).T
        size = (torch.arange(rows)[None] - torch.arange(rows)[:, None] + 1).to(before)
        middle, radius = (self.trains.new_empty(steps, rows, rows) for _ in range(2))
        for step, spikes in enumerate(before):  # one after another: long tables take seconds in all
            check_time()
            fired = (spikes[None, 1:] - spikes[:-1, None]).triu()
            may, must = (fired > 0).to(fired), (fired == size).to(fired).triu()
            torch.add(may, must, out=middle[step]).mul_(0.5)
            torch.sub(may, must, out=radius[step]).mul_(0.5)
        return Spread(middle, radius)

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
        starts: starts[·][τ] holds the potentials that are left after a spike at τ, low and high, (T + 1, batch,
            ...) each; None where 0 is.
    """

    edges: tuple[Tensor, ...]
    ends: Tensor
    box: Box
    drives: Drive
    reach: tuple[tuple[Tensor, Tensor], ...]
    starts: tuple[Tensor, Tensor] | None = None

    @property
    def left(self) -> tuple[Tensor, Tensor] | None:
        """Return both ends of `starts`, (T + 1, batch, n) each; None where 0 is left."""
        if self.starts is None:
            return None
        low, high = self.starts
        return low.flatten(2), high.flatten(2)

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
    binary = fired = True
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


MOST_ROWS = 4096
Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Row:
    """All currents in [lower, upper] may have this spike train."""

    lower: float
    upper: float
    train: tuple[int, ...]


@dataclass(frozen=True)
class TableTrains(TrainRows, Trains):
    """The spike trains under constant currents; prices are on the one current that a neuron has."""

    priced = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return self.table.trains.shape[1]

    @property
    def rows(self) -> TrainRows:
        """Return these trains, which are rows of a table."""
        return self

    @property
    def tabled(self) -> "TableTrains | None":  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return these trains."""
        return self

    def steps(self) -> Box:
        """Return, for each step, whether each spike is certain (1, 1), impossible (0, 0) or open (0, 1)."""
        return self.combine(torch.eye(self.num_steps).to(self.table.trains))

    def spread(self) -> Spread:
        """Return the steps as middle and radius: exactly 0, ½ or 1 each."""
        if not self._one_answer_serves_many:
            return self.steps().spread
        ranges = self.table.ranges
        middle, radius = self._found(torch.cat((ranges.middle, ranges.radius)).flatten(1)).chunk(2)
        return Spread(middle, radius)

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over the reachable trains: two entries of a table of range minima each."""
        return self._range(self.table.trains.to(rows.dtype) @ rows.T)

    @cached_property
    def _fires(self) -> Tensor:
        return self._range(self.table.trains.amax(1, keepdim=True)).upper[0].clamp(0, 1)

    def _range(self, values: Tensor) -> Box:
        """Return the range of `values`, (R, k), over the reachable rows."""
        if self._one_answer_serves_many:
            answers = torch.cat((all_range_minima(values), -all_range_minima(-values)))
            lower, upper = self._found(answers).chunk(2)
            return Box(lower, upper)
        return Box(self.least(values), -self.least(-values))

    @property
    def _one_answer_serves_many(self) -> bool:
        """Return whether there are more neurons than runs of rows."""
        return len(self.table.trains) ** 2 <= self.first.numel()

    def _found(self, answers: Tensor) -> Tensor:
        """Return each neuron's answer, (k, batch, ...), from those to all ranges, (k, R²)."""
        size = len(self.table.trains)
        ranges = (self.first * size + self.last).flatten()
        return answers.index_select(1, ranges).unflatten(1, self.first.shape)

    def least(self, values: Tensor) -> Tensor:
        """Return min over the rows first..last of values (R, k), as (k, batch, ...)."""
        levels = range_minima(values, int((self.last - self.first).max()) + 1)
        level = torch.frexp((self.last - self.first + 1).double()).exponent.long() - 1  # ⌊log2 size⌋
        start = level * len(values)
        left = levels[(start + self.first).flatten()]
        right = levels[(start + self.last - (1 << level) + 1).flatten()]
        return left.minimum(right).T.unflatten(1, self.first.shape)


def range_minima(values: Tensor, longest: int) -> Tensor:
    """Return the sparse table of minima: entry j·R + i holds min(values[i : i + 2^j]), for values (R, k); what
    would reach beyond R holds anything.

    Args:
        values: what minima are taken of.
        longest: how many entries a range has at most.
    """
    size, count = len(values), max(1, longest).bit_length()
    levels = values.new_empty(count, *values.shape)
    levels[0] = values
    for level in range(1, count):
        width = 2 ** (level - 1)
        torch.minimum(
            levels[level - 1, : size - width], levels[level - 1, width:], out=levels[level, : size - width]
        )
    return levels.flatten(0, 1)


def all_range_minima(values: Tensor) -> Tensor:
    """Return entry [k, i·R + j] = min(values[i : j + 1, k]) for i ≤ j, values (R, k)."""
    rows, columns = values.shape
    answers = values.T.unsqueeze(1).expand(columns, rows, rows).triu()
    below = torch.ones(rows, rows, dtype=torch.bool, device=values.device).tril(-1)
    return answers.masked_fill(below, math.inf).cummin(2).values.flatten(1)


@lru_cache(maxsize=256)
def table_like(
    rule: Leaky, num_steps: int, rounding: Rounding, dtype: torch.dtype, device: torch.device
) -> TrainTable | None:
    """Return `train_table` in a dtype and on a device."""
    table = train_table(rule, num_steps, rounding)
    return None if table is None else table.like(torch.empty((), dtype=dtype, device=device))


@lru_cache(maxsize=256)
def train_table(rule: Leaky, num_steps: int, rounding: Rounding) -> TrainTable | None:
    """Return the table of a neuron over T steps, or None where it would pass `MOST_ROWS` rows.

    >>> train_table(Leaky(0.5), 2, Rounding(torch.float64)).trains
    tensor([[0., 0.],
            [0., 1.],
            [1., 1.]], dtype=torch.float64)
    """
    scale = rule.factors(num_steps)
    if rule.reset == "zero" and all(factor == 1.0 for factor in scale):
        rows = periodic_rows(rule, num_steps, rounding)
    else:
        found = _enumerated_rows(rule, scale, rounding)
        if found is None:
            return None
        rows = found
    return sorted_table(rows)


def periodic_rows(rule: Leaky, num_steps: int, rounding: Rounding, rest: int = 0) -> list[Row]:
    """Return the T + 1 trains of a hard reset with a = 1: first spike at k, then every k steps (or k + `rest`).

    Before the first spike v[k] = I·α_k, α_k = Σ_{i<k} λ^i, with relative error below γ_{4k}; so the first spike
    may fall at k iff b_k·(1 − γ) ≤ I ≤ b_{k−1}·(1 + γ), b_k = θ/α_k. One train is silent.
    """
    breakpoints = [math.inf, *(rule.threshold / gain for gain in gains(rule.decay, num_steps))]
    low, high = zip(*(around(each, num_steps, rounding) for each in breakpoints), strict=True)
    rows = [Row(-math.inf, high[num_steps], (0,) * num_steps)]
    for k in range(1, num_steps + 1):
        train = tuple(int(t >= k and (t - k) % (k + rest) == 0) for t in range(1, num_steps + 1))
        rows.append(Row(low[k], high[k - 1], train))
    return rows


def gains(decay: Number, num_steps: int) -> list[Number]:
    """Return α_k = Σ_{i<k} λ^i for k = 1..T: what a constant current of 1 comes to without a spike."""
    return list(accumulate([decay**0] * num_steps, lambda gain, one: one + decay * gain))


def trains_between(first: Tensor, last: Tensor, num_steps: int, like: Tensor) -> TableTrains:
    """Return the trains of a hard reset under constant currents, where one table's own ends say nothing.

    Args:
        first, last: at how many steps k = 1..T the current's low and high end fire: α_k·I ≥ θ, (batch, ...).
        num_steps: T.
        like: a tensor of the bound's dtype.
    """
    times, nothing = torch.arange(1, num_steps + 1), like.new_full((num_steps + 1,), torch.inf)
    spikes = times % times.flip(0)[:, None] == 0  # of a first spike at T, …, 1: in the order of rising currents
    trains = torch.cat((torch.zeros(1, num_steps, dtype=torch.bool), spikes)).to(like)
    return TableTrains(TrainTable(-nothing, nothing, trains), first, last)


@dataclass(frozen=True)
class _Branch:
    """Currents of one sign in [lower, upper] that share a train so far, with u[t] = alpha·I + beta there.

    `size1`·|I| + `size0` bounds |u[t]|, `error1`·|I| + `error0` the rounding error of the run's u[t].
    """

    lower: float
    upper: float
    alpha: float = 0.0
    beta: float = 0.0
    size1: float = 0.0
    size0: float = 0.0
    error1: float = 0.0
    error0: float = 0.0
    train: tuple[int, ...] = ()


def _enumerated_rows(rule: Leaky, scale: tuple[float, ...], rounding: Rounding) -> list[Row] | None:
    branches = [_Branch(-math.inf, 0.0), _Branch(0.0, math.inf)]
    for factor in scale:
        branches = [child for branch in branches for child in _children(branch, factor, rule, rounding)]
        if len(branches) > MOST_ROWS:
            return None
    return [Row(branch.lower, branch.upper, branch.train) for branch in branches]


def _children(branch: _Branch, factor: float, rule: Leaky, rounding: Rounding) -> Iterator[_Branch]:
    """Yield the branches in which the neuron is silent at this step, and in which it fires."""
    decay, theta = rule.decay, rule.threshold
    moved = _Branch(
        lower=branch.lower,
        upper=branch.upper,
        alpha=decay * branch.alpha + factor,
        beta=decay * branch.beta,
        size1=decay * branch.size1 + abs(factor),
        size0=decay * branch.size0,
        error1=decay * branch.error1 + step_error(decay, branch.size1, abs(factor), rounding),
        error0=decay * branch.error0 + step_error(decay, branch.size0, rule.span, rounding) + rounding.smallest,
        train=branch.train,
    )
    sign = 1.0 if moved.upper > 0 else -1.0
    either = tie(theta, rounding)
    silent = _below(moved.alpha - sign * moved.error1, theta + either - moved.beta + moved.error0, moved)
    if silent is not None:
        yield _continued(moved, silent, 0, rule)
    fires = _below(-moved.alpha - sign * moved.error1, moved.beta + moved.error0 - theta + either, moved)
    if fires is not None:
        yield _continued(moved, fires, 1, rule)


def _below(slope: float, limit: float, branch: _Branch) -> tuple[float, float] | None:
    """Return the part of the branch's interval where slope·I ≤ limit, ends rounded outward; None if empty."""
    lower, upper = branch.lower, branch.upper
    if slope > 0:
        upper = min(upper, above(limit / slope))
    elif slope < 0:
        lower = max(lower, below(limit / slope))
    elif limit < 0:
        return None
    return (lower, upper) if lower <= upper else None


def _continued(branch: _Branch, interval: tuple[float, float], spike: int, rule: Leaky) -> _Branch:
    train = (*branch.train, spike)
    if spike and rule.reset == "zero":
        return _Branch(*interval, train=train)
    drop = spike * rule.drop if rule.reset == "subtract" else 0.0
    return _Branch(
        *interval,
        alpha=branch.alpha,
        beta=branch.beta - drop,
        size1=branch.size1,
        size0=branch.size0 + drop,
        error1=branch.error1,
        error0=branch.error0,
        train=train,
    )


def sorted_table(rows: list[Row]) -> TrainTable:
    """Sort rows by their middles (of arctan, so that infinite ends compare) and make both ends monotone.

    The latter only ever widens a row, and by no more than the rounding error where rows overlap.
    """
    rows = sorted(rows, key=lambda row: math.atan(row.lower) + math.atan(row.upper))
    lower = torch.tensor([row.lower for row in rows], dtype=torch.float64)
    upper = torch.tensor([row.upper for row in rows], dtype=torch.float64)
    lower = lower.flip(0).cummin(0).values.flip(0)
    upper = upper.cummax(0).values
    return TrainTable(lower, upper, torch.tensor([row.train for row in rows], dtype=torch.float64))
