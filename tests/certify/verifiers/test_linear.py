"""The priced bounds: what they must equal, and what they must not depend on."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecert.certify import LInf
from spikecert.certify.bounds import price_search
from spikecert.certify.bounds.price_search import PriceSearch
from spikecert.certify.bounds.prices import PricedProblem, Specifications
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.stages import priceable, staged
from spikecert.certify.verifiers import TRAINS, Linear
from spikecert.models import LIF, SpikingNetwork, mlp
from support.networks import Case, cases


def network(sizes: tuple[int, ...] = (6, 12, 8, 3)) -> SpikingNetwork:
    torch.manual_seed(3)
    return mlp(sizes, num_steps=5, neuron=LIF(decay=0.9, threshold=0.3)).eval()


def samples(net: SpikingNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.rand(8, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return inputs, net(inputs).argmax(1)


def specifications(labels: torch.Tensor, classes: int) -> Specifications:
    rows = torch.arange(len(labels)).repeat_interleave(classes)
    coefficients = -torch.eye(classes, dtype=torch.float64).repeat(len(labels), 1)
    return Specifications(
        rows, coefficients.scatter_add_(1, labels[rows, None], torch.ones(len(rows), 1).double())
    )


@settings(max_examples=60, deadline=None)
@given(case=cases(most_steps=4))
def test_prices_of_zero_give_the_bound_of_the_trains(case: Case):
    stages = staged(case.network, LInf(case.epsilon).enclosure(case.inputs))
    if stages is None or not all(map(priceable, stages.stages)):
        return
    classes = case.network(case.inputs).shape[1]
    problem = PricedProblem.of(stages, specifications(case.labels, classes))
    bound = problem.evaluate([layer.start() for layer in problem.layers]).bound.view(-1, classes)
    box = LInf(case.epsilon).enclosure(case.inputs)
    trains = margin_bounds(case.network, box, case.labels, TRAINS.stages[-1])
    finite = trains.isfinite()
    torch.testing.assert_close(bound[finite], trains[finite], atol=1e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(case=cases(most_steps=4, dtypes=(torch.float64,)), seed=st.integers(0, 2**31))
def test_the_bound_is_concave_with_this_supergradient(case: Case, seed: int):
    """g(μ') ≤ g(μ) + ∇g(μ)·(μ' − μ) for any two prices."""
    stages = staged(case.network, LInf(case.epsilon).enclosure(case.inputs))
    if stages is None or not all(map(priceable, stages.stages)):
        return
    generator = torch.Generator().manual_seed(seed)
    classes = case.network(case.inputs).shape[1]
    problem = PricedProblem.of(stages, specifications(case.labels, classes))
    one, other = (
        [torch.randn(layer.start().shape, generator=generator).double() for layer in problem.layers] for _ in "ab"
    )
    here, there = problem.evaluate(one), problem.evaluate(other)
    rise = here.bound.clone()
    for layer, gradient, p, q in zip(problem.layers, here.gradients, one, other, strict=True):
        rise.index_add_(0, layer.pairs[0], (gradient * (q - p)).sum(0))
    assert bool((there.bound <= rise + 1e-6 * (1 + rise.abs())).all())


def test_more_iterations_prove_no_less():
    net = network()
    inputs, labels = samples(net)
    few, many = (Linear(PriceSearch(n)).margins(net, inputs, labels, LInf(0.15)) for n in (0, 40))
    assert bool((many >= few - 1e-9).all())
    assert bool((many > few + 1e-3).any())


def test_the_bounds_do_not_depend_on_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch):
    net = network()
    inputs, labels = samples(net)
    together = Linear().margins(net, inputs, labels, LInf(0.15))
    monkeypatch.setattr(price_search, "MOST_BYTES", 1)
    alone = Linear().margins(net, inputs, labels, LInf(0.15))
    torch.testing.assert_close(together, alone, atol=1e-9, rtol=1e-9)


def test_the_time_being_up_leaves_what_is_proven_so_far():
    net = network()
    inputs, labels = samples(net)
    trains = TRAINS.margins(net, inputs, labels, LInf(0.15))
    asked = [0]

    def after(count: int) -> Callable[[], bool]:
        asked[0] = 0

        def expired() -> bool:
            asked[0] += 1
            return asked[0] > count

        return expired

    assert torch.equal(Linear().margins(net, inputs, labels, LInf(0.15), after(1)), trains)
    bounds = [Linear().margins(net, inputs, labels, LInf(0.15), after(count)) for count in (12, 100_000)]
    assert bool((bounds[0] > trains + 1e-3).any())
    assert bool((bounds[1] >= bounds[0]).all())
    assert bool((bounds[1] > bounds[0] + 1e-3).any())


def test_a_subtracting_reset_behind_the_first_layer_leaves_the_bound_of_the_trains():
    torch.manual_seed(3)
    net = mlp((6, 12, 8, 3), num_steps=5, neuron=LIF(decay=0.9, threshold=0.3, reset="subtract")).eval()
    inputs, labels = samples(net)
    linear = Linear().margins(net, inputs, labels, LInf(0.05))
    assert bool((linear == TRAINS.margins(net, inputs, labels, LInf(0.05))).all())
