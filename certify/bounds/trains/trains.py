"""Which trains are found of leaky neurons under a current: tables (F1), graphs (F2), cells (F9).

Exact spike-train sets: the table F1 where the current is constant over time, the graph F2 elsewhere.

The table F1 of a subtracting reset, with what a reader needs to look through its neurons (F9a).

F1 and F2 where only steps and sums are asked of the trains: nothing is kept, and boxes are never built.

F9 where a layer subtracts what it fires, F1 and F2 elsewhere: the strongest trains that need no prices.

Graphs of trains and trains by age, by C, behind a table of trains and a dense layer.

`long.c`: the trains of long_trains.py behind a table and a dense layer.

The kernel does what is done there, in one pass sample by sample: no window leaves the cache. Its sums have another
order and fused products, which what is paid for rounding covers in any order; nothing is asked of it where a
number could come near an overflow.

`graph.c`: the graph of train_graph.py, with windows, behind a dense layer.

The kernel does what is done there for a hard reset behind a table of trains, in one pass sample by sample: no
window leaves the cache. Its sums have another order and fused products, which what is paid for rounding covers in
any order.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding, check_potential, own_error
from ..cells.automaton import CELLS, cell_trains
from ..intervals import DrivenSpikes, SpikesKernel
from ..long_trains import LONG, LongTrains, aged_trains, carried_trains, labels_of, long_trains
from ..signals.membrane import Drive, Pull, drive, pull
from ..signals.signals import AffineSignal, Balance, Signal, equal_weights, filter_rows
from ..signals.windows import Box, Spread
from .train_graph import GraphTrains, graph_trains, trains_of
from .train_table import FEW_ROWS, TableTrains, Trains, TrainTable, table_like, train_table


@dataclass(frozen=True)
class BalancedTable(TableTrains):
    """Trains under constant currents, and the currents.

    Attributes:
        rule: of the layer.
        current: its input currents.
        slack: what the run's recursion may add to each scaled current, (batch, ...).
    """

    rule: Leaky
    current: Signal
    slack: Tensor

    @property
    def tabled(self) -> None:
        """Return None: they are more than their rows."""
        return None

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what the rows know of S and of u, where the reader's filter is the layer's own."""
        if rule.decay != self.rule.decay or rule.scale is not None:
            return None
        return Balance(self.filtered(rule), self.potential, self.current, self.rule, self.slack)

    @cached_property
    def potential(self) -> Box:
        """Return the range of u[t] = L[t] − d·S[t] over the reachable rows, (T, batch, ...).

        On row r the current I lies in the row's interval and in its own box, L[t] = I·Σ λ^{t−k}·a[k], and S is the
        row's. The first and the last row are cut by the box; rows between are inside of it.
        """
        gains = filter_rows(self.num_steps, self.rule).sum(1)
        box = self.current.steps()[0]
        first, last = (self._on_row(row, box, gains) for row in (self.first, self.last))
        inner = self._on_inner_rows(gains)
        width = filter_rows(self.num_steps, replace(self.rule, scale=None)).sum(1)
        lower = first.lower.minimum(last.lower).minimum(inner.lower)
        upper = first.upper.maximum(last.upper).maximum(inner.upper)
        width = width.reshape(-1, *([1] * self.slack.dim()))
        size = box.magnitude * gains.abs().reshape(width.shape) + self.rule.drop * width
        widening = self.slack * width + size * own_error(4 * self.num_steps + 16)
        return Box(lower - widening, upper + widening)

    @cached_property
    def _trains(self) -> Tensor:
        """Return S[t] of each row, (T, R)."""
        return filter_rows(self.num_steps, replace(self.rule, scale=None)) @ self.table.trains.T

    def _on_row(self, row: Tensor, box: Box, gains: Tensor) -> Box:
        """Return the range of L − d·S on one row for each neuron, row and box being (batch, ...)."""
        ends = Box(self.table.lower[row].maximum(box.lower), self.table.upper[row].minimum(box.upper))
        gone = self.rule.drop * self._trains[:, row.flatten()].unflatten(1, row.shape)
        came = ends.scaled(gains)
        return Box(came.lower - gone, came.upper - gone)

    def _on_inner_rows(self, gains: Tensor) -> Box:
        """Return the range over the rows between the first and the last, empty where there are none."""
        came = Box(self.table.lower, self.table.upper).scaled(gains)
        lower, upper = (ends.nan_to_num(0.0) - self.rule.drop * self._trains for ends in (came.lower, came.upper))
        none = self.last - self.first < 2
        first = torch.where(none, self.first, self.first + 1)
        inner = TableTrains(self.table, first, torch.where(none, first, self.last - 1))
        least, most = inner.least(lower.T), -inner.least(-upper.T)
        return Box(least.masked_fill(none, torch.inf), most.masked_fill(none, -torch.inf))


class StepTrains(DrivenSpikes, Trains):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The graph of a layer (see train_graph.py)."""

    def spread(self) -> Spread:
        """Return the steps as middle and radius: exactly 0, ½ or 1 each."""
        kernel = self._compiled
        return self._graph.box.spread if kernel is None else kernel.graph_steps(self.pull, self.rule)

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over all paths."""
        kernel = self._compiled
        if kernel is None:
            return self._graph.combine(rows)
        weights = equal_weights(rows)
        if weights is not None:
            return self.counted.scaled(weights)
        if rows.dtype != self.pull.current.middle.dtype:
            return self._graph.combine(rows)
        found = [kernel.graph_paths(self.pull, self.rule, row) for row in rows]
        return Box(torch.stack([box.lower for box in found]), torch.stack([box.upper for box in found]))

    @cached_property
    def counted(self) -> Box:
        """Return the fewest and the most spikes, (batch, ...)."""
        ones, kernel = self.pull.current.middle.new_ones(self.num_steps), self._compiled
        if kernel is None:
            return self._graph.combine(ones[None])[0]
        return kernel.graph_paths(self.pull, self.rule, ones)

    @property
    def _compiled(self) -> SpikesKernel | None:
        """Return the kernel, which knows the graph of a hard reset only."""
        return self.kernel if self.rule.reset == "zero" else None

    @cached_property
    def _graph(self) -> "GraphTrains | LongTrains":
        if self.rule.reset == "zero" and self.num_steps >= LONG:
            return aged_trains(step_drive(self.pull), self.rule, labels_of(self.rule.decay, self.num_steps), None)
        return step_graph(self.pull, self.rule)


@dataclass(frozen=True)
class StepTable(DrivenSpikes, Trains):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The trains of a table under constant currents (see train_table.py), whose rounding is in the table's rows.

    Attributes:
        table: in the dtype of the currents.
    """

    table: TrainTable

    def spread(self) -> Spread:
        """Return the steps as middle and radius: exactly 0, ½ or 1 each."""
        if len(self.table.trains) > FEW_ROWS:
            return self._trains.spread()
        ends = Box(self.table.lower, self.table.upper)
        return self.kernel.table_steps(self.pull, self.rule, ends, self.table.ranges)

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over the reachable trains."""
        return self._trains.combine(rows)

    @cached_property
    def _trains(self) -> TableTrains:
        return TableTrains(self.table, *self.table.reachable(self.pull.current.box[0]))


SHORT = 8
"""How many steps windows of events have at most, where sums from step 0 on are known: longer ones hardly narrow
what these tell."""


def train_spikes(current: Signal, rule: Leaky, rounding: Rounding, windows: bool = False) -> Trains:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    Exact per neuron, up to rounding: with a constant current for every reset and input scale (F1), with a
    current in independent boxes over time for hard reset (F2); for a subtracting reset F2 is a relaxation.
    With `windows`, what the previous layer's trains say of several steps at once is used too (F5).
    """
    return table_spikes(current, rule, rounding) or graph_trains(current, rule, rounding, windows)


def table_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> TableTrains | None:
    """Return the rows that each neuron may have (F1); None where the current varies, or the table is too long."""
    table = _table(current, rule, rounding)
    if table is None:
        return None
    box = current.steps()[0]
    _check_range(float(box.magnitude.max()), rule, current.num_steps, rounding)
    table = table.like(box.lower)
    return TableTrains(table, *table.reachable(box))


def step_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return what `train_spikes` does of steps and sums, and forget the trains."""
    table = _table(current, rule, rounding)
    if table is None:
        return StepTrains(pull(current, rule, rounding), rule)
    spread = current.spread()
    _check_range(float(spread.middle.abs().add_(spread.radius).max()), rule, current.num_steps, rounding)
    like = spread.middle
    table = table_like(rule, current.num_steps, rounding, like.dtype, like.device)
    assert table is not None
    return StepTable(Pull(spread, current.num_steps), rule, table)


window_spikes = partial(train_spikes, windows=True)


def aged_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return what `window_spikes` does, over many steps by how long ago a neuron with a hard reset fired last.

    What earlier spikes took is told but where a dense layer behind a table makes the current.
    """
    if rule.reset != "zero" or current.num_steps < LONG or _table(current, rule, rounding) is not None:
        return window_spikes(current, rule, rounding)
    if current.by_table is not None:
        return long_trains(current, rule, rounding)
    return carried_trains(current, rule, rounding, SHORT if hears_events(current) else None)


def hears_events(current: Signal) -> bool:
    """Return whether a current is made of events alone that move or flip within a budget."""
    front = current.front if isinstance(current, AffineSignal) else None
    return front is not None and front.budget is not None


def _table(current: Signal, rule: Leaky, rounding: Rounding) -> TrainTable | None:
    """Return the table of a layer whose current is constant, if it is not too large."""
    if not current.constant:
        return None
    return train_table(rule, current.num_steps, rounding)


def _check_range(widest: float, rule: Leaky, num_steps: int, rounding: Rounding) -> None:
    """Raise OverflowError where a potential may overflow: |v[t]| ≤ Σ_t |a[t]|·|I| + T·max(θ, d), as λ ≤ 1."""
    reach = sum(map(abs, rule.factors(num_steps))) * widest + num_steps * rule.span
    check_potential(reach, rounding)


def conserved_spikes(current: Signal, rule: Leaky, rounding: Rounding, cells: int = CELLS) -> Trains:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    A constant current has its table (F1); behind it, and where the table would be too long, a subtracting reset
    has its cells (F9), and other resets have windows (F5) and their graph (F2), over many steps by age.
    """
    if rule.reset != "subtract":
        return aged_spikes(current, rule, rounding)
    return _balanced(current, rule, rounding) or cell_trains(current, rule, rounding, cells)


def carried_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return what `conserved_spikes` does; of a hard reset that hears events, L and how long ago it fired."""
    if rule.reset == "zero" and hears_events(current):
        return carried_trains(current, rule, rounding, SHORT)
    return conserved_spikes(current, rule, rounding)


def decidable_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return the strongest trains that a search can decide, by rows or spikes: a graph in place of cells."""
    table = _balanced(current, rule, rounding) if rule.reset == "subtract" else None
    return table or window_spikes(current, rule, rounding)


def _balanced(current: Signal, rule: Leaky, rounding: Rounding) -> BalancedTable | None:
    """Return the table of a subtracting reset, with what it balances; None where there is none."""
    trains = table_spikes(current, rule, rounding)
    if trains is None:
        return None
    slack = drive(current, rule, rounding).slack
    return BalancedTable(trains.table, trains.first, trains.last, rule=rule, current=current, slack=slack)


def step_graph(pull: Pull, rule: Leaky) -> GraphTrains:
    """Return the graph of a layer, for steps and sums alone."""
    return trains_of(step_drive(pull), rule, keep=False)


def step_drive(pull: Pull) -> Drive:
    """Return what drives a layer as ends, whose widening nothing asks for."""
    ends = pull.current.box
    shape = (pull.num_steps, *ends.lower.shape[1:])
    lower, upper = ends.lower.expand(shape), ends.upper.expand(shape)
    return Drive(lower, upper, torch.zeros_like(lower[0]), pull.surely, pull.perhaps)
