"""Bounds in float32: they hold what float64 holds, cost only rounding, and leave float64 networks alone.

The compiled shortest paths: against torch's, and that what overflows proves nothing.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import SpikingNetwork
from spikecert.certify import L2, LInf
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.prices.priced_layer import PricedGraph
from spikecert.certify.bounds.prices.prices import PricedProblem
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.signals import InputSignal, SpikeBound
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.bounds.trains.trains import step_spikes, train_spikes
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.rounding import Rounding
from spikecert.kernels.graph import paths_kernel
from spikecert.models import LIF, mlp
from spikecert.models.circuit import circuit, leaky_rule
from spikecert.models.rules import Leaky
from spikecert.testing import Case, cases, neurons
from support.eager_paths import shortest
from support.examples import examples
from support.oracles import line_margin

BOUNDS = pytest.mark.parametrize("spikes", [interval_spikes, step_spikes], ids=["interval", "trains"])


@given(st.lists(st.floats(-1e30, 1e30) | st.floats(-1e-40, 1e-40) | st.just(0.0), min_size=1))
def test_rounding_outward_holds_the_box_and_little_else(values: list[float]):
    ends = torch.tensor(values, dtype=torch.float64)
    found = Box(ends, ends).outward(torch.float32)
    assert found.lower.dtype == found.upper.dtype == torch.float32
    assert bool((found.lower.double() < ends).all())
    assert bool((found.upper.double() > ends).all())
    assert bool((found.upper.double() - found.lower.double() <= 2e-6 * ends.abs() + 2e-30).all())


def test_rounding_outward_keeps_infinite_ends():
    ends = torch.tensor([torch.inf], dtype=torch.float64)
    found = Box(-ends, ends).outward(torch.float32)
    assert (float(found.lower), float(found.upper)) == (-torch.inf, torch.inf)


@BOUNDS
@examples(100)
@given(case=cases(dtypes=(torch.float32,)))
def test_float32_is_never_tighter(spikes: SpikeBound, case: Case):
    box = LInf(case.epsilon).enclosure(case.inputs)
    quick, full = (
        margin_bounds(circuit(case.network), box, case.labels, spikes, quick) for quick in (True, False)
    )
    assert quick.dtype == torch.float64
    assert bool((quick <= full + 1e-9 * (1 + full.abs())).all())


@BOUNDS
@examples(25)
@given(case=cases())
def test_float64_networks_and_balls_stay_in_float64(spikes: SpikeBound, case: Case):
    threats = (
        (LInf(case.epsilon), L2(case.epsilon)) if case.network.dtype == torch.float64 else (L2(case.epsilon),)
    )
    for box in (threat.enclosure(case.inputs) for threat in threats):
        quick, full = (
            margin_bounds(circuit(case.network), box, case.labels, spikes, quick) for quick in (True, False)
        )
        assert torch.equal(quick, full)


@BOUNDS
def test_float32_loses_only_rounding(spikes: SpikeBound):
    torch.manual_seed(0)
    network = mlp((64, 48, 32, 10), num_steps=6, neuron=LIF(decay=0.9)).eval()
    inputs = torch.rand(64, 64)
    labels, box = network(inputs).argmax(1), LInf(0.002).enclosure(inputs)
    quick, full = (margin_bounds(circuit(network), box, labels, spikes, quick) for quick in (True, False))
    assert float((quick == full).double().mean()) > 0.5


@BOUNDS
@examples(100)
@given(case=cases(features=1, most_layers=3, most_width=4, most_steps=4, dtypes=(torch.float32,)))
def test_float32_stays_below_the_exact_margin_on_a_line(spikes: SpikeBound, case: Case):
    case.network.encoding = "direct"
    inputs = case.inputs.reshape(len(case.inputs), -1)[:, :1]
    with torch.no_grad():
        labels, box = case.network(inputs).argmax(1), LInf(case.epsilon).enclosure(inputs)
        proven = margin_bounds(circuit(case.network), box, labels, spikes, quick=True).amin(1)
    lines = zip(box.lower[:, 0].tolist(), box.upper[:, 0].tolist(), labels.tolist(), strict=True)
    exact = [line_margin(case.network.double(), *line) for line in lines]
    assert bool((proven <= torch.tensor(exact, dtype=torch.float64) + 1e-9).all())


def test_trains_are_the_same_with_and_without_their_potentials():
    torch.manual_seed(0)
    network = mlp((16, 12, 8, 3), num_steps=5).eval()
    inputs = torch.rand(8, 16)
    labels, box = network(inputs).argmax(1), LInf(0.05).enclosure(inputs)
    assert torch.equal(
        *(margin_bounds(circuit(network), box, labels, spikes) for spikes in (step_spikes, train_spikes))
    )


def test_the_bound_pays_for_its_own_arithmetic():
    quick, full = Rounding(torch.float32, torch.float32), Rounding(torch.float32)
    assert quick.gamma(100) > 4.9 * full.gamma(100) > 4.9 * 100 * 2**-24


@examples(150)
@given(data=st.data(), steps=st.integers(1, 7), seed=st.integers(0, 2**31))
def test_compiled_paths_are_those_of_torch(data: st.DataObject, steps: int, seed: int):
    neuron = data.draw(neurons(steps, scaled=False))
    generator = torch.Generator().manual_seed(seed)
    pairs = data.draw(st.sampled_from([1, 7, 8, 9, 35]))
    ends = torch.randn(2, steps, 1, pairs, generator=generator).double().sort(0).values
    if data.draw(st.booleans()):
        ends = (ends * 4).round() / 4  # potentials on the threshold, currents without width
    current = InputSignal(Box(ends[0], ends[1]), steps)
    found = graph_trains(current, leaky_rule(neuron, steps), Rounding(torch.float64))
    each = torch.zeros(pairs, dtype=torch.long), torch.arange(pairs)
    graph = PricedGraph.of(found, neuron.dynamics.decay, each)
    costs, prices = torch.randn(2, steps, pairs, generator=generator).double()
    if neuron.dynamics.decay ** (steps - 1) < 1e-6:
        prices.zero_()  # no price reaches such a layer
    if data.draw(st.booleans()):
        costs, prices = costs.round(), prices.round()  # slopes that are equal, or 0
    expected, answer = shortest(graph, costs, prices), graph.least(costs, prices)
    assert torch.allclose(expected[0], answer[0], rtol=1e-9, atol=1e-9)
    value = (costs * answer[1] - prices * answer[2]).sum(0)
    assert torch.allclose(value, answer[0], rtol=1e-6, atol=1e-6), "spikes and currents attain the value"
    inside = (answer[2] >= graph.lower - 1e-9) & (answer[2] <= graph.upper + 1e-9)
    assert bool(inside.all())


def test_threads_do_not_change_the_answer():
    steps, pairs = 5, 100
    ends = torch.randn(2, steps, 1, pairs, generator=torch.Generator().manual_seed(1)).double().sort(0).values
    found = graph_trains(InputSignal(Box(ends[0], ends[1]), steps), Leaky(decay=0.9), Rounding(torch.float64))
    graph = PricedGraph.of(found, 0.9, (torch.zeros(pairs, dtype=torch.long), torch.arange(pairs)))
    costs, prices = torch.randn(2, steps, pairs, generator=torch.Generator().manual_seed(2)).double()
    answers = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(paths_kernel().least(graph.packed, costs, prices))
    assert all(torch.equal(*pair) for pair in zip(*answers, strict=True))


def hard_case(radius: float = 0.15) -> tuple[SpikingNetwork, Tensor, Tensor, LInf]:
    torch.manual_seed(0)
    network = mlp((6, 12, 8, 3), num_steps=5, neuron=LIF(decay=0.9)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    inputs = torch.rand(6, 6)
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1), LInf(radius)


@pytest.mark.parametrize("size", [1e300, 1e305, float("inf"), float("nan")])
def test_prices_that_overflow_prove_nothing(size: float):
    network, inputs, labels, threat = hard_case()
    left = torch.ones(6, 3, dtype=torch.bool).scatter(1, labels[:, None], False)
    question = MarginQuestion.of_margins(network, inputs, labels, threat, left)
    roots = question.roots()
    assert roots is not None
    staged, _ = question.staged(roots)
    problem = PricedProblem.of(staged, question.specifications.about(question.samples(roots), roots.row))
    generator = torch.Generator().manual_seed(0)
    prices = [torch.randn(layer.start().shape, generator=generator).double() * size for layer in problem.layers]
    here = network(inputs)
    margin = here.gather(1, labels[:, None]) - here
    true = margin[left].double()
    bound = problem.evaluate(prices).bound
    assert not bool(bound.isnan().any())
    assert bool((bound <= true).all())
