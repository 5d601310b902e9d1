"""Layers that hear themselves: bounds against sampling and exact answers, at ties and thresholds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import gain
from spikecert.certify import L2, LInf, attack, verify
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.prices.prices import Specifications
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import SpikeBound
from spikecert.certify.bounds.trains.recurrent import DelayedSpikes, FeedbackLoop
from spikecert.certify.bounds.trains.trains import conserved_spikes, step_spikes, window_spikes
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Complete, Linear, MarginVerifier, Milp
from spikecert.models import DLIF, LIF, PLIF, Recurrent, Share, SpikingNetwork, Synapse
from spikecert.models.circuit import Recurred, UnknownNode, circuit
from spikecert.models.rules import Leaky
from spikecert.testing import check_sound
from spikecert.training import SingleStep
from spikecert.training.bounds.interval_bounds import worst_logits
from support.contained import check_contained, check_file, check_line, check_one_flip
from support.contained import grid_sample as sample_of
from support.examples import examples
from support.milp import check_runs
from support.recurrent import fill, loop_margin, recurrent_networks

SEEDS = st.integers(0, 2**31)
BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, Linear(PriceSearch(12))], ids=lambda v: v.name)
SPIKES = pytest.mark.parametrize(
    "spikes",
    [interval_spikes, step_spikes, window_spikes, conserved_spikes],
    ids=["interval", "steps", "windows", "conserved"],
)


@BOUNDS
@settings(max_examples=8, deadline=None)
@given(network=recurrent_networks(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.02, 0.25]))
def test_no_run_escapes(verifier: MarginVerifier, network: SpikingNetwork, seed: int, epsilon: float):
    check_contained(verifier, network, sample_of(network, seed)[0], seed, (LInf(epsilon), L2(2 * epsilon)), 6)


@SPIKES
@settings(max_examples=8, deadline=None)
@given(network=recurrent_networks(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.05, 0.3]))
def test_no_sum_of_spikes_escapes(spikes: SpikeBound, network: SpikingNetwork, seed: int, epsilon: float):
    """Of each layer that hears itself, step by step and for rows of either sign and of both."""
    inputs, _ = sample_of(network, seed)
    made, threat, generator = circuit(network), LInf(epsilon), torch.Generator().manual_seed(seed)
    rows = torch.randn(6, made.num_steps, generator=generator, dtype=torch.float64)
    rows[:2], rows[2:4] = rows[:2].abs(), -rows[2:4].abs()
    known = propagate(made, input_signal(made, threat.enclosure(inputs)), spikes, Rounding(made.dtype))
    ends = {
        place: (known[index].steps(), known[index].combine(rows))
        for place, node in enumerate(made.fired)
        if isinstance(node, Recurred)
        for index in [made.nodes.index(node)]
    }
    assert ends
    for _ in range(8):
        with torch.no_grad():
            trains = network.trace(threat.sample(inputs, generator)).spikes
        for place, (steps, sums) in ends.items():
            run = trains[place].double()
            assert bool(((run >= steps.lower) & (run <= steps.upper)).all())
            summed = torch.tensordot(rows, run, 1)
            assert bool(((summed >= sums.lower - 1e-12) & (summed <= sums.upper + 1e-12)).all())


@examples(20)
@given(recurrent_networks(deep=False, readouts=("mean",)), SEEDS, st.sampled_from([0.0, 0.05]))
def test_no_spike_escapes_the_first_pass(network: SpikingNetwork, seed: int, epsilon: float):
    """Step by step, from nothing: later passes would hide what it forgets."""
    inputs, _ = sample_of(network, seed)
    made, threat, generator = circuit(network), LInf(epsilon), torch.Generator().manual_seed(seed)
    rounding = Rounding(made.dtype)
    below = propagate(made, input_signal(made, threat.enclosure(inputs)), interval_spikes, rounding)[1]
    node = made.nodes[2]
    assert isinstance(node, Recurred)
    assert isinstance(node.rule, Leaky)
    steps = FeedbackLoop(below, affine_map(node.feedback), rounding, node.filter).stepwise(node.rule).steps()
    for _ in range(6):
        with torch.no_grad():
            run = network.trace(threat.sample(inputs, generator)).spikes[0].double()
        assert bool(((run >= steps.lower) & (run <= steps.upper)).all())


LINES = recurrent_networks(
    most_width=3,
    most_steps=4,
    features=1,
    dtypes=(torch.float64,),
    encodings=("direct",),
    readouts=("mean",),
    deep=False,
)


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "complete", "milp"])
@examples(60)
@given(network=LINES, seed=SEEDS, epsilon=st.sampled_from([0.0, 0.125, 0.25]))
def test_verdicts_agree_with_the_pieces_of_a_line(
    verifier: str, network: SpikingNetwork, seed: int, epsilon: float
):
    check_line(network, sample_of(network, seed, 2), epsilon, verifier, loop_margin, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flips_are_all_met(dtype: torch.dtype):
    layer = Recurrent(LIF(0.5, 0.5, "subtract"), nn.Linear(4, 4))
    decided = check_one_flip(layer, dtype, ("trains", "enumeration", "complete", "auto"))
    assert decided >= 2, "small sets are listed, whatever the network is"


NEURONS = (LIF(0.9), LIF(0.8, 0.7, "subtract"), LIF(0.5, reset="none"), DLIF(4))
PARTS = (None, None, Synapse(0.5), Synapse(0.0, 1), Synapse(0.7, 1))


def line_network(seed: int) -> SpikingNetwork:
    """Return a network of one input, T = 4, whose first, second, or both layers hear themselves."""
    neuron, part = NEURONS[seed % len(NEURONS)], PARTS[seed % len(PARTS)]
    heard = [Recurrent(neuron, nn.Linear(5, 5), part)]
    behind = ([], [LIF(0.9)], [Recurrent(LIF(0.9), Share())])[seed % 3]
    between = [nn.Linear(5, 5)] * bool(behind)
    layers = heard + between + behind if seed % 2 else behind + between + heard
    made = SpikingNetwork(nn.Linear(1, 5), *layers, nn.Linear(5, 3), num_steps=4)
    fill(made, False, torch.Generator().manual_seed(seed))
    return made.double().eval()


def test_prices_on_loops_close_gaps_and_pass_no_run():
    """As far up as they go, against all runs of a fine grid on the line of inputs, and against "trains"."""
    gaps = torch.zeros(2, dtype=torch.float64)
    for seed in range(18):
        network, inputs = line_network(seed), torch.tensor([[0.4], [0.6]], dtype=torch.float64)
        classes = torch.arange(3).repeat(2)
        samples, coefficients = torch.arange(2).repeat_interleave(3), torch.eye(3).double()[classes]
        coefficients = coefficients - coefficients.roll(1, 1)
        stages = staged(circuit(network), LInf(0.3).enclosure(inputs), sums=True)
        assert stages is not None
        asked = Specifications(samples, coefficients)
        start, found = (PriceSearch(n, rate=0.2).run(stages, asked, torch.inf).bound for n in (0, 25))
        grid = inputs + torch.linspace(-0.3, 0.3, 401, dtype=torch.float64)[:, None, None]
        with torch.no_grad():
            logits = network(grid.flatten(0, 1)).unflatten(0, (401, 2))
        least = (logits[:, samples] * coefficients).sum(2).amin(0)
        assert bool((found <= least + 1e-9).all()), seed
        assert bool((found >= start - 1e-9).all())
        gaps += torch.stack((least - start, least - found)).sum(1)
    assert 30 < float(gaps[0]) > 1.4 * float(gaps[1])


def test_loops_behind_a_first_layer_are_decided_by_its_trains():
    """By branching alone; what is verified is so on a fine grid."""
    open_, decided = 0, 0
    for seed in range(4, 60, 6):
        network, inputs = line_network(seed), torch.tensor([[0.2], [0.45], [0.7]], dtype=torch.float64)
        labels = network(inputs).argmax(1)
        bounded = verify(network, inputs, labels, LInf(0.2), "trains")
        grid = inputs + torch.linspace(-0.2, 0.2, 801, dtype=torch.float64)[:, None, None]
        with torch.no_grad():
            kept = (network(grid.clamp(0, 1).flatten(0, 1)).unflatten(0, (801, 3)).argmax(2) == labels).all(0)
        for index, verdict in enumerate(verify(network, inputs, labels, LInf(0.2), Complete(programs=None))):
            assert bool(kept[index]) or verdict.status != "verified"
            if bounded[index].status == "unknown":
                open_, decided = open_ + 1, decided + (verdict.status != "unknown")
    assert open_ == decided >= 6


def test_a_loop_that_holds_itself_off_is_decided_step_by_step():
    """One neuron under a current of 1.2 fires at steps 1 and 3; its own spike takes 1 away at step 2."""
    back = nn.Linear(1, 1, bias=False)
    back.weight.data.fill_(-1.0)
    layer = Recurrent(LIF(0.5), back)
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    first.weight.data.fill_(2.0)
    network = SpikingNetwork(first, layer, last, num_steps=4).double().eval()
    made, inputs = circuit(network), torch.full((1, 1), 0.6, dtype=torch.float64)
    source = input_signal(made, LInf(0.025).enclosure(inputs))
    for spikes in (interval_spikes, step_spikes, window_spikes):
        steps = propagate(made, source, spikes, Rounding(made.dtype))[2].steps()
        assert steps.lower.flatten().tolist() == [1, 0, 1, 0]
        assert steps.upper.flatten().tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_an_open_spike_is_heard_and_not_heard(weight: float):
    """A current of .9 to 1.1 at a threshold of 1: the first spike is open, and so are all others."""
    back, first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    back.weight.data.fill_(weight)
    first.weight.data.fill_(2.0)
    network = SpikingNetwork(first, Recurrent(LIF(0.0), back), last, num_steps=4).double().eval()
    made, inputs = circuit(network), torch.full((1, 1), 0.5, dtype=torch.float64)
    source = input_signal(made, LInf(0.05).enclosure(inputs))
    for spikes in (interval_spikes, step_spikes, window_spikes, conserved_spikes):
        steps = propagate(made, source, spikes, Rounding(made.dtype))[2].steps()
        assert (steps.lower.flatten().tolist(), steps.upper.flatten().tolist()) == ([0] * 4, [1] * 4)


def test_currents_of_a_synapse_in_a_loop_add_up_with_their_widths():
    """κ = 1 and a feedback of 0: i[t] = t·x for x of .22 to .26, so that i[4] alone may reach 1."""
    back, first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    back.weight.data.fill_(0.0)
    first.weight.data.fill_(1.0)
    loop = Recurrent(LIF(0.0, reset="none"), back, Synapse(1.0))
    network = SpikingNetwork(first, loop, last, num_steps=4).double().eval()
    made, inputs = circuit(network), torch.full((1, 1), 0.24, dtype=torch.float64)
    source, rounding = input_signal(made, LInf(0.02).enclosure(inputs)), Rounding(made.dtype)
    known, node = propagate(made, source, interval_spikes, rounding), made.nodes[2]
    assert isinstance(node, Recurred)
    assert isinstance(node.rule, Leaky)
    start = FeedbackLoop(known[1], affine_map(node.feedback), rounding, node.filter).stepwise(node.rule)
    for steps in (start.steps(), known[2].steps()):
        assert (steps.lower.flatten().tolist(), steps.upper.flatten().tolist()) == ([0] * 4, [0, 0, 0, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_feedback_of_zero_is_no_feedback(dtype: torch.dtype):
    """Bounds lose next to nothing against the layer alone, for currents over time."""
    torch.manual_seed(3)
    for reset in ("zero", "subtract", "none"):
        neuron = LIF(0.9, 1.0, reset)
        layer = Recurrent(neuron, nn.Linear(6, 6))
        for parameter in layer.feedback.parameters():
            nn.init.zeros_(parameter)
        first, last = nn.Linear(4, 6), nn.Linear(6, 3)
        first.weight.data *= 3
        heard, plain = (
            SpikingNetwork(first, middle, last, num_steps=5, encoding="none").to(dtype).eval()
            for middle in (layer, neuron)
        )
        inputs = torch.rand(4, 5, 4).to(dtype)
        assert torch.equal(heard(inputs), plain(inputs))
        labels = plain(inputs).argmax(1)
        for verifier in (INTERVAL, TRAINS):
            one, other = (verifier.margins(net, inputs, labels, LInf(0.01)) for net in (heard, plain))
            assert torch.allclose(one, other, atol=1e-4)


@examples(25)
@given(network=recurrent_networks(encodings=("direct", "none")), seed=SEEDS, cut=st.integers(1, 4))
def test_passes_in_parts_and_traces_are_the_pass(network: SpikingNetwork, seed: int, cut: int):
    inputs, _ = sample_of(network, seed)
    logits, trace = network(inputs), network.trace(inputs)
    assert torch.equal(logits, trace.logits)
    heard, listened = network.currents(inputs)
    assert torch.equal(listened, logits)
    assert all(torch.equal(one, other) for one, other in zip(heard, trace.currents, strict=True))
    for layer, current, spikes in zip(network.neurons, trace.currents, trace.spikes, strict=True):
        own = layer.neuron if isinstance(layer, Recurrent) else layer
        assert torch.equal(own(current, network.num_steps), spikes)
    network.steps_at_once = cut
    assert torch.allclose(network(inputs), logits, atol=1e-6)


def test_gradients_are_those_of_the_loop_written_out():
    torch.manual_seed(0)
    neuron = LIF(0.8, 0.7, "subtract")
    layer = Recurrent(neuron, nn.Linear(3, 3)).double()
    current = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 2, 3, dtype=torch.float64)
    (layer(current, 4) * weights).sum().backward()
    found, current.grad = current.grad, None
    left = spikes = torch.zeros(2, 3, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for t in range(4):
        v = 0.8 * left + current[t] + layer.feedback(spikes)
        slope = neuron.dynamics.surrogate.derivative((v - 0.7).detach())
        spikes = (v >= 0.7).double() + slope * (v - v.detach())
        left = v - 0.7 * spikes
        total = total + (spikes * weights[t]).sum()
    total.backward()
    assert found is not None and current.grad is not None  # noqa: PT018
    assert torch.allclose(found, current.grad)
    assert float(found.abs().sum()) > 0


@examples(25)
@given(network=recurrent_networks())
def test_files_hold_the_loop(network: SpikingNetwork, tmp_path_factory: pytest.TempPathFactory):
    check_file(network, tmp_path_factory.mktemp("loops"))


@settings(max_examples=8, deadline=None)
@given(network=recurrent_networks(most_width=3, most_steps=4), seed=SEEDS)
def test_programs_hold_all_runs(network: SpikingNetwork, seed: int):
    check_runs(network, sample_of(network, seed, 1)[0], seed)


@settings(max_examples=8, deadline=None)
@given(network=LINES, seed=SEEDS)
def test_programs_decide_loops(network: SpikingNetwork, seed: int):
    inputs, labels = sample_of(network, seed, 1)
    (verdict,) = verify(network, inputs, labels, LInf(0.125), Milp(), timeout=5.0)
    low, high = (float((inputs[0] + e).clamp(0, 1)) for e in (-0.125, 0.125))
    exact = loop_margin(network, low, high, int(labels[0]))
    assert verdict.status == ("verified" if exact > 0 else "falsified") or abs(exact) < 1e-3 or _close(network)


def _close(network: SpikingNetwork) -> bool:
    """Return whether weights are on the grid, where potentials lie on thresholds and nothing is told apart."""
    weights = torch.cat([parameter.flatten() for parameter in network.parameters()])
    return bool((weights * 4 == (weights * 4).round()).double().mean() > 0.5)


def test_an_attack_goes_through_the_loop():
    torch.manual_seed(1)
    network = SpikingNetwork(nn.Linear(4, 8), Recurrent(LIF(0.9), nn.Linear(8, 8)), nn.Linear(8, 3), num_steps=6)
    network = network.eval()
    inputs = torch.rand(8, 4)
    labels = network(inputs).argmax(1)
    assert bool(attack(network, inputs, labels, LInf(0.5)).success.any())


SMALL = SpikingNetwork(nn.Linear(2, 3), Recurrent(LIF(0.5), nn.Linear(3, 3)), nn.Linear(3, 2), num_steps=3).eval()


def test_who_does_not_know_it_says_so():
    inputs = torch.rand(2, 2)
    labels = SMALL(inputs).argmax(1)
    with pytest.raises(UnknownNode, match=r"layers\.1 is a Recurrent, whose current holds its own last spikes"):
        gain(SMALL)
    with pytest.raises(UnknownNode, match="bounds of training"):
        worst_logits(SMALL, inputs, inputs, labels)
    for verdict in verify(SMALL, inputs, labels, LInf(1.0), Complete(programs=None)):
        assert verdict.status != "unknown" or verdict.reason == "branching does not reach this network"
    for verdict in verify(SMALL, inputs, labels, LInf(1.0), "lirpa"):
        assert verdict.status == "unknown"


WIDE = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Recurrent(PLIF(0.5), nn.Linear(2, 2)), TypeError, "neuron: got PLIF"),
        (lambda: Recurrent(WIDE, WIDE), TypeError, "neuron: got Linear"),  # type: ignore[arg-type]
        (lambda: Recurrent(Recurrent(LIF(), Share()), Share()), TypeError, "neuron: got Recurrent"),
        (lambda: Recurrent(LIF(), nn.BatchNorm1d(2)), TypeError, "feedback: got BatchNorm1d"),
        (lambda: Recurrent(LIF(), LIF()), TypeError, "feedback: got LIF"),
        (lambda: Recurrent(LIF(), Share(), nn.Identity()), TypeError, "synapse: got Identity"),  # type: ignore[arg-type]
        (
            lambda: SpikingNetwork(
                nn.Linear(2, 2), Recurrent(LIF(reset="none"), Share()), num_steps=2, readout="potential"
            ),
            ValueError,
            'readout: "potential"',
        ),
        (
            lambda: SpikingNetwork(WIDE, Recurrent(LIF(), nn.Linear(2, 1)), num_steps=2)(torch.rand(1, 2)),
            ValueError,
            "expected the same shape",
        ),
        (
            lambda: SpikingNetwork(nn.Linear(2, 2), Recurrent(DLIF(3), Share()), num_steps=2),
            ValueError,
            "num_steps",
        ),
    ],
)
def test_what_is_no_loop_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def changed(change) -> SpikingNetwork:
    network = SpikingNetwork(nn.Linear(2, 3), Recurrent(LIF(0.5), nn.Linear(3, 3)), nn.Linear(3, 2), num_steps=3)
    change(network.layers[1])
    return network.eval()


class Louder(Recurrent):
    def _fed_back(self, spikes: Tensor) -> Tensor:
        return 2 * super()._fed_back(spikes)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: setattr(layer, "neuron", PLIF(0.5)),
        lambda layer: setattr(layer, "feedback", nn.Sequential(nn.Linear(3, 3))),
        lambda layer: setattr(layer, "synapse", nn.Identity()),
        lambda layer: setattr(layer, "_fed_back", lambda spikes: spikes),
        lambda layer: layer.feedback.register_forward_hook(lambda *_: None),
        lambda layer: layer.neuron.register_forward_hook(lambda *_: None),
        lambda layer: setattr(layer.feedback, "forward", lambda x: x),
        lambda layer: layer.feedback.double(),
        lambda layer: setattr(layer, "__class__", Louder),
    ],
)
def test_a_loop_that_runs_otherwise_is_refused(change):
    with pytest.raises((TypeError, ValueError), match=r"network|neuron|feedback|synapse"):
        circuit(changed(change))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(network=recurrent_networks(most_width=8, most_steps=8), seed=SEEDS)
def test_all_verifiers_are_sound_on_loops(network: SpikingNetwork, seed: int):
    inputs, _ = sample_of(network, seed)
    for name in sorted(VERIFIERS.keys() - {"gain", "lirpa"}):
        check_sound(network, inputs, LInf(0.05), name, timeout=0.5)


def test_a_delay_moves_rows_back():
    """Σ_t r[t]·s[t−1] of one known train."""
    made = circuit(SMALL.double())
    source = input_signal(made, LInf(0.0).enclosure(torch.rand(1, 2, dtype=torch.float64)))
    found = propagate(made, source, step_spikes, Rounding(made.dtype))[2]
    SMALL.float()
    delayed = DelayedSpikes(found, found.steps())
    rows = torch.tensor([[5.0, 7.0, 11.0]], dtype=torch.float64)
    steps = found.steps()
    assert torch.equal(delayed.steps().lower[1:], steps.lower[:-1])
    assert float(delayed.steps().upper[0].abs().max()) == 0.0
    expected = 7.0 * steps.lower[0] + 11.0 * steps.lower[1]
    assert torch.equal(steps.lower, steps.upper)
    assert torch.allclose(delayed.combine(rows).lower[0], expected)


@pytest.mark.parametrize("delay", [1, 2, 5])
def test_where_a_delay_outlasts_the_steps_no_input_matters(delay: int) -> None:
    """Attacks and perturbations find a gradient of 0, whether weights have gradients or not."""
    layers = nn.Linear(2, 3), Recurrent(LIF(0.9, 0.1), nn.Linear(3, 3), Synapse(0.5, delay)), nn.Linear(3, 2)
    network, inputs = SpikingNetwork(*layers, num_steps=1).eval(), torch.rand(4, 2)
    labels = network(inputs).argmax(1)
    assert not attack(network, inputs, labels, LInf(0.3)).success.any()
    assert [verdict.status for verdict in verify(network, inputs, labels, LInf(0.3))] == ["verified"] * 4
    moved = SingleStep(0.3)(network, inputs, labels, None)
    assert bool(LInf(0.3).contains(moved, inputs).all())
