"""Windows behind a table and a dense layer, found by a kernel, and the trains by age and graphs that they make."""

from collections.abc import Callable
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
from spikecert.certify.bounds.signals.membrane import widened_windows
from spikecert.certify.bounds.signals.signals import AffineSignal
from spikecert.certify.bounds.signals.windows import Box, Spans
from spikecert.certify.bounds.trains import trains as compiled_long
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.bounds.trains.train_table import TableTrains, train_table
from spikecert.certify.bounds.trains.trains import BalancedTable, conserved_spikes, window_spikes
from spikecert.certify.rounding import Rounding
from spikecert.kernels.graph import AgedTrains, long_kernel
from spikecert.models.deadline import TimeIsUp, ending
from spikecert.models.linear_maps import DenseMap
from spikecert.models.rules import Leaky
from spikecert.testing.neurons import DECAYS, THRESHOLDS
from support.examples import examples

EXACT, COARSE = Rounding(torch.float64), Rounding(torch.float32)
RULE = Leaky(0.9)


def _tensors(found: LongTrains | GraphTrains) -> tuple[Tensor, ...]:
    if isinstance(found, LongTrains):
        return found.box.lower, found.box.upper, found.edges, found.stays, found.waits, found.ends
    return found.box.lower, found.box.upper, found.ends, *found.edges


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


def eager(current: AffineSignal) -> AffineSignal:
    """Return the same current, whose windows no kernel finds."""
    found = replace(current)
    vars(found)["by_table"] = None
    return found


SIZES = st.sampled_from([(1, 1, 1), (3, 5, 4), (2, 17, 9), (5, 8, 16)])
FACTORS = st.sampled_from([None, 1.0, -0.5])


def scaled(factor: float | None, steps: int) -> tuple[float, ...] | None:
    return None if factor is None else tuple(factor * (t % 5 - 1) for t in range(steps))


@examples(150)
@given(
    seed=st.integers(0, 2**31),
    steps=st.sampled_from([1, 2, 7, 33, 40]),
    decays=st.tuples(DECAYS, DECAYS),
    longest=st.integers(1, 40),
    sizes=SIZES,
    factor=FACTORS,
    grid=st.booleans(),
)
def test_windows_are_those_of_torch(seed, steps, decays, longest, sizes, factor, grid):
    """All at once, in blocks one behind the other, and in blocks that do not follow each other."""
    current = layer(seed, steps, decays[1], sizes, grid)
    asked = Spans.of(Leaky(decays[0], scale=scaled(factor, steps)), steps, longest)
    slack = torch.rand(sizes[0], sizes[2], generator=torch.Generator().manual_seed(seed)).double() * (seed % 2)
    blocks = [range(1, steps + 1), *asked.blocks(3 * asked.longest), *list(asked.blocks(2 * asked.longest))[::-2]]
    for ends in blocks:
        for found, expected in (
            (current.windowed(asked, ends), eager(current).windowed(asked, ends)),
            (widened_windows(current, asked, ends, slack), widened_windows(eager(current), asked, ends, slack)),
        ):
            torch.testing.assert_close(found.lower, expected.lower, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(found.upper, expected.upper, rtol=1e-12, atol=1e-12)


@examples(100)
@given(
    seed=st.integers(0, 2**31),
    steps=st.sampled_from([1, 2, 7, 13, 40]),
    decays=st.tuples(DECAYS, DECAYS),
    threshold=THRESHOLDS,
    labels=st.integers(1, 40),
    sizes=SIZES,
    factor=FACTORS,
    grid=st.booleans(),
)
def test_trains_are_those_of_torch(seed, steps, decays, threshold, labels, sizes, factor, grid):
    rule, labels = Leaky(decays[0], threshold, scale=scaled(factor, steps)), min(labels, steps)
    current = layer(seed, steps, decays[1], sizes, grid)
    found = [long_trains(one, rule, EXACT, labels=labels) for one in (current, eager(current))]
    graphs = [graph_trains(one, rule, EXACT, windows=True) for one in (current, eager(current))]
    for pair in (found, graphs):
        assert all(torch.equal(*both) for both in zip(*map(_tensors, pair), strict=True))
    generator = torch.Generator().manual_seed(seed)
    costs = torch.randn(3, steps, generator=generator).double()
    costs[1] = (costs[1] * 2).round()  # ties, and steps that cost nothing
    if labels == steps:  # nothing gets old: the paths are those of the graph
        one, other = found[0].combine(costs), graphs[0].combine(costs)
        torch.testing.assert_close(one.lower, other.lower, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.upper, other.upper, rtol=0, atol=1e-12)


def test_a_deadline_ends_the_walk_along_paths(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spikecert.kernels.graph.AT_ONCE", 1)
    found = long_trains(layer(5, 33, 0.9, (7, 5, 4)), RULE, EXACT, labels=8)
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
    monkeypatch.setattr(AffineSignal, "by_table", None)
    told = logit_bounds(circuit(network), ends, conserved_spikes)
    assert bool((known.lower <= told.lower + 1e-12).all())  # which is told what earlier spikes took, too
    assert bool((known.upper >= told.upper - 1e-12).all())
    torch.testing.assert_close(known.lower, told.lower, rtol=0, atol=1e-6)


def test_it_is_asked_only_where_it_reaches():
    current = layer(1, 33, 0.9, (2, 5, 4))
    assert current.by_table is not None
    assert current.source.by_table is None
    for weight in (1e290, 1e306):
        huge = affine_map(DenseMap(torch.full((4, 5), weight, dtype=torch.float64)))
        assert AffineSignal(current.source, huge, EXACT).by_table is None
    narrow = replace(current, rounding=Rounding(torch.float32, torch.float32))
    assert narrow.by_table is None
    table = current.source
    assert isinstance(table, TableTrains)
    kept = BalancedTable(table.table, table.first, table.last, RULE, current, torch.zeros(2, 5).double())
    assert replace(current, source=kept).by_table is None


def test_threads_and_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch):
    found = []
    for threads, together in ((1, 2**17), (2, 2**17), (1, 1)):
        torch.set_num_threads(threads)
        monkeypatch.setattr(module, "TOGETHER", together)
        current = layer(5, 33, 0.9, (7, 5, 4))
        graph = graph_trains(current, RULE, EXACT, windows=True)
        found.append((*_tensors(long_trains(current, RULE, EXACT, labels=8)), *_tensors(graph)))
    assert all(torch.equal(*pair) for other in found[1:] for pair in zip(found[0], other, strict=True))


def whole_sum() -> AffineSignal:
    """Return a current of exactly 1 at each step: each of eight sources fires at every step."""
    table = train_table(Leaky(0.0), 4, COARSE)
    assert table is not None
    ones = torch.ones(1, 8, dtype=torch.float64) * 1.5
    source = TableTrains(table, *table.reachable(Box(ones, ones)))
    weights = torch.full((1, 8), 0.125, dtype=torch.float64)
    return AffineSignal(source, affine_map(DenseMap(weights, torch.zeros(1, dtype=torch.float64))), COARSE)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_rounding_is_paid_as_by_torch(decay: float, sign: int):
    """Thresholds next to what a sum is exactly: what may fire above, or be silent below, may by rounding alone."""
    current, reached, fired = whole_sum(), (1.0 if decay == 0 else 1.875), set()
    makers: tuple[Callable[[AffineSignal, Leaky], LongTrains | GraphTrains], ...] = (
        lambda one, rule: long_trains(one, rule, COARSE, labels=4),
        lambda one, rule: graph_trains(one, rule, COARSE, windows=True),
    )
    for k in range(60):
        rule = Leaky(decay, threshold=reached + sign * 5e-7 * k)
        for make in makers:
            one, other = make(current, rule), make(eager(current), rule)
            assert all(torch.equal(*pair) for pair in zip(_tensors(one), _tensors(other), strict=True))
            fired.add(float((one.box.upper if sign > 0 else one.box.lower).max()))
    assert fired == {0.0, 1.0}


def test_a_deadline_ends_it():
    for spikes in (conserved_spikes, window_spikes):
        with pytest.raises(TimeIsUp), ending(0.0):
            spikes(layer(5, 33, 0.9, (7, 5, 4)), RULE, EXACT)


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_no_run_leaves_what_is_known_with_it(decay: float):
    torch.manual_seed(3)
    network, inputs = mlp((6, 9, 8, 3), num_steps=7, neuron=LIF(decay, threshold=0.5)).eval(), torch.rand(3, 6)
    for parameter in network.parameters():
        parameter.data *= 6.0
    ends, known = LInf(0.2).enclosure(inputs), {}
    known["compiled"] = logit_bounds(circuit(network), ends, window_spikes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AffineSignal, "by_table", None)
        known["eager"] = logit_bounds(circuit(network), ends, window_spikes)
    tried = ends.lower + torch.rand(300, *inputs.shape).round() * (ends.upper - ends.lower)
    with torch.no_grad():
        logits = torch.stack([network(each.float()) for each in tried]).double()
    assert bool((known["compiled"].lower <= logits.amin(0)).all())
    assert bool((known["compiled"].upper >= logits.amax(0)).all())
    assert float((logits.amax(0) - logits.amin(0)).max()) > 0  # something moves
    torch.testing.assert_close(known["compiled"].lower, known["eager"].lower, rtol=0, atol=1e-12)
    torch.testing.assert_close(known["compiled"].upper, known["eager"].upper, rtol=0, atol=1e-12)


@pytest.mark.parametrize("field", ["slack", "widening"])
def test_what_rounding_adds_widens_every_window(field: str):
    """By its weight in each window: of moduli, or of ages."""
    current, asked, ends = (
        layer(2, 5, 0.9, (2, 5, 4)),
        Spans.of(Leaky(0.5, scale=(1.0, -2.0, 0.5, 3.0, 1.0)), 5),
        range(1, 6),
    )
    told, more = current.by_table, torch.full((2, 4), 0.25).double()
    assert told is not None
    wide, kernel = replace(told, slack=told.slack + more, kept={}) if field == "slack" else told, long_kernel()
    plain = kernel.table_windows(told, asked.ages, asked.factors, ends)
    found = kernel.table_windows(wide, asked.ages, asked.factors, ends, more if field == "widening" else None)
    weight = asked.sums(ends)[1] if field == "slack" else asked.weights[asked.places(ends)[1]]
    expected = 0.25 * weight[:, None, None].expand_as(plain[0])
    torch.testing.assert_close(plain[0] - found[0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1] - plain[1], expected, rtol=0, atol=1e-12)
