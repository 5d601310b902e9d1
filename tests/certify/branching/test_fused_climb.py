"""The compiled climb: as far as torch's, where it applies, and that nothing is proven by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import L2, LIF, LInf, SpikingNetwork, mlp, verify
from spikecert.certify.bounds.prices.price_search import pair_prices
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import Staged
from spikecert.certify.bounds.trains.trains import window_spikes
from spikecert.certify.branching import fused_climb
from spikecert.certify.branching.bounding import Climb, _first_layer_score, _gaps, bound_nodes
from spikecert.certify.branching.fused_climb import FusedClimb, _readout
from spikecert.certify.branching.nodes.decisions import Nodes, RowRanges, trim_rows
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.perturbations import Perturbation
from spikecert.kernels.climb import ClimbSettings, CompiledClimb, Proposal, proof_kernel
from spikecert.models import DLIF
from support.eager_paths import proven
from support.examples import examples

SETTINGS = ClimbSettings(8, 0.1, 0.9, (0.5, 0.9), torch.inf)


def asked(
    neuron: LIF,
    steps: int = 5,
    sizes: tuple[int, ...] = (6, 12, 8, 3),
    threat: Perturbation | None = None,
) -> MarginQuestion:
    """Ask for all margins of six samples of a network whose bounds leave much open."""
    torch.manual_seed(0)
    network = mlp(sizes, num_steps=steps, neuron=neuron).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
        if name.endswith("input_scale"):
            parameter.data = torch.tensor([1.0, 0.5, -0.5, 1.5])
    inputs = torch.rand(6, sizes[0])
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    left = torch.ones(6, sizes[-1], dtype=torch.bool).scatter(1, labels[:, None], False)
    return MarginQuestion.of_margins(network, inputs, labels, threat or LInf(0.15), left)


def staged_children(question: MarginQuestion) -> tuple[Staged, Specifications, Nodes]:
    """Return the children of the open roots, those that are not empty."""
    roots = question.roots()
    assert roots is not None
    bounded = bound_nodes(question, roots, Climb(5))
    chosen = bounded.nodes.select((bounded.nodes.bound <= 0) & bounded.splittable)
    nodes = chosen.children()
    network, empty = question.staged(nodes)
    alive = (~empty).nonzero().flatten()
    assert len(alive) > 3
    left = nodes.select(alive)
    return network, question.specifications.about(alive, left.row), left


@contextmanager
def without_kernel() -> Iterator[None]:
    """Let torch climb."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FusedClimb, "of", staticmethod(lambda network: None))
        yield


NEURONS = {
    "zero": (LIF(0.9), 5, (6, 12, 8, 3)),
    "subtract": (LIF(0.9, reset="subtract"), 5, (6, 12, 8, 3)),
    "none": (LIF(0.8, reset="none"), 9, (6, 12, 8, 3)),
    "scaled": (DLIF(4, 0.9), 4, (6, 12, 8, 3)),
    "one hidden layer": (LIF(0.9), 8, (6, 20, 3)),
    "three hidden layers": (LIF(0.9), 4, (6, 17, 16, 5, 3)),
    "one step": (LIF(0.0), 1, (6, 12, 8, 3)),
    "a ball": (LIF(0.9), 5, (6, 12, 8, 3), L2(0.25)),
}


@pytest.mark.parametrize("name", NEURONS)
def test_its_bounds_are_those_of_torch_at_its_prices(name: str):
    question = replace(asked(*NEURONS[name]), spikes=window_spikes)  # graphs, not cells, of what subtracts, too
    network, specifications, nodes = staged_children(question)
    fused = FusedClimb.of(network)
    assert fused is not None
    start = tuple(price.double() for price in nodes.prices)
    found = fused.run(specifications, start, SETTINGS)
    problem = PricedProblem.of(network, specifications)
    prices = pair_prices(problem, tuple(price.double() for price in found.prices))
    here = problem.evaluate(prices)
    assert torch.allclose(found.best, here.bound, 1e-4, 1e-4)
    with torch.no_grad():
        trace = question.trace(found.inputs.float())
    layers, last = problem.layers, len(problem.layers) - 1
    parts = [(layers[k], here.costs[k], prices[k], here.minimisers[k], trace, last - k) for k in range(last + 1)]
    score = _first_layer_score([_gaps(*part) for part in reversed(parts)], problem)
    near = torch.isclose(found.score, score, 1e-2, 1e-3 * float(score.max()))
    assert float(near.double().mean()) > 0.9, "a spike at its threshold may be there or not"
    before = problem.evaluate(pair_prices(problem, start)).bound
    assert bool((found.best >= before - 1e-4).all())
    assert name == "one step" or bool((found.best > before + 1e-3).any()), "a climb must climb"


@examples(40)
@given(
    seed=st.integers(0, 2**31),
    neuron=st.sampled_from([LIF(0.9), LIF(0.5), LIF(1.0), LIF(0.8, reset="none"), DLIF(4, 0.9)]),
    sizes=st.sampled_from([(1, 1, 1, 2), (3, 17, 3), (2, 5, 9, 3), (3, 7, 5, 4, 3)]),
    epsilon=st.sampled_from([0.0, 0.1, 0.4]),
    size=st.sampled_from([1e-3, 2.0, 1e6]),
    grid=st.booleans(),
    threat=st.sampled_from([LInf, L2]),
)
def test_what_is_proven_is_what_torch_proves(seed, neuron, sizes, epsilon, size, grid, threat):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = mlp(sizes, num_steps=4, neuron=neuron).double().eval()
    for name, parameter in network.named_parameters():
        if not name.endswith("input_scale"):
            parameter.data = ((parameter * 4).round() / 2 if grid else parameter) * size
    inputs = torch.rand(4, sizes[0], generator=generator, dtype=torch.float64)
    labels, left = torch.zeros(4, dtype=torch.long), torch.ones(4, sizes[-1], dtype=torch.bool)
    left[:, 0] = False
    question = MarginQuestion.of_margins(network, inputs, labels, threat(epsilon), left)
    roots = question.roots()
    assert roots is not None
    fused = FusedClimb.of(question.staged(roots)[0])
    assert fused is not None
    draws = (torch.randn(price.shape, generator=generator).float() * size for price in roots.prices)
    prices, asking = tuple(draws), question.specifications
    one, other = fused.prove(asking, prices), proven(fused.network, asking, prices)
    assert torch.allclose(one.bound, other.bound, 1e-6, 1e-6 * size)
    needed = (one.bound <= 0) & (other.bound <= 0)
    assert torch.equal(one.lowest[needed], other.lowest[needed])
    assert torch.equal(one.highest[needed], other.highest[needed])


@pytest.mark.parametrize("threat", [LInf(0.15), L2(0.25)])
def test_rounding_is_paid_at_least_as_by_torch(threat: Perturbation):
    """With a unit of error of 1 the bound falls by the sum of all moduli."""
    question = asked(LIF(0.9), threat=threat)
    network, asking, nodes = staged_children(question)
    fused, built = FusedClimb.of(network), proof_kernel()
    assert fused is not None
    given = asking.samples, _readout(network, asking), nodes.prices[::-1]
    paid, free = (built.prove(fused.exact, *given, error, 0.0).bound for error in (1.0, 0.0))
    problem = PricedProblem.of(network, asking)
    evaluation = problem.evaluate(pair_prices(problem, tuple(price.double() for price in nodes.prices)))
    moduli = sum(least.size for least in evaluation.minimisers)
    moduli = moduli + sum(cost.abs().flatten(2).sum((0, 2)) for cost in evaluation.costs)
    assert bool((free - paid >= moduli * 0.99).all())
    assert bool((free >= evaluation.bound).all())


@pytest.mark.parametrize("size", [1e147, 1e160, 1e300])
def test_what_comes_near_an_overflow_proves_nothing(size: float):
    network, asking, nodes = staged_children(asked(LIF(0.9)))
    fused, built = FusedClimb.of(network), proof_kernel()
    assert fused is not None
    table = replace(fused.exact[0], weights=fused.exact[0].weights * size, box_high=fused.exact[0].box_high * size)
    given = (
        asking.samples,
        _readout(network, asking),
        tuple(torch.ones_like(price) for price in nodes.prices[::-1]),
    )
    found = built.prove((table, fused.exact[1]), *given, 1e-12, 0.0)
    assert bool(found.bound.isneginf().all())
    assert bool((found.lowest == 0).all() and (found.highest == len(table.row_low) - 1).all())


@pytest.mark.parametrize("threat", [LInf(0.15), L2(0.25)])
def test_it_climbs_as_far_as_torch(threat: Perturbation):
    question = asked(LIF(0.9), threat=threat)
    with without_kernel():
        _, _, nodes = staged_children(question)
    nodes = replace(nodes, bound=torch.full_like(nodes.bound, -torch.inf))
    one = bound_nodes(question, nodes, Climb(10))
    with without_kernel():
        other = bound_nodes(question, nodes, Climb(10))
    left = (one.nodes.bound <= 0) & (other.nodes.bound <= 0)
    assert bool(left.any())
    assert torch.allclose(one.nodes.bound[left], other.nodes.bound[left], atol=0.02)
    assert torch.allclose(one.candidates[left], other.candidates[left], atol=0.05)


def test_what_it_drops_of_a_node_is_what_the_nodes_own_prices_prove():
    question = asked(LIF(0.9))
    _, _, nodes = staged_children(question)
    found = bound_nodes(question, nodes, Climb(10)).nodes
    network, empty = question.staged(nodes)
    specifications = question.specifications.about(torch.arange(len(nodes)), nodes.row)
    problem = PricedProblem.of(network, specifications)
    prices = pair_prices(problem, tuple(price.double() for price in found.prices))
    evaluation = problem.evaluate(prices)
    assert isinstance(nodes.decisions, RowRanges)
    assert isinstance(found.decisions, RowRanges)
    trimmed = trim_rows(problem, prices, evaluation, nodes.decisions)
    is_open = (evaluation.bound <= 0) & ~empty
    assert bool(is_open.any())
    assert not bool(is_open.all())
    assert torch.equal(found.decisions.first[is_open], trimmed.first[is_open])
    assert torch.equal(found.decisions.last[is_open], trimmed.last[is_open])
    proven = found.bound > 0
    assert torch.equal(proven, (evaluation.bound.maximum(nodes.bound) > 0) | empty)


def test_threads_do_not_change_what_it_finds():
    network, specifications, nodes = staged_children(asked(LIF(0.9)))
    fused, answers = FusedClimb.of(network), []
    assert fused is not None
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(fused.run(specifications, nodes.prices, SETTINGS))
    assert torch.equal(answers[0].best, answers[1].best)
    assert torch.equal(answers[0].score, answers[1].score)


@pytest.mark.parametrize(
    "question",
    [
        lambda: asked(LIF(0.01), steps=9),
        lambda: asked(LIF(0.9, reset="subtract")),
    ],
    ids=["prices that do not reach", "cells"],
)
def test_torch_climbs_what_it_does_not_reach(question):
    asking = question()
    roots = asking.roots()
    assert FusedClimb.of(asking.staged(roots)[0]) is None
    assert len(bound_nodes(asking, roots, Climb(2)).nodes) == len(roots)


def test_it_takes_double_where_slopes_are_steep():
    question = asked(LIF(0.5), steps=8)
    roots = question.roots()
    assert roots is not None
    fused = FusedClimb.of(question.staged(roots)[0])
    assert fused is not None
    assert fused.layers[0].weights.dtype == torch.float64


class Liar(CompiledClimb):
    """Says `lie` wherever it is asked for a number."""

    def __init__(self, lie: float) -> None:
        super().__init__(None)  # pyright: ignore[reportArgumentType]
        object.__setattr__(self, "lie", lie)

    def climb(self, settings, layers, sample, readout, start) -> Proposal:
        table, count, lie = layers[0], len(sample), self.lie  # pyright: ignore

        def lies(*shape: int) -> Tensor:
            return torch.full(shape, lie, dtype=torch.float64)

        prices = tuple(torch.full_like(price, lie) for price in start)
        inputs = lies(count, table.box_low.shape[1])
        return Proposal(lies(count), prices, inputs, lies(count, table.lower.shape[1]))


@pytest.mark.parametrize("lie", [1e6, 0.3, float("nan"), -float("inf")])
def test_a_kernel_that_lies_changes_no_verdict(lie: float, monkeypatch: pytest.MonkeyPatch):
    def decided(seconds: float | None) -> list[str]:
        question = asked(LIF(0.9), sizes=(6, 8, 6, 3))
        network, threat = question.network, LInf(0.12)
        found = verify(network, question.inputs, question.labels, threat, "complete", timeout=seconds)
        return [verdict.status for verdict in found]

    honest = decided(None)
    assert {"verified", "falsified"} == set(honest)
    monkeypatch.setattr(fused_climb, "climb_kernel", lambda dtype: Liar(lie))
    for status, truth in zip(decided(1.0), honest, strict=True):
        assert status in ("unknown", truth)


def test_convolutions_are_climbed_as_one_matrix():
    torch.manual_seed(1)
    layers = torch.nn.Conv2d(1, 3, 3, bias=False), LIF(0.9), torch.nn.AvgPool2d(2), torch.nn.Flatten()
    network = SpikingNetwork(*layers, torch.nn.Linear(12, 8), LIF(0.9), torch.nn.Linear(8, 3), num_steps=4).eval()
    for parameter in network.parameters():
        parameter.data *= 3.0
    inputs = torch.rand(4, 1, 6, 6)
    labels = network(inputs).argmax(1)
    left = torch.ones(4, 3, dtype=torch.bool).scatter(1, labels[:, None], False)
    question = MarginQuestion.of_margins(network, inputs, labels, LInf(0.05), left)
    roots = question.roots()
    assert roots is not None
    staged = question.staged(roots)[0]
    fused = FusedClimb.of(staged)
    assert fused is not None
    specifications = question.specifications.about(torch.arange(len(roots)), torch.arange(len(roots)))
    found = fused.run(specifications, roots.prices, SETTINGS)
    problem = PricedProblem.of(staged, specifications)
    here = problem.evaluate(pair_prices(problem, tuple(price.double() for price in found.prices))).bound
    assert torch.allclose(found.best, here, 1e-4, 1e-4)
