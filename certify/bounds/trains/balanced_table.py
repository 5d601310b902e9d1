"""The table F1 of a subtracting reset, with what a reader needs to look through its neurons (F9a)."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import own_error
from ..signals.box import Box
from ..signals.signals import Balance, Signal, filter_rows
from .train_table import TableTrains


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
