"""The priced bounds: what they must equal, and what they must not depend on."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.certify import L2, LInf
from spikecert.certify.bounds.prices import price_search
from spikecert.certify.bounds.prices.narrowing import WindowSearch, applies
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.prices.priced_layer import PricedCells, collected
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.windows import Spans
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import TRAINS, Linear
from spikecert.models import LIF, Residual, SpikingNetwork, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import Case, cases, points
from support.examples import examples


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


def test_prices_behind_cells_pay_for_what_a_run_rounds() -> None:
    """A price is on L = u + d·S: a run's own strays from the exact one of its spikes by no more than the slack."""
    torch.manual_seed(3)
    net = mlp((6, 12, 8, 3), num_steps=12, neuron=LIF(0.9, 0.3, "subtract")).eval()
    inputs, labels = samples(net)
    stages = staged(circuit(net), LInf(0.5).enclosure(inputs))
    assert stages is not None
    problem = PricedProblem.of(stages, specifications(labels, 3))
    (layer,) = (layer for layer in problem.layers if isinstance(layer.priced.trains, PricedCells))
    with torch.no_grad():
        trace = net.trace(inputs)
    below, spikes, left = (part.double() for part in (trace.spikes[0], trace.spikes[1], trace.potentials[1]))
    chain = net.layers[2]
    assert isinstance(chain, nn.Linear)
    exact = collected(below @ chain.weight.detach().double().T + chain.bias.detach().double(), 0.9)
    strays = (left - 0.3 * spikes + 0.3 * collected(spikes, 0.9) - exact).abs()
    found = strays[:, layer.pairs[0] // 3, layer.pairs[1]]
    assert float(found.max()) > 1e-9
    assert bool((found <= layer.priced.slack).all())


def test_products_that_cancel_pay_for_their_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices of two neurons that hear w and −w leave nothing; float64 has rounded both products by then."""
    net = mlp((2, 1, 2, 3), num_steps=2, neuron=LIF(0.5)).double().eval()
    weights = [[1.0, 1.0]], [[2.0**20], [-(2.0**20)]]
    for layer, weight in zip((net.layers[0], net.layers[2]), weights, strict=True):
        assert isinstance(layer, nn.Linear)
        layer.weight.data, layer.bias.data = torch.tensor(weight, dtype=torch.float64), layer.bias.data * 0
    stages = staged(circuit(net), LInf(0.1).enclosure(torch.full((1, 2), 0.5, dtype=torch.float64)))
    assert stages is not None
    problem = PricedProblem.of(stages, specifications(torch.tensor([0]), 3))
    prices = [torch.ones_like(layer.start()) for layer in problem.layers]
    spread = problem.layers[0].spread(prices[0])
    paid = problem.evaluate(prices).bound
    monkeypatch.setattr(PricedProblem, "_moduli", lambda *_: torch.zeros(3, dtype=torch.float64))
    least = problem.unit_error * spread.abs().flatten(2).sum((0, 2)) * 2.0**20
    assert bool((problem.evaluate(prices).bound - paid >= 0.99 * least).all())
    assert float(least.min()) > 1e-9


@examples(60)
@given(case=cases(most_steps=4))
def test_prices_of_zero_give_the_bound_of_the_trains(case: Case):
    stages = staged(circuit(case.network), LInf(case.epsilon).enclosure(case.inputs))
    if stages is None or not all(stage.priceable for stage in stages.stages):
        return
    classes = case.network(case.inputs).shape[1]
    problem = PricedProblem.of(stages, specifications(case.labels, classes))
    bound = problem.evaluate([layer.start() for layer in problem.layers]).bound.view(-1, classes)
    box = LInf(case.epsilon).enclosure(case.inputs)
    trains = margin_bounds(circuit(case.network), box, case.labels, TRAINS.stages[-1])
    finite = trains.isfinite()
    torch.testing.assert_close(bound[finite], trains[finite], atol=1e-4, rtol=1e-4)


@examples(60)
@given(case=cases(most_steps=4, dtypes=(torch.float64,)), seed=st.integers(0, 2**31))
def test_the_bound_is_concave_with_this_supergradient(case: Case, seed: int):
    """g(μ') ≤ g(μ) + ∇g(μ)·(μ' − μ) for any two prices."""
    stages = staged(circuit(case.network), LInf(case.epsilon).enclosure(case.inputs))
    if stages is None or not all(stage.priceable for stage in stages.stages):
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


def test_giving_up_leaves_what_is_proven_so_far():
    net = network()
    inputs, labels = samples(net)
    trains = TRAINS.margins(net, inputs, labels, LInf(0.15))
    hasty, patient = (
        Linear(PriceSearch(outlook=0.0, reach=reach), narrowing=None).margins(net, inputs, labels, LInf(0.15))
        for reach in (0.0, 1e9)
    )
    assert bool((hasty >= trains).all())
    assert bool((patient >= hasty).all())
    assert bool((patient > hasty + 1e-3).any())


def test_no_bound_of_a_logit_is_given_up():
    net = network()
    inputs, _ = samples(net)
    hasty, patient = (
        Linear(PriceSearch(outlook=0.0, reach=r)).logits(net, inputs, LInf(0.15)) for r in (0.0, 1e9)
    )
    assert torch.equal(hasty.lower, patient.lower)


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


@pytest.mark.parametrize("reset", ["subtract", "none"])
def test_prices_reach_layers_whose_potential_outlasts_a_spike(reset: str):
    torch.manual_seed(3)
    net = mlp((6, 12, 8, 3), num_steps=5, neuron=LIF(decay=0.9, threshold=0.3, reset=reset)).eval()
    inputs, labels = samples(net)
    linear = Linear(narrowing=None).margins(net, inputs, labels, LInf(0.15))
    trains = TRAINS.margins(net, inputs, labels, LInf(0.15))
    assert bool((linear >= trains).all())
    assert bool((linear > trains + 1e-3).any())


def test_a_layer_that_prices_do_not_reach_leaves_the_others_theirs():
    torch.manual_seed(3)
    neurons = [LIF(decay=decay, threshold=0.3) for decay in (0.9, 0.0, 0.9)]
    layers = [nn.Linear(6, 12), neurons[0], nn.Linear(12, 8), neurons[1], nn.Linear(8, 8), neurons[2]]
    net = SpikingNetwork(*layers, nn.Linear(8, 3), num_steps=5).eval()
    inputs, labels = samples(net)
    linear = Linear().margins(net, inputs, labels, LInf(0.1))
    trains = TRAINS.margins(net, inputs, labels, LInf(0.1))
    assert bool((linear >= trains).all())
    assert bool((linear > trains + 1e-3).any())


def residual_network(seed: int) -> SpikingNetwork:
    """Return a network whose second layer adds the spikes of the first, and whose readout adds the input."""
    torch.manual_seed(seed)
    neurons = [LIF(decay=0.9, threshold=0.3) for _ in range(3)]
    inner = Residual([neurons[0], nn.Linear(8, 8)], [nn.Linear(8, 8)])
    layers = [nn.Linear(6, 8), neurons[1], inner, neurons[2], nn.Linear(8, 6)]
    return SpikingNetwork(Residual(layers), nn.Linear(6, 3), num_steps=4).eval()


@pytest.mark.parametrize("threat", [LInf(0.05), L2(0.1)], ids=lambda t: t.norm)
def test_prices_pull_back_through_residual_sums(threat: LInf | L2):
    generator, gained = torch.Generator().manual_seed(0), 0
    for seed in range(6):
        net = residual_network(seed)
        inputs, labels = samples(net)
        stages = staged(circuit(net), threat.enclosure(inputs), sums=True)
        assert stages is not None
        assert not stages.sequential
        classes = specifications(labels, 3)
        problem = PricedProblem.of(stages, classes)
        prices = [torch.randn(layer.start().shape, generator=generator).double() * 0.1 for layer in problem.layers]
        bound = problem.evaluate(prices).bound.view(-1, 3)
        trains = TRAINS.margins(net, inputs, labels, threat)
        linear = Linear().margins(net, inputs, labels, threat)
        assert bool((linear >= trains).all())
        gained += int((linear > trains + 1e-3).sum())
        for _ in range(40):
            with torch.no_grad():
                logits = net(threat.sample(inputs, generator)).double()
            assert bool((logits.gather(1, labels[:, None]) - logits >= bound - 1e-12).all())
            assert bool((margins(logits, labels) >= linear).all())
    assert gained > 6


def currents_of(net: SpikingNetwork, inputs: torch.Tensor, layer: int) -> torch.Tensor:
    """Return the currents of a spiking layer, (T, batch, neurons), as the network runs, in float64."""
    with torch.no_grad():
        return net.trace(inputs).currents[layer].double()


@examples(150)
@given(case=cases(most_layers=3, most_steps=4), level=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 2**31))
def test_narrowed_windows_hold_wherever_the_margin_is_below_the_level(case: Case, level: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    stages = staged(circuit(case.network), LInf(case.epsilon).enclosure(case.inputs))
    if stages is None or len(stages.stages) < 2 or not applies(stages):
        return
    classes = case.network(case.inputs).shape[1]
    asked = specifications(case.labels, classes)
    problem = PricedProblem.of(stages, asked)
    start = [torch.randn(layer.start().shape, generator=generator).double() * 0.1 for layer in problem.layers]
    windows = WindowSearch().run(problem, problem.evaluate(start), level)
    rule, steps = stages.stages[1].rule, case.network.num_steps
    rows = Spans.of(rule, steps).rows(range(1, steps + 1))
    for candidate in points(case, 24, generator):
        logits = case.network(candidate).double().detach()
        below = (logits.gather(1, case.labels[:, None]) - logits).flatten() <= level
        current = currents_of(case.network, candidate, 1)[:, asked.samples]
        found = torch.tensordot(rows, current, 1)
        slack = 1e-5 * (1 + found.abs())
        assert bool(((found >= windows.lower - slack) & (found <= windows.upper + slack))[:, below].all())


def test_narrowing_proves_samples_that_prices_alone_do_not():
    proven, open_ = 0, 0
    for seed in range(6):
        torch.manual_seed(seed)
        net = mlp((6, 16, 12, 3), num_steps=4, neuron=LIF(decay=0.9, threshold=0.3)).eval()
        inputs = torch.rand(30, 6, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            labels = net(inputs).argmax(1)
        alone = Linear(narrowing=None).margins(net, inputs, labels, LInf(0.06))
        narrowed = Linear().margins(net, inputs, labels, LInf(0.06))
        assert bool((narrowed >= alone).all())
        proven += int(((narrowed > 0) & (alone <= 0)).sum())
        open_ += int((alone <= 0).sum())
        generator = torch.Generator().manual_seed(seed)
        for _ in range(200):
            with torch.no_grad():
                logits = net(LInf(0.06).sample(inputs, generator)).double()
            assert bool((margins(logits, labels) >= narrowed).all())
    assert 0 < proven < open_
