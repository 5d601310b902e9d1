"""F9: the trains of a subtracting reset, by what came in minus what went out.

Write S[t] = Σ_{k≤t} λ^{t−k}·s[k] for a neuron's own filtered train and L[t] = Σ_{k≤t} λ^{t−k}·c[k] for its
filtered current. With v[t] = λ·u[t−1] + c[t] and u = v − d·s,

    u[t] = L[t] − d·S[t],    v[t] = L[t] − d·λ·S[t−1]:

the state is what came in minus what went out. So a cell at step t is an interval of S[t] and one of u[t]; from
each cell silence is possible iff v may lie at θ or below, a spike iff v may lie at θ or above, where v is known
from both sides, v ∈ [Lmin − dλ·S, Lmax − dλ·S] ∩ [λu + c], and then S ← λS + s, u ← v − d·s, S ∈ (L − u)/d. Of
more than K cells, neighbours in S merge into their hulls. Every run stays inside some path of cells, whatever
merges, so min Σ A[t]·s[t] is bounded by a shortest path, O(T·K). With λ = 1 and K > T no two counts merge: F10's
exact counts.

Filtered currents are joint over time: their range is asked of the layer before for T rows λ^{t−k}, not step by
step, and does not grow as independent boxes do.

Rounding. `drive` shows that the run is a run of the exact recursion on currents within `slack` of the chain's; the
slack holds 32·u₆₄·M besides what the run takes, M ≥ |u|, |v| at each step, and L is widened by Σ λ^{t−k}·slack.
What is computed here errs less: S by 2u₆₄·S a step, where d·S ≤ M, and each comparison and each u by three
roundings of terms that M bounds, so after t steps by at most 6·u₆₄·M·Σ λ^{t−k}.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.deadline import check_time
from ....models.rules import Leaky
from ...rounding import Rounding
from ..signals.box import Box
from ..signals.inflow import inflow_of
from ..signals.signals import Balance, Signal, equal_weights
from ..trains.base import Trains
from .compiled_cells import CellRanges, cell_ranges
from .pair_margins import CountedLayer, pair_margins

CELLS = 16
"""K: more cells hardly narrow what is known of one neuron."""


@dataclass(frozen=True)
class CellTrains(CountedLayer, Trains):
    """The trains of a layer that subtracts, as paths of cells; computed when they are asked for.

    Attributes:
        count: K.
    """

    count: int = CELLS
    priced = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.inflow.lower)

    @property
    def price_numbers(self) -> int:
        """Return about what the cells of all steps take."""
        return self.num_steps * 8 * self.count

    def steps(self) -> Box:
        """Return whether each step's spike is certain, impossible or open, (T, batch, ...)."""
        return self._counted.spikes

    def combine(self, rows: Tensor) -> Box:
        """Return the range over all paths of cells: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None:
            return self._counted.sums[-1].scaled(weights)
        found = [self._ranges(row, 1.0).sums[-1] for row in rows]
        return Box(torch.stack([box.lower for box in found]), torch.stack([box.upper for box in found]))

    def filtered(self, rule: Leaky) -> Box:
        """Return the range of Σ_{k≤t} λ^{t−k}·a[k]·s[k] over all paths, λ and a those of the reader's `rule`."""
        if rule.decay == self.rule.decay and rule.scale is None:
            return self._counted.train
        row = self.inflow.lower.new_tensor(rule.factors(self.num_steps))
        return self._ranges(row, rule.decay).sums

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what the cells know of S and of u, where the reader's filter is the layer's own."""
        if rule.decay != self.rule.decay or rule.scale is not None:
            return None
        known = self._counted
        return Balance(known.train, known.potential, self.current, self.rule, self.inflow.slack)

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return the bounds by pairs of neurons, where that is better."""
        return pair_margins(self, labels, known, rounding)

    @cached_property
    def _counted(self) -> CellRanges:
        """Return the ranges with the counts of spikes as sums."""
        return self._ranges(self.inflow.lower.new_ones(self.num_steps), 1.0)

    def _ranges(self, row: Tensor, decay: float) -> CellRanges:
        check_time()
        return cell_ranges(self.inflow, self.rule, self.count, row, decay)


def cell_trains(current: Signal, rule: Leaky, rounding: Rounding, cells: int = CELLS) -> CellTrains:
    """Return the cells of a subtracting reset under `current`; with λ = 1 enough to hold all counts apart."""
    count = max(cells, current.num_steps + 1) if rule.decay == 1.0 else cells
    return CellTrains(rule, current, inflow_of(current, rule, rounding), count)
