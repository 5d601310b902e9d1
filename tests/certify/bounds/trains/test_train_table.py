"""F1: the table of trains under a constant current, against rational enumeration and the float32 run.

F2: the graph of trains, against linear-programming feasibility of each of the 2^T trains.

A family of trains that says nothing but where its spikes lie: readers bound it, or refuse it in one line.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LInf, mlp
from spikecert.certify.bounds.prices.priced_layer import priced
from spikecert.certify.bounds.prices.stages import gain_rows, staged
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.signals import InputSignal, Signal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.bounds.trains.train_table import (
    TableTrains,
    Trains,
    TrainTable,
    all_range_minima,
    range_minima,
    train_table,
)
from spikecert.certify.bounds.trains.trains import window_spikes
from spikecert.certify.branching.nodes.decisions import root
from spikecert.certify.milp.encoding import EncodingError, tight_spikes
from spikecert.certify.milp.program import Closing, EncodedLayer, Program
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF
from spikecert.models.circuit import circuit, leaky_rule
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from spikecert.testing.neurons import DECAYS, THRESHOLDS
from support.examples import examples
from support.graphs import Ends, boxes, paths
from support.oracles import exact_trains, feasible_trains

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


def graph(neuron: LIF, low: list[float], high: list[float], dtype: torch.dtype = torch.float64) -> GraphTrains:
    lower, upper = (torch.tensor(ends, dtype=torch.float64)[:, None] for ends in (low, high))
    return graph_trains(InputSignal(Box(lower, upper), len(low)), leaky_rule(neuron, len(low)), Rounding(dtype))


@examples(80)
@given(boxes(), DECAYS, THRESHOLDS)
def test_paths_are_the_feasible_trains(box: Ends, decay: float, threshold: float):
    neuron = LIF(decay=decay, threshold=threshold)
    found = paths(graph(neuron, *box))
    surely = feasible_trains(neuron.dynamics, *box, slack=-1e-6)
    perhaps = feasible_trains(neuron.dynamics, *box, slack=1e-6)
    assert surely <= found <= perhaps


@examples(100)
@given(st.data())
def test_no_run_escapes_its_graph(data: st.DataObject):
    low, high = data.draw(boxes(6))
    neuron = data.draw(neurons(len(low)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    found = graph(neuron, low, high, torch.float32)
    trains = paths(found)
    share = torch.rand((len(low), 64, 1), generator=generator)
    share[:, :32] = share[:, :32].round()
    ends = torch.tensor([low, high])[:, :, None, None]
    currents = (ends[0] + share * (ends[1] - ends[0])).minimum(ends[1]).maximum(ends[0])
    with torch.no_grad():
        spikes = neuron(currents, len(low))[:, :, 0]
    assert {tuple(map(int, column)) for column in spikes.T.tolist()} <= trains
    assert bool((spikes >= found.box.lower[:, 0, None]).all())
    assert bool((spikes <= found.box.upper[:, 0, None]).all())


@examples(100)
@given(boxes(), DECAYS, st.integers(0, 2**31))
def test_combinations_are_the_extreme_paths(box: Ends, decay: float, seed: int):
    found = graph(LIF(decay=decay), *box)
    rows = torch.randn((3, len(box[0])), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    trains = torch.tensor(sorted(paths(found)), dtype=torch.float64)
    values = rows @ trains.T
    combined = found.combine(rows)
    torch.testing.assert_close(combined.lower[:, 0], values.amin(1))
    torch.testing.assert_close(combined.upper[:, 0], values.amax(1))
    for weight in (0.25, -3.0):
        counts, counted = weight * trains.sum(1), found.combine(torch.full((1, len(box[0])), weight).double())
        torch.testing.assert_close(counted.lower[:, 0], counts.amin()[None])
        torch.testing.assert_close(counted.upper[:, 0], counts.amax()[None])
    torch.testing.assert_close(found.steps().lower[:, 0], trains.amin(0))
    torch.testing.assert_close(found.steps().upper[:, 0], trains.amax(0))


@dataclass(frozen=True)
class AnyTrains(Trains):
    """Whatever a layer spikes."""

    like: Tensor
    num_steps: int

    def steps(self) -> Box:
        """Return [0, 1] for each step."""
        ones = torch.ones(self.num_steps, *self.like.shape, dtype=torch.float64)
        return Box(0 * ones, ones)

    def combine(self, rows: Tensor) -> Box:
        """Return the sums of each sign."""
        ones = torch.ones_like(self.like, dtype=torch.float64)
        lower, upper = (end.sum(1).view(-1, 1, 1) * ones for end in (rows.clamp_max(0), rows.clamp_min(0)))
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.like[:1], dtype=torch.float64)


def any_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> AnyTrains:
    return AnyTrains(current.steps().lower[0], current.num_steps)


def test_a_family_without_prices_has_no_stages_and_sound_bounds():
    torch.manual_seed(0)
    network, inputs = mlp((3, 4, 3), num_steps=3, neuron=LIF(0.9)).eval(), torch.rand(2, 3)
    made, box, labels = circuit(network), LInf(0.1).enclosure(inputs), network(inputs).argmax(1)
    assert staged(made, box, any_spikes) is None
    assert staged(made, box, window_spikes) is not None
    free, known = (margin_bounds(made, box, labels, spikes) for spikes in (any_spikes, window_spikes))
    assert bool((free <= known).all())
    assert not bool((free == known).all())


def test_readers_that_do_not_know_a_family_refuse_it_by_name():
    found = AnyTrains(torch.zeros(1, 2), 3)
    assert (found.rows, found.paths, found.priced, found.priceable(1.0)) == (None, None, False, False)
    known = torch.zeros(1, 2)
    assert found.margins(torch.zeros(1, dtype=torch.long), known, Rounding(torch.float32)) is known
    layer = EncodedLayer(Leaky(0.9), found, found, (), np.zeros(2), Rounding(torch.float32))
    with pytest.raises(EncodingError, match="AnyTrains"):
        tight_spikes(Program(), layer, Closing(True))
    for refusal in (
        lambda: root(found, 1),
        lambda: priced(found, None, None),
        lambda: gain_rows(found, None, None),
    ):
        with pytest.raises(TypeError, match="trains: got AnyTrains"):
            refusal()
