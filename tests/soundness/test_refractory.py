"""Neurons that rest behind their spikes: what they do, what bounds say of them, and who refuses them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import gain
from spikecert.certify import L2, LInf, attack, verify
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.trains.train_graph import GraphTrains
from spikecert.certify.bounds.trains.trains import conserved_spikes
from spikecert.certify.proofs.proving import Prover, Unproven
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Complete, Linear, MarginVerifier
from spikecert.models import RefractoryLIF, SpikingNetwork
from spikecert.models.circuit import UnknownNode, circuit
from spikecert.testing import check_sound
from spikecert.training.bounds.interval_bounds import worst_logits
from support.contained import check_contained, check_file, check_line, check_one_flip
from support.contained import grid_sample as sample_of
from support.examples import examples
from support.milp import check_runs
from support.recurrent import fill
from support.resting import by_hand, line_margin, lines, networks, resting

SEEDS = st.integers(0, 2**31)
BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, Linear()], ids=lambda v: v.name)


@examples(25)
@given(layer=resting(), seed=SEEDS, steps=st.integers(1, 7), cut=st.integers(1, 4))
def test_a_run_is_what_the_words_say_whole_and_in_parts(layer: RefractoryLIF, seed: int, steps: int, cut: int):
    drawn = torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(seed)).double()
    current = (drawn * 4).round() / 4
    run = layer.run(current, steps)
    assert torch.equal(run.spikes, by_hand(layer, current))
    assert torch.equal(run.spikes, layer(current, steps))
    parts, residue = [], None
    for start in range(0, steps, cut):
        count = min(cut, steps - start)
        spikes, residue = layer.resume(current[start : start + count], residue, start, count, steps)
        parts.append(spikes)
    assert torch.equal(torch.cat(parts), run.spikes)


def test_gradients_reach_what_fired_and_what_did_not_rest():
    layer = RefractoryLIF(0.5, rest=1)
    current = torch.full((3, 1, 1), 1.2, requires_grad=True)
    spikes = layer(current, 3)
    assert spikes.flatten().tolist() == [1, 0, 1]
    spikes.sum().backward()
    assert current.grad is not None
    grad = current.grad.flatten().tolist()
    assert grad[0] > 0
    assert grad[1] == 0
    assert grad[2] > 0


@BOUNDS
@settings(max_examples=8, deadline=None)
@given(network=networks(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.02, 0.25]))
def test_no_run_escapes(verifier: MarginVerifier, network: SpikingNetwork, seed: int, epsilon: float):
    check_contained(verifier, network, sample_of(network, seed)[0], seed, (LInf(epsilon), L2(2 * epsilon)), 6)


@examples(20)
@given(network=networks(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.05, 0.3]), corner=st.booleans())
def test_no_sum_of_spikes_escapes(network: SpikingNetwork, seed: int, epsilon: float, corner: bool):
    """Of each layer, step by step and for rows of either sign and of both, at corners of the set, too."""
    inputs, _ = sample_of(network, seed)
    made, threat, generator = circuit(network), LInf(epsilon), torch.Generator().manual_seed(seed)
    rows = torch.randn(6, made.num_steps, generator=generator, dtype=torch.float64)
    rows[:2], rows[2:4] = rows[:2].abs(), -rows[2:4].abs()
    known = propagate(made, input_signal(made, threat.enclosure(inputs)), conserved_spikes, Rounding(made.dtype))
    found = [known[made.nodes.index(node)] for node in made.fired]
    ends = [(signal.steps(), signal.combine(rows)) for signal in found]
    for _ in range(8):
        point = threat.sample(inputs, generator)
        if corner:
            point = threat.project(inputs + epsilon * (point - inputs).sign(), inputs)
        with torch.no_grad():
            trains = network.trace(point).spikes
        for run, (steps, sums) in zip(trains, ends, strict=True):
            run = run.double()
            assert bool(((run >= steps.lower) & (run <= steps.upper)).all())
            summed = torch.tensordot(rows, run, 1)
            assert bool(((summed >= sums.lower - 1e-12) & (summed <= sums.upper + 1e-12)).all())


@pytest.mark.parametrize("verifier", ["interval", "trains", "complete", "milp"])
@examples(48)
@given(network=lines(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.125, 0.25]))
def test_verdicts_agree_with_the_pieces_of_a_line(
    verifier: str, network: SpikingNetwork, seed: int, epsilon: float
):
    check_line(network, sample_of(network, seed, 2), epsilon, verifier, line_margin, 1.0)


def known_of(network: SpikingNetwork, inputs: Tensor, epsilon: float):
    """Return what is known of the layer's spikes."""
    made = circuit(network)
    source = input_signal(made, LInf(epsilon).enclosure(inputs))
    return propagate(made, source, conserved_spikes, Rounding(made.dtype))[2]


def one_neuron(layer: nn.Module, encoding: str, steps: int) -> SpikingNetwork:
    """Return a network of one neuron whose current is its input."""
    first = nn.Linear(1, 1, bias=False)
    first.weight.data.fill_(1.0)
    return SpikingNetwork(first, layer, nn.Linear(1, 2), num_steps=steps, encoding=encoding).double().eval()


def test_open_spikes_are_as_far_apart_as_the_rest_makes_them():
    """Currents of .8 to 1.0 at λ = 0, θ = .9: every step may fire, of six steps at most two where R = 2."""
    network = one_neuron(RefractoryLIF(0.0, 0.9, rest=2), "none", 6)
    known = known_of(network, torch.full((1, 6, 1), 0.9, dtype=torch.float64), 0.1)
    assert isinstance(known, GraphTrains)
    assert known.steps().upper.flatten().tolist() == [1] * 6
    counts = known.combine(torch.ones(1, 6, dtype=torch.float64))
    assert (counts.lower.item(), counts.upper.item()) == (0, 2)
    row = torch.tensor([[0.0, 1, 1, 0, 0, 1]], dtype=torch.float64)
    assert known.combine(row).upper.item() == 2


def test_a_current_that_comes_at_rest_is_lost():
    """λ = 1, θ = 1, R = 1: of the currents 1.25, 1.25, .75, .75 the second is lost, so step 4 fires next."""
    network = one_neuron(RefractoryLIF(1.0, 1.0, rest=1), "none", 4)
    network.layers[0].weight.data.fill_(2.0)  # type: ignore[union-attr]
    inputs = torch.tensor([[[1.25], [1.25], [0.75], [0.75]]], dtype=torch.float64) / 2
    known = known_of(network, inputs, 0.01)
    for train in (network.trace(inputs).spikes[0], known.steps().lower, known.steps().upper):
        assert train.flatten().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(("start", "spikes"), [(0.0, [0, 0, 1, 0]), (0.5, [0, 1, 0, 0]), (-0.75, [0, 0, 0, 0])])
def test_a_start_counts_once_and_no_reset_brings_it_back(start: float, spikes: list[int]):
    """λ = 1, θ = 1, currents of .375: three steps from 0, two from .5, five from −.75; behind a spike from 0."""
    network = one_neuron(RefractoryLIF(1.0, 1.0, 0, start=start), "none", 4)
    inputs = torch.full((1, 4, 1), 0.375, dtype=torch.float64)
    known = known_of(network, inputs, 0.01)
    for train in (network.trace(inputs).spikes[0], known.steps().lower, known.steps().upper):
        assert train.flatten().tolist() == spikes


@pytest.mark.parametrize("rest", [1, 2, 5])
def test_a_constant_current_has_one_train(rest: int):
    network = one_neuron(RefractoryLIF(0.5, 0.7, rest=rest), "direct", 9)
    inputs = torch.full((1, 1), 0.5, dtype=torch.float64)
    known, run = known_of(network, inputs, 0.01), network.trace(inputs).spikes[0]
    assert torch.equal(known.steps().lower, run)
    assert torch.equal(known.steps().upper, run)
    assert run.flatten().tolist() == [float(t >= 2 and (t - 2) % (2 + rest) == 0) for t in range(1, 10)]


@settings(max_examples=6, deadline=None)
@given(network=networks(width=3, steps=5), seed=SEEDS)
def test_programs_hold_all_runs(network: SpikingNetwork, seed: int):
    check_runs(network, sample_of(network, seed, 1)[0], seed)


def test_programs_decide_what_trains_leave_open():
    torch.manual_seed(4)
    neurons = RefractoryLIF(0.5, 0.5), RefractoryLIF(0.9, 0.5)
    layers = nn.Linear(3, 6), neurons[0], nn.Linear(6, 5), neurons[1], nn.Linear(5, 3)
    network = SpikingNetwork(*layers, num_steps=4, encoding="none").eval()
    fill(network, False, torch.Generator().manual_seed(4))
    network, inputs = network.double(), torch.rand(6, 4, 3, dtype=torch.float64)
    labels = network(inputs).argmax(1)
    left = {
        name: [v.status for v in verify(network, inputs, labels, LInf(0.1), name, timeout=5.0)].count("unknown")
        for name in ("trains", "milp")
    }
    assert left["milp"] < left["trains"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flips_are_all_met(dtype: torch.dtype):
    assert check_one_flip(RefractoryLIF(0.5, 0.5, 1), dtype, ("trains", "enumeration", "complete", "auto")) >= 2


@examples(60)
@given(network=networks())
def test_files_hold_the_rest(network: SpikingNetwork, tmp_path_factory: pytest.TempPathFactory):
    check_file(network, tmp_path_factory.mktemp("rests"))


SMALL = SpikingNetwork(nn.Linear(2, 3), RefractoryLIF(0.5), nn.Linear(3, 2), num_steps=3).eval()


def test_who_does_not_know_it_says_so():
    inputs = torch.rand(2, 2)
    labels = SMALL(inputs).argmax(1)
    with pytest.raises(UnknownNode, match=r"layers\.1 is a RefractoryLIF of rests"):
        gain(SMALL)
    with pytest.raises(UnknownNode, match="bounds of training"):
        worst_logits(SMALL, inputs, inputs, labels)
    for verdict in verify(SMALL, inputs, labels, LInf(1.0), Complete(programs=None)):
        assert verdict.status != "unknown" or verdict.reason == "branching does not reach this network"
    for verdict in verify(SMALL, inputs, labels, LInf(1.0), "lirpa"):
        assert verdict.status == "unknown"
    with pytest.raises(Unproven, match="no proof form for neurons that start from another potential"):
        Prover.of(changed(lambda layer: setattr(layer, "start", 0.5)))
    assert attack(SMALL, inputs, labels, LInf(0.5)).success.shape == (2,)


def changed(change) -> SpikingNetwork:
    network = SpikingNetwork(nn.Linear(2, 3), RefractoryLIF(0.5), nn.Linear(3, 2), num_steps=3)
    change(network.layers[1])
    return network.eval()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: RefractoryLIF(rest=-1), ValueError, "rest: got -1, expected at least 0"),
        (lambda: RefractoryLIF(start=float("nan")), ValueError, "start: got nan"),
        (lambda: RefractoryLIF(start=torch.ones(2)), TypeError, "start: got Tensor"),  # type: ignore[arg-type]
        (lambda: circuit(changed(lambda layer: setattr(layer, "start", 1e-40))), ValueError, "start: got 1e-40"),
        (lambda: RefractoryLIF(rest=1.5), TypeError, "rest: got float"),  # type: ignore[arg-type]
        (lambda: RefractoryLIF(decay=1.5), ValueError, "decay"),
        (
            lambda: SpikingNetwork(nn.Linear(2, 2), RefractoryLIF(), num_steps=2, readout="potential"),
            ValueError,
            'readout: "potential"',
        ),
        (lambda: RefractoryLIF(rest=4000)(torch.ones(1, 1, 1).half(), 3000), ValueError, "can't count rests"),
        (
            lambda: circuit(
                changed(lambda layer: setattr(layer, "dynamics", replace(layer.dynamics, reset="none")))
            ),
            ValueError,
            "reset: got 'none'",
        ),
        (lambda: circuit(changed(lambda layer: setattr(layer, "rest", 1.5))), TypeError, "rest: got float"),
        (lambda: circuit(changed(lambda layer: setattr(layer, "_go", lambda *_: None))), ValueError, "_go"),
    ],
)
def test_what_can_not_rest_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(network=networks(width=8, steps=8), seed=SEEDS)
def test_all_verifiers_are_sound_on_rests(network: SpikingNetwork, seed: int):
    inputs, _ = sample_of(network, seed)
    for name in sorted(VERIFIERS.keys() - {"gain", "lirpa"}):
        check_sound(network, inputs, LInf(0.05), name, timeout=0.5)
