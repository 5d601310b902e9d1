"""Ceilings of priced bounds: no prices exceed them, and searches that end by them lose no proof."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.certify import L2, LInf, SpikeFlip, verify
from spikecert.certify.bounds.prices import mixtures, price_search
from spikecert.certify.bounds.prices.mixtures import ceilings
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.prices.priced_layer import PricedGraph
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.verifiers import Linear
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import Case, cases
from support.examples import examples

CLIMB = PriceSearch(25)


def problem_of(net: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: Perturbation) -> PricedProblem | None:
    """Return the margins to every class, priced; None where prices reach nothing."""
    stages = staged(circuit(net), threat.enclosure(inputs), sums=True)
    if stages is None or not all(stage.priceable for stage in stages.stages):
        return None
    classes = net(inputs).shape[1]
    rows = torch.arange(len(labels)).repeat_interleave(classes)
    coefficients = -torch.eye(classes, dtype=torch.float64).repeat(len(labels), 1)
    ones = torch.ones(len(rows), 1).double()
    return PricedProblem.of(stages, Specifications(rows, coefficients.scatter_add_(1, labels[rows, None], ones)))


def check_no_prices_exceed(problem: PricedProblem, seed: int) -> Tensor:
    """Ask at prices of 0, drawn ones of three sizes, and those that a search finds; return the ceilings."""
    found, generator = ceilings(problem), torch.Generator().manual_seed(seed)
    for size in (0.0, 0.01, 0.1, 1.0):
        prices = [torch.randn(layer.start().shape, generator=generator).double() for layer in problem.layers]
        assert bool((problem.evaluate([size * price for price in prices]).bound <= found).all())
    climbed = CLIMB.run(problem.network, problem.specifications, target=torch.inf)
    assert bool((climbed.bound <= found).all())
    return found


@examples(80)
@given(case=cases(most_layers=4, most_steps=5), seed=st.integers(0, 2**31))
def test_no_prices_exceed_a_ceiling(case: Case, seed: int):
    problem = problem_of(case.network, case.inputs, case.labels, LInf(case.epsilon))
    if problem is not None:
        check_no_prices_exceed(problem, seed)


def tight(seed: int, reset: str = "zero", decay: float = 0.9, steps: int = 6) -> SpikingNetwork:
    """Return a network whose neurons fire about every third step."""
    torch.manual_seed(seed)
    return mlp((5, 10, 8, 8, 3), num_steps=steps, neuron=LIF(decay, 0.25, reset)).eval()


@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.3])
def test_no_climb_exceeds_a_ceiling(decay: float, steps: int, epsilon: float):
    below = 0
    for seed in range(2):
        net = tight(seed, decay=decay, steps=steps)
        inputs = torch.rand(4, 5, generator=torch.Generator().manual_seed(seed))
        problem = problem_of(net, inputs, net(inputs).argmax(1), LInf(epsilon))
        assert problem is not None
        found = check_no_prices_exceed(problem, seed)
        assert bool(found.isfinite().all())
        below += int((found < 0).sum())
    assert below > 0 or epsilon < 0.1


@pytest.mark.parametrize("threat", [L2(0.3), LInf(0.1)])
def test_sets_that_are_more_than_boxes_have_ceilings_too(threat: Perturbation):
    net, inputs = tight(0), torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    problem = problem_of(net, inputs, net(inputs).argmax(1), threat)
    assert problem is not None
    check_no_prices_exceed(problem, 0)


def test_the_point_of_a_budget_of_flips_is_the_sample():
    """The middle of the box of all flips lies far outside of a budget of one flip: what it says is no ceiling."""
    for seed in range(3):
        torch.manual_seed(seed)
        net = SpikingNetwork(*mlp((5, 10, 8, 3), neuron=LIF(0.9, 0.3)).layers, num_steps=4, encoding="none").eval()
        events = (torch.rand(4, 3, 5) < 0.4).float().transpose(0, 1).contiguous()
        problem = problem_of(net, events, net(events).argmax(1), SpikeFlip(1))
        assert problem is not None
        found = check_no_prices_exceed(problem, seed)
        assert bool(found.isfinite().all())


def test_layers_without_a_graph_have_none():
    for net in (tight(0, "subtract"), mlp((5, 8, 3), num_steps=4).eval()):
        inputs = torch.rand(2, 5)
        problem = problem_of(net, inputs, net(inputs).argmax(1), LInf(0.1))
        assert problem is not None
        assert bool(ceilings(problem).isinf().all())


def test_no_proof_is_lost_and_much_of_the_search_is_spared(monkeypatch: pytest.MonkeyPatch):
    """The same verdicts as without ceilings, from narrowing too; margins of open samples may be lower."""
    evaluated = [0]
    evaluate = PricedProblem.evaluate

    def counted(problem: PricedProblem, prices: list[Tensor]):
        evaluated[0] += len(problem.specifications.samples)
        return evaluate(problem, prices)

    monkeypatch.setattr(PricedProblem, "evaluate", counted)
    spared = asked = 0
    for seed in range(2):
        torch.manual_seed(seed)
        net = mlp((6, 16, 16, 16, 16, 16, 3), num_steps=4, neuron=LIF(0.9, 0.2)).eval()
        inputs = torch.rand(8, 6, generator=torch.Generator().manual_seed(seed))
        labels = net(inputs).argmax(1)
        for epsilon in (0.005, 0.05, 0.2):
            evaluated[0] = 0
            found = verify(net, inputs, labels, LInf(epsilon), "linear")
            spared -= evaluated[0]
            with monkeypatch.context() as patch:
                patch.setattr(
                    price_search,
                    "ceilings",
                    lambda asked: torch.full((len(asked.specifications.samples),), torch.inf),
                )
                evaluated[0] = 0
                whole = verify(net, inputs, labels, LInf(epsilon), "linear")
            spared, asked = spared + evaluated[0], asked + evaluated[0]
            assert [one.status for one in found] == [one.status for one in whole]
            for one, other in zip(found, whole, strict=True):
                assert one.margin is not None
                assert other.margin is not None
                assert one.margin <= other.margin + 1e-9 or one.status == "verified"
    assert spared > asked / 4


def test_what_is_useful_follows_narrowing():
    known = torch.tensor([-8.0, -1.0, 0.0], dtype=torch.float64)
    for verifier in (Linear(), Linear(narrowing=None)):
        assert verifier._useful(known).tolist() == pytest.approx([-3.0, -0.375, 0.0])


def test_a_current_that_the_graph_does_not_admit_is_no_point():
    """A run that leaves its window since the last spike, or fires where no edge is, is told."""
    net, inputs = tight(0), torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    problem = problem_of(net, inputs, net(inputs).argmax(1), LInf(0.05))
    assert problem is not None
    layer = problem.layers[0]
    graph, rule = layer.priced.trains, layer.stage.rule
    assert isinstance(graph, PricedGraph)
    middle = (graph.lower + graph.upper) / 2
    trains, found = mixtures._runs(graph, rule, torch.stack((middle, graph.upper + 1.0, graph.lower - 1.0)))
    assert bool(found[0].any())
    assert not bool(found[1:].any())
    assert trains.shape == (3, *middle.shape)
