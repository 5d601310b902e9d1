"""The compiled graph behind a table and a dense layer: that of torch, and refusals where torch is asked."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, LInf, circuit, mlp
from spikecert.certify.bounds.long.compiled_graph import _graph, kernel_graph
from spikecert.certify.bounds.propagation import logit_bounds
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.membrane import Drive
from spikecert.certify.bounds.signals.signals import AffineSignal
from spikecert.certify.bounds.trains import trains
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.bounds.trains.train_table import TableTrains, train_table
from spikecert.certify.bounds.trains.trains import window_spikes
from spikecert.certify.rounding import Rounding
from spikecert.kernels.graph import CompiledGraph, graph_kernel
from spikecert.models.deadline import TimeIsUp, ending
from spikecert.models.linear_maps import DenseMap
from spikecert.models.rules import Leaky
from spikecert.testing.neurons import DECAYS, THRESHOLDS
from support.examples import examples

EXACT = Rounding(torch.float64)
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


def layer(seed: int, steps: int, decay: float, sizes: tuple[int, int, int], grid: bool = False) -> AffineSignal:
    """Return the current of a dense layer behind a table, of (batch, sources, neurons)."""
    generator = torch.Generator().manual_seed(seed)
    batch, sources, neurons = sizes
    weights = torch.randn(neurons, sources, generator=generator).double()
    bias = torch.randn(neurons, generator=generator).double() * 0.3
    if grid:  # currents exactly on thresholds, and weights of 0
        weights, bias = (weights * 4).round() / 8, (bias * 4).round() / 4
    table = train_table(Leaky(decay), steps, EXACT)
    assert table is not None
    middle = torch.rand(batch, sources, generator=generator).double() * 1.5
    radius = 0.3 * torch.rand(batch, sources, generator=generator).double() * (seed % 3)
    rows = table.reachable(Box(middle - radius, middle + radius))
    return AffineSignal(TableTrains(table, *rows), affine_map(DenseMap(weights, bias)), EXACT)


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
def test_rounding_is_paid_as_by_torch(decay: float, sign: int):
    """Thresholds next to what a sum is exactly: what may fire above, or be silent below, may by rounding alone."""
    coarse, table = Rounding(torch.float32), train_table(Leaky(0.0), 4, Rounding(torch.float32))
    assert table is not None
    ones = torch.ones(1, 8, dtype=torch.float64) * 1.5  # each source fires at every step
    source = TableTrains(table, *table.reachable(Box(ones, ones)))
    weights = torch.full((1, 8), 0.125, dtype=torch.float64)
    current = AffineSignal(source, affine_map(DenseMap(weights, torch.zeros(1, dtype=torch.float64))), coarse)
    reached, fired = (1.0 if decay == 0 else 1.875), set()
    for k in range(60):
        rule = Leaky(decay, threshold=reached + sign * 5e-7 * k)
        found = _graph(graph_kernel(), current, rule, coarse)
        assert same(graph_trains(current, rule, coarse, windows=True), found)
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


def test_it_is_asked_only_where_it_reaches():
    current = layer(1, 5, 0.9, (2, 5, 4))
    assert kernel_graph(current, RULE, EXACT) is not None
    assert kernel_graph(current, Leaky(0.9, reset="subtract"), EXACT) is None
    assert kernel_graph(current.source, RULE, EXACT) is None
    assert kernel_graph(layer(1, 64, 0.9, (1, 2, 2)), RULE, EXACT) is None
    for weight in (1e290, 1e306):
        huge = affine_map(DenseMap(torch.full((4, 5), weight, dtype=torch.float64)))
        assert kernel_graph(AffineSignal(current.source, huge, EXACT), RULE, EXACT) is None


def test_threads_do_not_change_the_answer():
    current, before, found = layer(5, 6, 0.9, (7, 5, 4)), torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(_graph(graph_kernel(), current, Leaky(0.9), EXACT))
    torch.set_num_threads(before)
    pairs = zip(found[0].reach, found[1].reach, strict=True)
    assert same(*found)
    assert all(torch.equal(*ends) for one, other in pairs for ends in zip(one, other, strict=True))


def test_a_deadline_ends_it():
    with pytest.raises(TimeIsUp), ending(0.0):
        _graph(graph_kernel(), layer(5, 6, 0.9, (7, 5, 4)), Leaky(0.9), EXACT)


@pytest.mark.parametrize("field", ["slack", "widening"])
def test_what_rounding_adds_widens_every_window(field: str):
    """A slack a thousand times too wide: ends move by its weight in each window, below and above."""
    built, current = graph_kernel(), layer(2, 5, 0.9, (2, 5, 4))

    class Wide(CompiledGraph):
        def graphs(self, layer, limits):
            return super().graphs(replace(layer, **{field: getattr(layer, field) + 0.25}), limits)

    found, wide = (
        _graph(built, current, Leaky(0.9), EXACT),
        _graph(Wide(built.functions), current, Leaky(0.9), EXACT),
    )
    assert float((found.drives.lower - wide.drives.lower).abs().max()) == 0  # each step's own end is torch's
    assert not same(found, wide)
    assert bool((wide.ends | ~found.ends).all())
