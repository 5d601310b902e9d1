"""Trains told by age, against linear-programming feasibility of each of the 2^T trains, and against the graph."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikecert import LIF, LInf, circuit, mlp
from spikecert.certify.bounds import long_trains as module
from spikecert.certify.bounds.long_trains import LongTrains, aged_trains, labels_of, long_trains, windows_of
from spikecert.certify.bounds.propagation import logit_bounds
from spikecert.certify.bounds.signals.membrane import drive
from spikecert.certify.bounds.signals.signals import InputSignal, Signal
from spikecert.certify.bounds.signals.windows import Box, Spans
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.bounds.trains.trains import conserved_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models.circuit import leaky_rule
from spikecert.models.deadline import TimeIsUp, ending
from spikecert.models.rules import Leaky
from spikecert.testing.neurons import DECAYS, THRESHOLDS
from support.examples import examples
from support.graphs import Ends, boxes
from support.oracles import feasible_trains

EXACT = Rounding(torch.float64)


def signal(low: list[float], high: list[float]) -> InputSignal:
    lower, upper = (torch.tensor(ends, dtype=torch.float64)[:, None, None] for ends in (low, high))
    return InputSignal(Box(lower, upper), len(low))


def aged(current: Signal, rule: Leaky, labels: int, windows: bool = True) -> LongTrains:
    drives, asked = drive(current, rule, EXACT), Spans.of(rule, current.num_steps, labels)
    return aged_trains(drives, rule, labels, windows_of(current, asked, drives) if windows else None)


def some_rows(steps: int, seed: int) -> torch.Tensor:
    rows = torch.randn((6, steps), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat((rows, rows[:3].abs(), torch.eye(steps, dtype=torch.float64), torch.ones(1, steps).double()))


@examples(80)
@given(boxes(), DECAYS, THRESHOLDS, st.integers(1, 5), st.booleans(), st.integers(0, 2**31))
def test_no_feasible_train_escapes(
    box: Ends, decay: float, threshold: float, labels: int, windows: bool, seed: int
):
    neuron = LIF(decay=decay, threshold=threshold)
    steps = len(box[0])
    found = aged(signal(*box), leaky_rule(neuron, steps), labels, windows)
    trains = torch.tensor(sorted(feasible_trains(neuron.dynamics, *box, slack=-1e-6)), dtype=torch.float64)
    assume(len(trains) > 0)
    rows = some_rows(steps, seed)
    ends = found.combine(rows)
    sums = rows @ trains.T
    assert bool((ends.lower[:, 0] <= sums.amin(1, keepdim=True) + 1e-12).all())
    assert bool((ends.upper[:, 0] >= sums.amax(1, keepdim=True) - 1e-12).all())
    assert bool((found.box.lower[:, 0, 0] <= trains.amin(0)).all())
    assert bool((found.box.upper[:, 0, 0] >= trains.amax(0)).all())


def chain(seed: int, steps: int) -> Signal:
    """Return trains of a graph as a current, so that windows tell more than steps do."""
    generator = torch.Generator().manual_seed(seed)
    middle, radius = torch.randn(2, steps, 3, 5, generator=generator, dtype=torch.float64)
    if seed % 2:
        middle = (middle * 4).round() / 4  # many potentials exactly on a threshold
    radius = radius.abs() * 0.3 * (seed % 3)
    return graph_trains(InputSignal(Box(middle - radius, middle + radius), steps), Leaky(0.9), EXACT)


@examples(60)
@given(
    st.integers(0, 2**31), st.sampled_from([1, 2, 3, 6, 9]), DECAYS, st.integers(1, 10), st.sampled_from([1, -0.5])
)
def test_all_labels_are_the_graph_and_fewer_hold_it(
    seed: int, steps: int, decay: float, labels: int, scale: float
):
    current = chain(seed, steps)
    rule = Leaky(decay, scale=None if scale == 1 else tuple(scale * (t - 1) for t in range(steps)))
    graph, found = graph_trains(current, rule, EXACT, windows=True), aged(current, rule, labels)
    rows = some_rows(steps, seed)
    wide, narrow = found.combine(rows), graph.combine(rows)
    assert bool((wide.lower <= narrow.lower + 1e-12).all())
    assert bool((wide.upper >= narrow.upper - 1e-12).all())
    if labels >= steps:
        assert torch.equal(found.box.lower, graph.box.lower)
        assert torch.equal(found.box.upper, graph.box.upper)
        torch.testing.assert_close(wide.lower, narrow.lower, rtol=0, atol=1e-12)
        torch.testing.assert_close(wide.upper, narrow.upper, rtol=0, atol=1e-12)


@examples(40)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 5, 9]), DECAYS, st.integers(1, 10), st.integers(1, 9))
def test_windows_are_those_of_each_row(seed: int, steps: int, decay: float, labels: int, longest: int):
    found = aged(chain(seed, steps), Leaky(decay), labels)
    asked = Spans.of(Leaky(0.8), steps, longest)
    for ends in (range(1, steps + 1), *asked.blocks(3)):
        one, other = found.windowed(asked, ends), Signal.windowed(found, asked, ends)
        torch.testing.assert_close(one.lower, other.lower, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.upper, other.upper, rtol=0, atol=1e-12)


def test_counts_of_many_steps_are_exact():
    current = signal([0.25] * 700, [0.55] * 700)
    found = aged(current, Leaky(0.5), 8)
    ones = torch.ones(1, 700, dtype=torch.float64)
    counts, sums = found.combine(ones)[0], found.windowed(Spans.of(Leaky(1.0), 700), range(700, 701))[-1]
    assert torch.equal(counts.lower, sums.lower)
    assert torch.equal(counts.upper, sums.upper)
    assert float(counts.lower) == 0
    assert float(counts.upper) > 150


@pytest.mark.parametrize("labels", [1, 4, 64])
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_no_run_of_a_network_leaves_its_bounds(monkeypatch: pytest.MonkeyPatch, labels: int, decay: float):
    monkeypatch.setattr(module, "labels_of", lambda decay, steps: labels)
    torch.manual_seed(3)
    network = mlp((6, 8, 8, 8, 3), num_steps=40, neuron=LIF(decay=decay)).eval()
    for layer in network.layers[::2]:
        assert isinstance(layer, torch.nn.Linear)
        torch.nn.init.normal_(layer.weight, std=0.6)
        torch.nn.init.normal_(layer.bias, mean=0.4, std=0.2)
    inputs = torch.rand(8, 6)
    ends = LInf(0.03 if decay else 0.3).enclosure(inputs)
    known = logit_bounds(circuit(network), ends, conserved_spikes)
    share = torch.rand(200, *inputs.shape).round()
    tried = (ends.lower + share * (ends.upper - ends.lower)).to(torch.float32)
    with torch.no_grad():
        logits = torch.stack([network(each) for each in tried]).double()
    assert bool((known.lower <= logits.amin(0)).all())
    assert bool((known.upper >= logits.amax(0)).all())
    assert float((logits.amax(0) - logits.amin(0)).max()) > 0  # something moves


def test_how_many_labels_there_are():
    assert [labels_of(0.9, steps) for steps in (1, 128, 129, 500)] == [1, 128, 32, 32]
    assert [labels_of(decay, 500) for decay in (0.0, 0.5, 0.99, 1.0)] == [32, 32, 64, 64]


def test_a_deadline_ends_it():
    current = signal([0.25] * 200, [0.55] * 200)
    with pytest.raises(TimeIsUp), ending(0.0):
        long_trains(current, Leaky(0.5), EXACT)


def test_other_resets_are_not_told_by_age():
    with pytest.raises(AssertionError):
        long_trains(signal([0.0], [1.0]), replace(Leaky(0.5), reset="subtract"), EXACT)
