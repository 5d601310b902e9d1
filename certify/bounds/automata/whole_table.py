"""F1 in whole numbers: under a constant current the train of a neuron is a function of that current, as a table.

**Statement.** Let whole currents a ≤ b give the same train. Then so does each current between. *Proof*, step by
step: let all of a..b have the same spikes before t. Each of them then does the same to the state: monotone decays,
a current that grows, and resets by the same amount or to 0. So the potential at t grows with the current, and so
does the number of spikes that it has: it is the same at both ends, and between. ∎

So halving an interval until its ends agree finds all trains. A current for which a chip would wrap has no
train: it is marked, and whoever may reach it is refused.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ....models.deadline import check_time
from ....models.elements.integers import Stepped, check_within
from ...rounding import Rounding
from ..signals.box import Box, Spread
from ..signals.signals import Signal
from ..trains.balanced_table import BalancedTable
from ..trains.base import Trains
from ..trains.forms import TrainTable
from ..trains.train_table import TableTrains
from .reachable import path_trains
from .whole_counts import law_of, lawful
from .whole_windows import whole_windows

MOST_ROWS = 4096
WRAPS = -1.0
"""In the place of a number of spikes."""


@dataclass(frozen=True)
class CountTrains(TableTrains):
    """Rows of a table whose entries are numbers of spikes."""

    priced = False

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether there is at most one spike a step."""
        return bool((self.table.trains <= 1.0).all())

    def spread(self) -> Spread:
        """Return the steps as middle and radius."""
        return self.steps().spread

    def magnitude(self) -> Tensor:
        """Return the most spikes that a neuron has at a step."""
        return self.steps().upper.amax(0)


@dataclass(frozen=True)
class BalancedCounts(CountTrains, BalancedTable):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The same, of neurons that subtract, with what a reader needs to look through them (F9a)."""


def whole_trains(current: Signal, rule: Stepped, rounding: Rounding) -> Trains:
    """Return the trains of integer neurons: by a table where the current is constant, else as paths.

    Raises:
        OverflowError: where a chip might wrap, or cut a sum on the way.
    """
    found = _tabled(current, rule) if current.constant else None
    if found is not None:
        return _balanced(found, current, rule)
    windows = whole_windows(current, rule)
    return lawful(path_trains(current, rule, rounding, None if windows is None else windows.cut), current, rule)


def _balanced(found: CountTrains, current: Signal, rule: Stepped) -> CountTrains:
    """Return the same rows with what they balance, where a law holds: currents are its own, m greater."""
    law = law_of(current, rule)
    if law is None:
        return found
    table = replace(found.table, lower=found.table.lower + law.middle, upper=found.table.upper + law.middle)
    return BalancedCounts(table, found.first, found.last, rule=law.rule, current=law.current, slack=law.slack)


def _tabled(current: Signal, rule: Stepped) -> CountTrains | None:
    """Return the rows that each neuron may have; None where the table would be too long."""
    rule.admit(current.magnitude(), current.num_steps)
    box = current.steps()[0]
    box = Box(box.lower.ceil(), box.upper.floor())
    low, high = float(box.lower.min()), float(box.upper.max())
    check_within(max(-low, high), rule.current_top, "a sum of currents", "wrap")
    table = whole_table(rule, current.num_steps, _outward(min(low, 0.0)), _outward(max(high, 0.0)))
    return None if table is None else _rows(table.like(box.lower), box, rule)


def _rows(table: TrainTable, box: Box, rule: Stepped) -> CountTrains:
    found = CountTrains(table, *table.reachable(box))
    wraps = (table.trains == WRAPS).any(1).double()
    if bool((found.least(-wraps[:, None]) < 0).any()):
        raise OverflowError(f"a number may leave its width of {rule.bits} bits, where a chip would wrap")
    return found


def _outward(end: float) -> int:
    """Return a power of two, with the sign of an end, that holds it: few tables then serve many currents."""
    return 0 if end == 0.0 else int(math.copysign(2 ** math.ceil(math.log2(abs(end))), end))


@lru_cache(maxsize=256)
def whole_table(rule: Stepped, num_steps: int, low: int, high: int) -> TrainTable | None:
    """Return the trains of currents low..high, or None where there are more than `MOST_ROWS`.

    >>> from spikecert.models.elements.integers import NOTHING_LOST
    >>> whole_table(Stepped(NOTHING_LOST, 2), 2, 0, 4).trains
    tensor([[0., 0.],
            [0., 1.],
            [1., 1.]], dtype=torch.float64)
    """
    edges = torch.tensor([[low, high]], dtype=torch.float64)
    done: list[tuple[Tensor, Tensor]] = []
    count = 0
    while len(edges):
        check_time()
        first, last = _trains(rule, edges[:, 0], num_steps), _trains(rule, edges[:, 1], num_steps)
        alike = (first == last).all(1)
        done.append((edges[alike], first[alike]))
        count += int(alike.sum())
        open_edges = edges[~alike]
        if count + len(open_edges) > 8 * MOST_ROWS:
            return None
        middle = ((open_edges[:, 0] + open_edges[:, 1]) / 2).floor()
        left, right = torch.stack((open_edges[:, 0], middle), 1), torch.stack((middle + 1, open_edges[:, 1]), 1)
        edges = torch.cat((left, right))
    return _joined(torch.cat([each for each, _ in done]), torch.cat([train for _, train in done]))


def _joined(edges: Tensor, trains: Tensor) -> TrainTable | None:
    """Return intervals in order, neighbours of one train as one."""
    order = edges[:, 0].argsort()
    edges, trains = edges[order], trains[order]
    begins = torch.ones(len(edges), dtype=torch.bool)
    begins[1:] = (trains[1:] != trains[:-1]).any(1)
    starts = begins.nonzero().flatten()
    if len(starts) > MOST_ROWS:
        return None
    ends = torch.cat((starts[1:] - 1, starts.new_tensor([len(edges) - 1])))
    return TrainTable(edges[starts, 0], edges[ends, 1], trains[starts])


def _trains(rule: Stepped, currents: Tensor, num_steps: int) -> Tensor:
    """Return the train of each current, (n, T), with `WRAPS` in the place of NaN."""
    residue, spikes = currents.new_zeros(3, len(currents)), []
    for _ in range(num_steps):
        _, spike, residue = rule.step(residue, currents)
        spikes.append(spike)
    return torch.stack(spikes, 1).nan_to_num(WRAPS)
