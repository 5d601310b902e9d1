"""F1 and F2 where only steps and sums are asked of the trains: nothing is kept, and boxes are never built."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..intervals.compiled_spikes import SpikesKernel
from ..intervals.fired import step_drive, step_graph
from ..intervals.interval import DrivenSpikes
from ..long.long_trains import LONG, LongTrains, aged_trains, labels_of
from ..signals.box import Box, Spread
from ..signals.signals import equal_weights
from .base import Trains
from .forms import FEW_ROWS, TrainTable
from .train_graph import GraphTrains
from .train_table import TableTrains


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
