"""F1: the table of trains under a constant current, against rational enumeration and the float32 run."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.trains.base import TrainTable
from spikecert.certify.bounds.trains.train_table import (
    TableTrains,
    all_range_minima,
    range_minima,
    train_table,
)
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF
from spikecert.models.circuit import leaky_rule
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from support.examples import examples
from support.oracles import exact_trains

FLOATS = (torch.float32, torch.float64)


def table_of(neuron: LIF, steps: int, dtype: torch.dtype = torch.float64) -> TrainTable:
    scale = neuron.scale(steps)
    factors = (1.0,) * steps if scale is None else tuple(scale.tolist())
    table = train_table(leaky_rule(neuron, len(factors)), len(factors), Rounding(dtype))
    assert table is not None
    return table


def reached(table: TrainTable, low: float, high: float) -> set[tuple[int, ...]]:
    ends = Box(torch.tensor([low], dtype=torch.float64), torch.tensor([high], dtype=torch.float64))
    first, last = table.reachable(ends)
    return {tuple(map(int, row)) for row in table.trains[int(first) : int(last) + 1].tolist()}


def test_hard_reset_has_one_train_per_period():
    table = table_of(LIF(decay=0.9), 8)
    assert table.trains.shape == (9, 8)
    breakpoints = [0.1 / (1 - 0.9**k) for k in range(8, 0, -1)]
    torch.testing.assert_close(table.lower[1:], torch.tensor(breakpoints, dtype=torch.float64))
    counts = table.trains.sum(1)
    assert bool((counts[1:] >= counts[:-1]).all())


def test_without_decay_breakpoints_are_fractions_of_the_threshold():
    table = table_of(LIF(decay=1.0, threshold=3.0), 4)
    torch.testing.assert_close(table.lower[1:], torch.tensor([0.75, 1.0, 1.5, 3.0], dtype=torch.float64))


@given(st.data())
def test_holds_every_exact_train_and_no_other_away_from_breakpoints(data: st.DataObject):
    steps = data.draw(st.integers(1, 6))
    neuron = data.draw(neurons(steps))
    scale = neuron.scale(steps)
    factors = [1.0] * steps if scale is None else scale.tolist()
    low = data.draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(-4, 4, width=32))
    high = low + data.draw(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 2, width=32))
    table = table_of(neuron, steps)
    exact = exact_trains(neuron.dynamics, factors, low, high)
    found = reached(table, low, high)
    assert exact <= found
    assume(neuron.dynamics.decay == 0 or neuron.dynamics.decay > 1e-6)  # else rows end beyond all real currents
    slack = 1e-9
    assert found <= exact_trains(neuron.dynamics, factors, low - slack, high + slack) | mixed(table, found, slack)


def mixed(table: TrainTable, found: set[tuple[int, ...]], slack: float) -> set[tuple[int, ...]]:
    """Return the trains whose rows are slivers on a breakpoint: ties that rounding may resolve step by step."""
    narrow = (table.upper - table.lower) < slack
    return {tuple(map(int, row)) for row in table.trains[narrow].tolist()} & found


@given(st.data())
def test_holds_the_train_of_the_rounded_run(data: st.DataObject):
    steps = data.draw(st.integers(1, 8))
    neuron = data.draw(neurons(steps))
    dtype = data.draw(st.sampled_from(FLOATS))
    table = table_of(neuron, steps, dtype)
    ends = torch.cat([table.lower, table.upper])
    ends = ends[ends.abs() < 1e30].to(dtype)  # beyond, potentials may overflow, which verifiers refuse
    near = [
        ends,
        torch.nextafter(ends, ends + 1),
        torch.nextafter(ends, ends - 1),
        torch.linspace(-3, 3, 41).to(dtype),
    ]
    currents = torch.cat(near)
    neuron.to(dtype)
    with torch.no_grad():
        trains = neuron(currents[None, :, None], steps)[:, :, 0].T
    first, last = table.reachable(Box(currents.double(), currents.double()))
    for train, low, high in zip(trains.double(), first.tolist(), last.tolist(), strict=True):
        assert bool((table.trains[low : high + 1] == train).all(1).any())


@examples(50)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=12))
def test_range_minima_answer_every_range(values: list[int]):
    column = torch.tensor(values, dtype=torch.float64)[:, None]
    levels = range_minima(column, len(values))
    for first in range(len(values)):
        for last in range(first, len(values)):
            level = (last - first + 1).bit_length() - 1
            start = level * len(values)
            least = min(levels[start + first, 0], levels[start + last - 2**level + 1, 0])
            assert float(least) == min(values[first : last + 1])


@given(st.data())
def test_combinations_are_the_same_for_few_and_for_many_neurons(data: st.DataObject):
    """One look-up for all ranges of rows, where there are more neurons than ranges; range minima elsewhere."""
    table = table_of(data.draw(neurons(4)), 4)
    size = len(table.trains)
    ends = torch.tensor(data.draw(st.lists(st.tuples(*[st.integers(0, size - 1)] * 2), min_size=1, max_size=8)))
    first, last = ends.sort(1).values.T
    rows = torch.randn((3, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few = TableTrains(table, first, last).combine(rows)
    many = TableTrains(table, first.repeat(size**2), last.repeat(size**2)).combine(rows)
    values = rows @ table.trains.T
    for k, (i, j) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for found in (few, many):
            torch.testing.assert_close(found.lower[:, k], values[:, i : j + 1].amin(1))
            torch.testing.assert_close(found.upper[:, k], values[:, i : j + 1].amax(1))
    assert all_range_minima(values.T).shape == (3, size**2)


def test_table_is_refused_beyond_its_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spikecert.certify.bounds.trains.train_table.MOST_ROWS", 3)
    assert train_table(Leaky(0.7, reset="subtract"), 9, Rounding(torch.float32)) is None
