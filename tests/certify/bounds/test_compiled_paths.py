"""The compiled shortest paths: against torch's, and that what overflows proves nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, LInf, SpikingNetwork, mlp, verify
from spikecert.certify.bounds.prices.price_graph import PricedGraph, _agrees, paths, paths_for
from spikecert.certify.bounds.prices.prices import PricedProblem
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import Complete, Linear
from spikecert.kernels import CompiledPaths
from spikecert.models.circuit import leaky_rule
from spikecert.models.kernels import KERNELS, use_kernel
from spikecert.models.rules import Leaky
from spikecert.testing import neurons
from support.examples import examples


def compiled() -> CompiledPaths:
    found = paths()
    if isinstance(found, str):
        assert "rounds otherwise" not in found
        pytest.skip(found)
    return found


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
    expected, answer = graph.least(costs, prices), compiled().least(graph.packed, costs, prices)
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
    before, answers = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(compiled().least(graph.packed, costs, prices))
    torch.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*answers, strict=True))


def test_they_run_only_where_they_are_wanted():
    like = torch.zeros(3, 2, dtype=torch.float64)
    compiled()
    assert paths_for("compiled", like) is paths()
    assert paths_for("eager", like) is None
    assert paths_for("compiled", like.float()) is None
    assert paths_for("compiled", like[:, :0]) is None


def hard_case(kernel: str, radius: float = 0.15) -> tuple[SpikingNetwork, Tensor, Tensor, LInf]:
    torch.manual_seed(0)
    network = mlp((6, 12, 8, 3), num_steps=5, neuron=LIF(decay=0.9)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    use_kernel(network, kernel)
    inputs = torch.rand(6, 6)
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1), LInf(radius)


@pytest.mark.parametrize(
    ("verifier", "radius"), [(Linear(), 0.05), (Complete(), 0.15)], ids=["linear", "complete"]
)
def test_verdicts_are_those_of_the_eager_kernel(verifier: Linear | Complete, radius: float):
    compiled()
    eager, quick = (verify(*hard_case(kernel, radius), verifier) for kernel in ("eager", "compiled"))
    assert [verdict.status for verdict in eager] == [verdict.status for verdict in quick]
    assert {verdict.status for verdict in eager} - {"unknown"}


def test_a_kernel_that_says_too_much_is_not_used():
    built = compiled()
    assert _agrees(built, torch.float64)

    class Liar(CompiledPaths):
        def least(self, graphs, costs, prices):
            value, spikes, currents = super().least(graphs, costs, prices)
            return value + 1e-6, spikes, currents

    assert not _agrees(Liar(built.functions), torch.float64)


@pytest.mark.parametrize("size", [1e300, 1e305, float("inf"), float("nan")])
@pytest.mark.parametrize("kernel", KERNELS)
def test_prices_that_overflow_prove_nothing(kernel: str, size: float):
    network, inputs, labels, threat = hard_case(kernel)
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


def test_without_a_compiler_torch_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    paths.cache_clear()
    try:
        assert isinstance(paths(), str)
        found = verify(*hard_case("compiled"), "complete")
        assert {verdict.status for verdict in found} <= {"verified", "falsified"}
    finally:
        paths.cache_clear()
