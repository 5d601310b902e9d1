"""The compiled shortest paths: against torch's, and that what overflows proves nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, LInf, SpikingNetwork, mlp
from spikecert.certify.bounds.prices.priced_layer import PricedGraph
from spikecert.certify.bounds.prices.prices import PricedProblem
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.rounding import Rounding
from spikecert.kernels.paths import paths_kernel
from spikecert.models.circuit import leaky_rule
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from support.eager_paths import shortest
from support.examples import examples


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
