"""F9, F9a and F9b in whole networks: no allowed run has a margin below the bound, whatever they are made of.

What two neurons' filtered currents differ by pays for the rounding of layers and of the recursion.

What a layer hears of itself is added to its current in float32: that rounding is paid, whatever the signs.

Neurons that fire once, by their steps: against the graph of the same neurons, to the last bit.
"""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import DLIF, L2, LIF, LInf, SpikeFlip, SpikingNetwork
from spikecert.certify.bounds.cells import automaton as pair_margins
from spikecert.certify.bounds.cells import looking_through
from spikecert.certify.bounds.cells.looking_through import MatrixChain
from spikecert.certify.bounds.propagation import logit_bounds, margin_bounds
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import InputSignal, Signal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.recurrent import FeedbackLoop
from spikecert.certify.bounds.trains.resting import OnceTrains, once_spikes, refractory_spikes, resting_spikes
from spikecert.certify.bounds.trains.train_graph import GraphTrains
from spikecert.certify.bounds.trains.trains import conserved_spikes, train_spikes, window_spikes
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import TRAINS
from spikecert.models import Residual, strided
from spikecert.models.circuit import circuit
from spikecert.models.linear_maps import linear_map
from spikecert.models.rules import Leaky
from support.drawn_networks import resting
from support.examples import examples
from support.oracles import every_flip

CONSTANTS = list(itertools.product([0.0, 0.5, 0.95, 1.0], [None, 0.7, 1.3], [">=", ">"]))
SAMPLES = 24


def drawn(layers: list[nn.Module], readout: str, steps: int, seed: int, timed: bool = False) -> SpikingNetwork:
    """Return a network with weights that make neurons fire, and differ."""
    torch.manual_seed(seed)
    network = SpikingNetwork(*layers, num_steps=steps, readout=readout, encoding="none" if timed else "direct")
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.reset_parameters()
            layer.weight.data *= 2.5
    return network.eval()


def dense(neuron, sizes: tuple[int, ...], last: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for pair in itertools.pairwise(sizes):
        layers += [nn.Linear(*pair), neuron()]
    return layers if last else layers[:-1]


def never_below(network: SpikingNetwork, inputs: Tensor, threat: Perturbation, draws: int = 60) -> Tensor:
    """Check sampled margins, with every class as label; return the bounds, (batch, classes)."""
    labels = network(inputs).argmax(1)
    made, box = circuit(network), threat.enclosure(inputs)
    bound = margin_bounds(made, box, labels, conserved_spikes)
    logits = logit_bounds(made, box, conserved_spikes)
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(len(inputs))
    for draw in range(draws):
        noise = torch.randn(inputs.shape, generator=generator)
        found = network(threat.project(inputs + (noise.sign() if draw % 2 else noise) * 0.2, inputs)).double()
        margins = found[rows, labels][:, None] - found
        margins[rows, labels] = torch.inf
        assert bool((margins >= bound).all() | bound.isinf().all())
        assert bool((found >= logits.lower).all())
        assert bool((found <= logits.upper).all())
    return bound


@pytest.mark.parametrize(("decay", "amount", "fires_at"), CONSTANTS)
def test_no_margin_is_below(decay: float, amount: float | None, fires_at: str):
    def neuron() -> LIF:
        return LIF(decay, 1.0, "subtract", fires_at, reset_amount=amount)

    for seed, (readout, steps) in enumerate([("spikes", 5), ("mean", 9), ("spikes", 1)]):
        network = drawn(dense(neuron, (6, 16, 12, 4), readout == "spikes"), readout, steps, seed)
        inputs = torch.rand(SAMPLES, 6, generator=torch.Generator().manual_seed(seed))
        bound = never_below(network, inputs, LInf(0.01))
        labels, threat = network(inputs).argmax(1), LInf(0.01)
        weaker = margin_bounds(circuit(network), threat.enclosure(inputs), labels, window_spikes)
        assert float((bound >= weaker - 1e-12).double().mean()) > 0.95
        verified = TRAINS.margins(network, inputs, labels, threat) > 0
        assert bool(verified[weaker.amin(1) > 0].all())


@pytest.mark.parametrize("threat", [L2(0.15), LInf(0.15)])
def test_sets_are_looked_through_to_their_edge(threat: Perturbation):
    # of two features, so that some draws lie near the worst point; counts there leave those of the middle behind
    network = drawn(dense(lambda: LIF(1.0, 1.0, "subtract"), (2, 12, 3), True), "spikes", 16, 2)
    never_below(network, torch.rand(SAMPLES, 2, generator=torch.Generator().manual_seed(4)), threat, 120)


@pytest.mark.parametrize("threat", [LInf(0.02), L2(0.05), LInf(0.0)])
def test_images_scales_and_sums(threat: Perturbation):
    layers = [
        nn.Conv2d(1, 4, 3, padding=1),
        DLIF(6, 0.9, reset="subtract"),
        Residual([nn.Conv2d(4, 4, 3, padding=1)]),
        nn.AvgPool2d(2),
        LIF(0.9, 1.0, "subtract"),
        nn.Flatten(),
        nn.Linear(36, 5),
        LIF(0.9, 1.0, "subtract"),
    ]
    network = drawn(layers, "spikes", 6, 3)
    network.neurons[0].input_scale.data = torch.tensor([1.0, 0.5, -0.5, 2.0, 0.0, 1.0])
    never_below(network, torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(1)), threat, 30)


@pytest.mark.parametrize("sizes", [(6, 12), (6, 16, 12)], ids=["table", "cells"])
@pytest.mark.parametrize("scaled", [False, True])
def test_layers_that_filter_otherwise_than_the_one_before(scaled: bool, sizes: tuple[int, ...]):
    reader = DLIF(6, 1.0, reset="subtract") if scaled else LIF(0.5, 1.0, "subtract")
    layers = dense(lambda: LIF(1.0, 1.0, "subtract"), sizes, True)
    network = drawn([*layers, nn.Linear(12, 12), reader, nn.Linear(12, 4)], "mean", 6, 1)
    if isinstance(reader, DLIF):
        reader.input_scale.data = torch.tensor([1.0, 0.5, -0.5, 2.0, 0.0, 1.0])
    never_below(network, torch.rand(SAMPLES, 6, generator=torch.Generator().manual_seed(1)), LInf(0.02), 30)


def below_all_flips(network: SpikingNetwork, inputs: Tensor, labels: Tensor, count: int = 2) -> Tensor:
    """Check margins of all inputs `count` flips away; return the bounds, (batch, classes)."""
    exact = torch.stack(
        [
            (runs[:, [label]] - runs).amin(0)
            for label, runs in zip(labels, (network(every_flip(events, count)) for events in inputs), strict=True)
        ]
    )
    bound = margin_bounds(circuit(network), SpikeFlip(count).enclosure(inputs), labels, conserved_spikes)
    exact[torch.arange(len(inputs)), labels] = torch.inf
    assert bool((exact.double() >= bound).all())
    return bound


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_flips_are_looked_through_whether_they_add_or_take(sign: float):
    # an event is most of a spike of all neurons, so that flips move them together and by more than what they keep
    network = drawn(dense(lambda: LIF(1.0, 1.0, "subtract"), (1, 12, 2), True), "spikes", 12, 2, timed=True)
    first, last = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    first.weight.data, first.bias.data = torch.linspace(0.7, 0.95, 12)[:, None], torch.zeros(12)
    last.weight.data, last.bias.data = torch.tensor([[0.08], [sign * 0.08]]).expand(2, 12).clone(), torch.zeros(2)
    inputs = (torch.rand(SAMPLES, 12, 1, generator=torch.Generator().manual_seed(4)) > 0.5).float()
    below_all_flips(network, inputs, network(inputs).argmax(1), 3)


@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_flips_against_all_of_them(decay: float):
    # the input varies over time, so the first layer has cells, and layers behind it are looked through
    def neuron() -> LIF:
        return LIF(decay, 1.0, "subtract")

    network = drawn(dense(neuron, (3, 8, 6, 3), True), "spikes", 4, 5, timed=True)
    inputs = (torch.rand(10, 4, 3, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    labels = network(inputs).argmax(1)
    made, bound = circuit(network), below_all_flips(network, inputs, labels)
    steps = margin_bounds(made, SpikeFlip(2).enclosure(inputs), labels, train_spikes)
    assert float((bound - steps).nan_to_num(0.0, posinf=0.0).sum()) > 0
    assert float((bound > 0).double().mean()) > 0.1


def test_looking_through_is_worth_it_and_may_be_split(monkeypatch: pytest.MonkeyPatch):
    network = drawn(dense(lambda: LIF(0.9, 1.0, "subtract"), (8, 32, 32, 4), True), "spikes", 8, 1)
    inputs = torch.rand(12, 8, generator=torch.Generator().manual_seed(3))
    labels, box = network(inputs).argmax(1), LInf(0.02).enclosure(inputs)

    def bound() -> Tensor:
        found = margin_bounds(circuit(network), box, labels, conserved_spikes)
        return found.masked_fill(found.isinf(), 0.0)

    whole = bound()
    monkeypatch.setattr(looking_through, "MOST_ENTRIES", 1)
    assert torch.allclose(bound(), whole)
    monkeypatch.setattr(looking_through, "MOST_WORK", 0)
    assert float((whole - bound()).sum()) > 0.1


def test_no_matrix_is_made_of_a_layer_that_is_too_large_to_look_through(monkeypatch: pytest.MonkeyPatch):
    def refused(current: Signal) -> None:
        raise AssertionError(f"{current} was written out")

    network, inputs = strided((1, 8, 8), 3, 4, LIF(1.0, 0.2, "subtract"), (3, 4, 6)), torch.rand(2, 1, 8, 8)
    labels, box = network(inputs).argmax(1), LInf(0.02).enclosure(inputs)
    monkeypatch.setattr(looking_through.MatrixChain, "of", refused)
    with pytest.raises(AssertionError, match="was written out"):
        margin_bounds(circuit(network), box, labels, conserved_spikes)
    monkeypatch.setattr(looking_through, "MOST_WORK", 1000)
    assert bool(margin_bounds(circuit(network), box, labels, conserved_spikes).isfinite().any())


@pytest.mark.parametrize("together", [1, 3, 16])
def test_steps_that_look_through_the_same_neurons_share_a_matrix(together: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(looking_through, "TOGETHER", together)
    generator = torch.Generator().manual_seed(0)
    shares = (torch.rand(9, 3, 2, generator=generator) > 0.7) / 0.8  # J stays, and changes, at different steps
    blocks = looking_through._Blocks.of(shares)
    step, sample = blocks.first
    assert torch.equal(shares[step, sample][blocks.block], shares)
    assert int(blocks.place.max()) < together
    assert together == 1 or len(step) < shares[..., 0].numel()
    matrices = torch.randn(len(step), 4, 5, generator=generator)
    values = torch.randn(9, 3, 5, generator=generator)
    expected = (matrices[blocks.block] @ values[..., None]).squeeze(-1)
    assert torch.allclose(blocks.over(matrices, values), expected, atol=1e-6)


MORE = 0.01


def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return what a network's strips are asked of, with boxes so wide that they cut nothing."""
    torch.manual_seed(0)
    layers = nn.Linear(3, 6), LIF(0.5, reset="subtract"), nn.Linear(6, 3), LIF(0.5, reset="subtract")
    network, found, strip = SpikingNetwork(*layers, num_steps=4, readout="spikes").eval(), [], pair_margins._strip
    with monkeypatch.context() as patch:
        patch.setattr(pair_margins, "_strip", lambda *given: (found.append(given), strip(*given))[1])
        box = LInf(0.1).enclosure(torch.rand(2, 3))
        margin_bounds(circuit(network), box, torch.zeros(2, dtype=torch.long), conserved_spikes)
    last, *pairs = found[0]
    inflow = replace(last.inflow, lower=last.inflow.lower - 99, upper=last.inflow.upper + 99)
    return replace(last, inflow=inflow), *pairs


def widened(before: Any, after: Any) -> bool:
    """Return whether both ends are further out by what the two neurons add at one step."""
    least = 2 * MORE * (1 - 1e-3)
    return bool((before.lower - after.lower >= least).all() and (after.upper - before.upper >= least).all())


def test_a_strip_pays_for_the_recursion(monkeypatch: pytest.MonkeyPatch):
    last, *pairs = asked(monkeypatch)
    more = replace(last, inflow=replace(last.inflow, slack=last.inflow.slack + MORE))
    assert widened(pair_margins._strip(last, *pairs), pair_margins._strip(more, *pairs))


def test_a_strip_pays_for_the_chain(monkeypatch: pytest.MonkeyPatch):
    last, *pairs = asked(monkeypatch)
    before, of = pair_margins._strip(last, *pairs), MatrixChain.of
    chain = of(last.current)
    assert chain is not None
    more = replace(chain, slack=chain.slack + MORE)
    monkeypatch.setattr(MatrixChain, "of", lambda current: more if current is last.current else of(current))
    assert widened(before, pair_margins._strip(last, *pairs))


NEURONS, STEPS = 200, 3


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("other", [1.0, -1.0])
def test_a_sum_of_two_currents_is_paid(sign: float, other: float):
    generator = torch.Generator().manual_seed(0)
    feedback = nn.Linear(NEURONS, NEURONS)
    feedback.weight.data = torch.diag(other * torch.rand(NEURONS, generator=generator))
    feedback.bias.data = 1e-3 * torch.rand(NEURONS, generator=generator)
    x = sign * 100 * torch.rand(STEPS, 1, NEURONS, generator=generator)
    spikes = (torch.rand(STEPS, 1, NEURONS, generator=generator) < 0.7).float()
    below = InputSignal(Box(x.double(), x.double()), STEPS)
    after = FeedbackLoop(below, affine_map(linear_map(feedback)), Rounding(torch.float32)).follow()
    with torch.no_grad():
        runs = x + feedback(spikes)
    weight, bias = feedback.weight.detach().double(), feedback.bias.detach().double()
    exact = x.double() + spikes.double() @ weight.T + bias
    assert float((runs.double() - exact).abs().max()) > 1e-6
    for t in range(STEPS):
        before = spikes[t : t + 1].double()
        box = after(t, Box(before, before)).box
        assert bool((box.lower[0] <= runs[t].double()).all())
        assert bool((runs[t].double() <= box.upper[0]).all())
        assert float((box.upper - box.lower).max()) < 1e-3


@examples(200)
@given(
    seed=st.integers(0, 2**31),
    steps=st.integers(1, 6),
    longer=st.integers(0, 1),
    decay=st.sampled_from([1.0, 0.5, 0.9, 0.0]),
    start=st.sampled_from([0.0, 0.25, -0.3, 0.75]),
    width=st.sampled_from([0.0, 0.25, 1.0]),
    bound=st.sampled_from([torch.float64, torch.float32]),
)
def test_they_are_those_of_the_graph(seed, steps, longer, decay, start, width, bound):
    """With currents on a grid, so that potentials meet the threshold, which is on it, too."""
    generator = torch.Generator().manual_seed(seed)
    lower = (torch.randn(steps, 2, 3, generator=generator) * 2).round() / 4
    upper = lower + (torch.rand(lower.shape, generator=generator) * 4).round() * width / 4
    current = InputSignal(Box(lower.to(bound), upper.to(bound)), steps)
    rule, rounding = resting(Leaky(decay, 0.5), steps + longer, start), Rounding(torch.float32, bound)
    graph, once = refractory_spikes(current, rule, rounding), resting_spikes(current, rule, rounding)
    rows = torch.randn(4, steps, generator=generator, dtype=bound)
    sums = torch.cat([torch.ones(steps, steps, dtype=bound).tril(), torch.zeros(1, steps, dtype=bound)])
    signed = torch.cat([sums, -0.3 * sums])
    pairs = [(graph.combine(each), once.combine(each)) for each in (rows, signed)]
    for one, other in ((graph.steps(), once.steps()), *pairs):
        assert torch.equal(one.lower, other.lower)
        assert torch.equal(one.upper, other.upper)
        assert one.lower.dtype == other.lower.dtype == bound
    assert torch.equal(graph.magnitude(), once.magnitude())
    if steps > 1:
        assert isinstance(once, OnceTrains)
        assert isinstance(graph, GraphTrains)


def test_a_rest_that_ends_keeps_its_graph():
    current = InputSignal(Box(torch.zeros(4, 1, 1).double(), torch.ones(4, 1, 1).double()), 4)
    assert isinstance(resting_spikes(current, resting(Leaky(1.0), 3), Rounding(torch.float32)), GraphTrains)


def test_what_may_overflow_is_refused():
    current = InputSignal(Box(torch.zeros(4, 1, 1).double(), torch.full((4, 1, 1), 1e38).double()), 4)
    with pytest.raises(OverflowError, match="a membrane potential may reach"):
        once_spikes(current, resting(Leaky(1.0), 4), Rounding(torch.float32))
