"""The compiled trains by age, and graphs with windows, behind a table and a dense layer: those of torch."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, LInf, SpikingNetwork, circuit, mlp
from spikecert.certify.bounds import long_trains as module
from spikecert.certify.bounds.long_trains import LongTrains, long_trains
from spikecert.certify.bounds.propagation import logit_bounds
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.membrane import Drive
from spikecert.certify.bounds.signals.signals import AffineSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains import trains
from spikecert.certify.bounds.trains import trains as compiled_long
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.bounds.trains.train_table import TableTrains, train_table
from spikecert.certify.bounds.trains.trains import (
    _graph,
    _trains,
    conserved_spikes,
    kernel_graph,
    kernel_trains,
    window_spikes,
)
from spikecert.certify.rounding import Rounding
from spikecert.kernels.graph import AgedTrains, CompiledGraph, graph_kernel, long_kernel
from spikecert.models.deadline import TimeIsUp, ending
from spikecert.models.linear_maps import DenseMap
from spikecert.models.rules import Leaky
from spikecert.testing.neurons import DECAYS, THRESHOLDS
from support.examples import examples

EXACT = Rounding(torch.float64)


def _tensors(found: LongTrains) -> tuple[Tensor, ...]:
    return (found.box.lower, found.box.upper, found.edges, found.stays, found.waits, found.ends)


def layer(seed: int, steps: int, decay: float, sizes: tuple[int, int, int], grid: bool = False) -> AffineSignal:
    """Return the current of a dense layer behind a table, of (batch, sources, neurons)."""
    generator = torch.Generator().manual_seed(seed)
    batch, sources, neurons = sizes
    weights = torch.randn(neurons, sources, generator=generator).double()
    bias = torch.randn(neurons, generator=generator).double() * 0.3
    if grid:
        weights, bias = (weights * 4).round() / 8, (bias * 4).round() / 4
    table = train_table(Leaky(decay), steps, EXACT)
    assert table is not None
    middle = torch.rand(batch, sources, generator=generator).double() * 1.5
    radius = 0.3 * torch.rand(batch, sources, generator=generator).double() * (seed % 3)
    rows = table.reachable(Box(middle - radius, middle + radius))
    return AffineSignal(TableTrains(table, *rows), affine_map(DenseMap(weights, bias)), EXACT)


@examples(150)
@given(
    seed=st.integers(0, 2**31),
    steps=st.sampled_from([1, 2, 7, 33, 40]),
    decay=DECAYS,
    before=DECAYS,
    threshold=THRESHOLDS,
    labels=st.integers(1, 40),
    sizes=st.sampled_from([(1, 1, 1), (3, 5, 4), (2, 17, 9), (5, 8, 16)]),
    scale=st.sampled_from([None, 1.0, -0.5]),
    grid=st.booleans(),
)
def test_trains_are_those_of_torch(seed, steps, decay, before, threshold, labels, sizes, scale, grid):
    factors = None if scale is None else tuple(scale * (t % 5 - 1) for t in range(steps))
    rule = Leaky(decay, threshold, scale=factors)
    current, labels = layer(seed, steps, before, sizes, grid), min(labels, steps)
    expected = long_trains(current, rule, EXACT, labels=labels)
    found = _trains(long_kernel(), current, rule, EXACT, labels)
    for one, other in zip(_tensors(expected), _tensors(found), strict=True):
        assert torch.equal(one, other)
    generator = torch.Generator().manual_seed(seed)
    costs = torch.randn(3, steps, generator=generator).double()
    costs[1] = (costs[1] * 2).round()  # ties, and steps that cost nothing
    for rows in (costs, torch.ones(1, steps).double(), torch.zeros(1, steps).double()):
        one, other = expected.combine(rows), found.combine(rows)
        assert torch.equal(one.lower, other.lower)
        assert torch.equal(one.upper, other.upper)


def test_a_deadline_ends_the_walk_along_paths(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spikecert.kernels.graph.AT_ONCE", 1)
    found = _trains(long_kernel(), layer(5, 33, 0.9, (7, 5, 4), False), Leaky(0.9), EXACT, 8)
    calls, rows = [], torch.randn(2, 33).double()
    trains = AgedTrains(found.edges, found.stays, found.waits, found.ends, found.box.lower, found.box.upper)
    sums = long_kernel().path_sums(trains, rows, lambda: calls.append(0))
    assert len(calls) == 28  # a neuron at a time
    assert torch.equal(sums.unflatten(2, (7, 4))[0], found.combine(rows).lower)
    with pytest.raises(TimeIsUp), ending(0.0):
        found.combine(rows)


def long_network(decay: float, width: int = 9) -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(3)
    network = mlp((6, 8, width, 8, 3), num_steps=40, neuron=LIF(decay=decay)).eval()
    for part in network.layers[::2]:
        assert isinstance(part, torch.nn.Linear)
        torch.nn.init.normal_(part.weight, std=0.6)
        torch.nn.init.normal_(part.bias, mean=0.4, std=0.2)
    return network, torch.rand(8, 6)


@pytest.mark.parametrize("labels", [1, 4, 40])
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_no_run_of_a_network_leaves_its_bounds(monkeypatch: pytest.MonkeyPatch, labels: int, decay: float):
    for place in (module, compiled_long):
        monkeypatch.setattr(place, "labels_of", lambda decay, steps: labels)
    network, inputs = long_network(decay)
    ends = LInf(0.03 if decay else 0.3).enclosure(inputs)
    known = logit_bounds(circuit(network), ends, conserved_spikes)
    share = torch.rand(300, *inputs.shape).round()
    tried = (ends.lower + share * (ends.upper - ends.lower)).to(torch.float32)
    with torch.no_grad():
        logits = torch.stack([network(each) for each in tried]).double()
    assert bool((known.lower <= logits.amin(0)).all())
    assert bool((known.upper >= logits.amax(0)).all())
    assert float((logits.amax(0) - logits.amin(0)).max()) > 0  # something moves
    monkeypatch.setattr(trains, "kernel_trains", lambda *given: None)
    eager = logit_bounds(circuit(network), ends, conserved_spikes)
    torch.testing.assert_close(known.lower, eager.lower, rtol=0, atol=1e-12)
    torch.testing.assert_close(known.upper, eager.upper, rtol=0, atol=1e-12)


def test_it_is_asked_only_where_it_reaches():
    current, rule = layer(1, 33, 0.9, (2, 5, 4), False), Leaky(0.9)
    assert kernel_trains(current, rule, EXACT) is not None
    assert kernel_trains(current.source, rule, EXACT) is None
    huge = AffineSignal(
        current.source, affine_map(DenseMap(torch.full((4, 5), 1e290, dtype=torch.float64))), EXACT
    )
    assert kernel_trains(huge, rule, EXACT) is None


def test_threads_and_parts_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch):
    current, rule, found = layer(5, 33, 0.9, (7, 5, 4)), Leaky(0.9), []
    for threads, at_once in ((1, 2**31), (2, 2**31), (1, 1)):
        torch.set_num_threads(threads)
        monkeypatch.setattr("spikecert.kernels.graph.AT_ONCE", at_once)
        found.append(_tensors(_trains(long_kernel(), current, rule, EXACT, 8)))
    assert all(torch.equal(*pair) for other in found[1:] for pair in zip(found[0], other, strict=True))


COARSE = Rounding(torch.float32)


def whole_sum() -> AffineSignal:
    """Return a current of exactly 1 at each step: each of eight sources fires at every step."""
    table = train_table(Leaky(0.0), 4, COARSE)
    assert table is not None
    ones = torch.ones(1, 8, dtype=torch.float64) * 1.5
    source = TableTrains(table, *table.reachable(Box(ones, ones)))
    weights = torch.full((1, 8), 0.125, dtype=torch.float64)
    return AffineSignal(source, affine_map(DenseMap(weights, torch.zeros(1, dtype=torch.float64))), COARSE)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_rounding_is_paid_as_by_torch(decay: float):
    """Thresholds just above what a sum is exactly: what may fire there may only because rounding is paid."""
    current = whole_sum()
    reached, fired = (1.0 if decay == 0 else 1.875), set()
    for k in range(60):
        rule = Leaky(decay, threshold=reached + 5e-7 * k)
        one, other = (
            _tensors(each)
            for each in (
                long_trains(current, rule, COARSE, labels=4),
                _trains(long_kernel(), current, rule, COARSE, 4),
            )
        )
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
        fired.add(float(one[1].max()))
    assert fired == {0.0, 1.0}


def test_a_deadline_ends_it():
    with pytest.raises(TimeIsUp), ending(0.0):
        _trains(long_kernel(), layer(5, 33, 0.9, (7, 5, 4), False), Leaky(0.9), EXACT, 8)


RULE = Leaky(0.9)


def same(one: GraphTrains, other: GraphTrains) -> bool:
    """Return whether two graphs are the same, and their numbers up to the order of sums."""
    exact = zip(
        (*one.edges, one.ends, *_ends(one.box)), (*other.edges, other.ends, *_ends(other.box)), strict=True
    )
    near = zip(_ends(one.drives, *one.reach), _ends(other.drives, *other.reach), strict=True)
    return all(torch.equal(*pair) for pair in exact) and all(torch.allclose(*pair, 1e-9, 1e-9) for pair in near)


def _ends(box: Box | Drive, *others: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return (box.lower, box.upper, *(end for pair in others for end in pair))


@examples(60)
@given(
    seed=st.integers(0, 2**31),
    steps=st.sampled_from([1, 2, 5, 8, 13]),
    decay=DECAYS,
    before=DECAYS,
    threshold=THRESHOLDS,
    sizes=st.sampled_from([(1, 1, 1), (3, 5, 4), (2, 17, 9), (5, 8, 16)]),
    scale=st.sampled_from([None, 1.0, -0.5]),
    grid=st.booleans(),
)
def test_graphs_are_those_of_torch(seed, steps, decay, before, threshold, sizes, scale, grid):
    factors = None if scale is None else tuple(scale * (t % 5 - 1) for t in range(steps))
    rule, current = Leaky(decay, threshold, scale=factors), layer(seed, steps, before, sizes, grid)
    found, expected = (
        _graph(graph_kernel(), current, rule, EXACT),
        graph_trains(current, rule, EXACT, windows=True),
    )
    assert same(expected, found)
    assert torch.equal(expected.drives.slack, found.drives.slack)
    assert expected.drives.limits == found.drives.limits


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_rounding_is_paid_in_graphs_as_by_torch(decay: float, sign: int):
    """Thresholds next to what a sum is exactly: what may fire above, or be silent below, may by rounding alone."""
    current = whole_sum()
    reached, fired = (1.0 if decay == 0 else 1.875), set()
    for k in range(60):
        rule = Leaky(decay, threshold=reached + sign * 5e-7 * k)
        found = _graph(graph_kernel(), current, rule, COARSE)
        assert same(graph_trains(current, rule, COARSE, windows=True), found)
        fired.add(float((found.box.upper if sign > 0 else found.box.lower).max()))
    assert fired == {0.0, 1.0}


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_no_run_leaves_what_is_known_with_it(decay: float):
    torch.manual_seed(3)
    network, inputs = mlp((6, 9, 8, 3), num_steps=7, neuron=LIF(decay, threshold=0.5)).eval(), torch.rand(3, 6)
    for parameter in network.parameters():
        parameter.data *= 6.0
    ends, known = LInf(0.2).enclosure(inputs), {}
    known["compiled"] = logit_bounds(circuit(network), ends, window_spikes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trains, "kernel_graph", lambda *given: None)
        known["eager"] = logit_bounds(circuit(network), ends, window_spikes)
    tried = ends.lower + torch.rand(300, *inputs.shape).round() * (ends.upper - ends.lower)
    with torch.no_grad():
        logits = torch.stack([network(each.float()) for each in tried]).double()
    assert bool((known["compiled"].lower <= logits.amin(0)).all())
    assert bool((known["compiled"].upper >= logits.amax(0)).all())
    assert float((logits.amax(0) - logits.amin(0)).max()) > 0  # something moves
    torch.testing.assert_close(known["compiled"].lower, known["eager"].lower, rtol=0, atol=1e-12)
    torch.testing.assert_close(known["compiled"].upper, known["eager"].upper, rtol=0, atol=1e-12)


def test_graphs_are_asked_only_where_they_reach():
    current = layer(1, 5, 0.9, (2, 5, 4))
    assert kernel_graph(current, RULE, EXACT) is not None
    assert kernel_graph(current, Leaky(0.9, reset="subtract"), EXACT) is None
    assert kernel_graph(current.source, RULE, EXACT) is None
    assert kernel_graph(layer(1, 64, 0.9, (1, 2, 2)), RULE, EXACT) is None
    for weight in (1e290, 1e306):
        huge = affine_map(DenseMap(torch.full((4, 5), weight, dtype=torch.float64)))
        assert kernel_graph(AffineSignal(current.source, huge, EXACT), RULE, EXACT) is None


def test_threads_do_not_change_graphs():
    current, found = layer(5, 6, 0.9, (7, 5, 4)), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(_graph(graph_kernel(), current, Leaky(0.9), EXACT))
    pairs = zip(found[0].reach, found[1].reach, strict=True)
    assert same(*found)
    assert all(torch.equal(*ends) for one, other in pairs for ends in zip(one, other, strict=True))


def test_a_deadline_ends_graphs():
    with pytest.raises(TimeIsUp), ending(0.0):
        _graph(graph_kernel(), layer(5, 6, 0.9, (7, 5, 4)), Leaky(0.9), EXACT)


@pytest.mark.parametrize("field", ["slack", "widening"])
def test_what_rounding_adds_widens_every_window(field: str):
    """A slack a thousand times too wide: ends move by its weight in each window, below and above."""
    built, current = graph_kernel(), layer(2, 5, 0.9, (2, 5, 4))

    class Wide(CompiledGraph):
        def graphs(self, *given, table, **options):
            wider = replace(table, **{field: getattr(table, field) + 0.25})
            return super().graphs(*given, table=wider, **options)

    found, wide = (
        _graph(built, current, Leaky(0.9), EXACT),
        _graph(Wide(built.functions), current, Leaky(0.9), EXACT),
    )
    assert float((found.drives.lower - wide.drives.lower).abs().max()) == 0  # each step's own end is torch's
    assert not same(found, wide)
    assert bool((wide.ends | ~found.ends).all())
