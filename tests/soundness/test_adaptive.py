"""Neurons whose thresholds adapt: what they do, what bounds say of them, and who refuses them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    MSMPPD,
    SIBP,
    CertifiedLoss,
    CrossEntropy,
    GainPenalty,
    MarginOverGain,
    attack,
    bounds,
    circuit,
    gain,
    mppd,
    to_nir,
)
from spikecert.certify import L2, LInf, verify
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.trains.trains import step_spikes
from spikecert.certify.proofs.proving import Unproven
from spikecert.certify.replay import margins
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import TRAINS, VERIFIERS
from spikecert.formats import write_onnx
from spikecert.models import LIF, AdaptiveLIF, SpikingNetwork
from spikecert.testing import adaptive_neurons, check_sound
from support.adaptive import by_hand, networks
from support.contained import check_file, check_one_flip
from support.contained import grid_sample as sample_of
from support.examples import examples
from support.milp import check_runs

SEEDS = st.integers(0, 2**31)
WHOLE = st.sampled_from([0.0, 0.5, 1.0])


@examples(40)
@given(layer=adaptive_neurons(), decays=st.tuples(WHOLE, WHOLE), seed=SEEDS, steps=st.integers(1, 6))
def test_a_run_is_what_the_words_say_whole_and_in_parts(
    layer: AdaptiveLIF, decays: tuple[float, float], seed: int, steps: int
):
    """On a grid, where no product rounds and thresholds are met exactly."""
    rises = round(layer.adaptation * 4) / 4
    d = replace(layer.dynamics, decay=decays[0], reset_amount=None)
    layer.dynamics, layer.threshold_decay, layer.adaptation = d, decays[1], rises
    drawn = torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(seed)).double()
    current = (drawn * 4).round() / 4
    run = layer.run(current, steps)
    assert torch.equal(run.spikes, by_hand(layer, current))
    assert torch.equal(run.spikes, layer(current, steps))
    parts, residue = [], None
    for start in range(steps):
        spikes, residue = layer.resume(current[start : start + 1], residue, start, 1, steps)
        parts.append(spikes)
    assert torch.equal(torch.cat(parts), run.spikes)


def test_a_part_goes_on_from_what_the_threshold_rose_to():
    """θ = 1, β = ½, ρ = 1: of currents of 1.25 the first step's fires, and no other, whole and in parts."""
    layer, current = AdaptiveLIF(0.0, 1.0, 0.5, 1.0), torch.full((1, 1, 1), 1.25)
    first, residue = layer.resume(current, None, 0, 2, 4)
    last, residue = layer.resume(current, residue, 2, 2, 4)
    assert torch.cat((first, last)).flatten().tolist() == layer(current, 4).flatten().tolist() == [1, 0, 0, 0]
    assert residue.flatten().tolist() == [1.25, 1.0]


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_a_rise_it_is_a_leaky_neuron_bit_by_bit(reset: str, dtype: torch.dtype):
    current = torch.randn(20, 8, 300, generator=torch.Generator().manual_seed(0), dtype=dtype)
    for fires_at in (">=", ">"):
        plain, other = LIF(0.9, 0.3, reset, fires_at), AdaptiveLIF(0.9, 0.3, 0.0, 0.7, reset, fires_at)
        pair = plain.run(current, 20), other.run(current, 20)
        assert torch.equal(pair[0].spikes, pair[1].spikes)
        assert torch.equal(pair[0].potentials, pair[1].potentials)


def test_gradients_reach_currents_through_thresholds_too():
    """v[2] does not know of I[1], behind a reset; B[2] does: more of I[1] makes a spike at 2 less likely."""
    current = torch.tensor([0.9, 1.2]).view(2, 1, 1).requires_grad_()
    AdaptiveLIF(0.0, 1.0, 0.5, 0.5)(current, 2)[1].sum().backward()
    assert current.grad is not None
    first, second = current.grad.flatten().tolist()
    assert first < 0 < second


def test_a_network_of_them_learns():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(64, 4, generator=generator)
    labels = (inputs[:, 0] > inputs[:, 1]).long()
    torch.manual_seed(0)
    layers = nn.Linear(4, 16), AdaptiveLIF(0.9, 0.5, 0.3), nn.Linear(16, 2)
    network, losses = SpikingNetwork(*layers, num_steps=4), []
    for _ in range(20):
        loss = CrossEntropy().loss(network, inputs, labels, generator).total
        parameters = list(network.parameters())
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 0.5 * slope
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@examples(30)
@given(network=networks(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.02, 0.25]))
def test_no_run_escapes(network: SpikingNetwork, seed: int, epsilon: float):
    inputs, labels = sample_of(network, seed)
    generator = torch.Generator().manual_seed(seed)
    for threat in (LInf(epsilon), L2(2 * epsilon)):
        lower = TRAINS.margins(network, inputs, labels, threat)
        ends = bounds(network, inputs, threat)
        for _ in range(6):
            with torch.no_grad():
                logits = network(threat.sample(inputs, generator)).double()
            assert bool((margins(logits, labels) >= lower).all())
            assert bool(((logits >= ends.lower) & (logits <= ends.upper)).all())


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_threshold_that_is_met_exactly_is_open(decay: float, reset: str):
    """θ = ½, β = ¼: of currents on a grid of eighths a run in another order of summation may find either side."""
    layer = AdaptiveLIF(decay, 0.5, 0.25, 0.5, reset)
    first, current = nn.Linear(1, 1, bias=False), torch.tensor([0.5, 0.625, 0.75, 0.5]).view(1, 4, 1)
    first.weight.data.fill_(1.0)
    network = SpikingNetwork(first, layer, nn.Linear(1, 2), num_steps=4, encoding="none").eval()

    made = circuit(network)
    known = propagate(made, input_signal(made, LInf(0.0).enclosure(current)), step_spikes, Rounding(made.dtype))[2]
    assert (known.steps().lower[0].item(), known.steps().upper[0].item()) == (0, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_flips_are_all_met(dtype: torch.dtype, reset: str):
    names = "trains", "milp", "enumeration", "complete", "auto"
    assert check_one_flip(AdaptiveLIF(0.5, 0.5, 0.4, 0.9, reset), dtype, names) >= 2


@examples(30)
@given(network=networks(most_width=3, most_steps=4), seed=SEEDS)
def test_programs_hold_all_runs(network: SpikingNetwork, seed: int):
    check_runs(network, sample_of(network, seed, 1)[0], seed)


def small(reset: str = "zero") -> SpikingNetwork:
    torch.manual_seed(0)
    neurons = [AdaptiveLIF(decay, 0.3, 0.4, 0.8, reset) for decay in (0.9, 0.5)]
    layers = nn.Linear(4, 8), neurons[0], nn.Linear(8, 6), neurons[1], nn.Linear(6, 3)
    return SpikingNetwork(*layers, num_steps=6).eval()


def test_programs_decide_what_trains_leave_open():
    network, inputs = small(), torch.rand(4, 4, generator=torch.Generator().manual_seed(1))
    labels = network(inputs).argmax(1)
    left = {
        name: [v.status for v in verify(network, inputs, labels, LInf(0.01), name, timeout=5.0)].count("unknown")
        for name in ("trains", "milp", "complete")
    }
    assert left["milp"] == left["complete"] == 0 < left["trains"]


@examples(40)
@given(network=networks())
def test_files_hold_the_thresholds(network: SpikingNetwork, tmp_path_factory: pytest.TempPathFactory):
    check_file(network, tmp_path_factory.mktemp("thresholds"))


@pytest.mark.parametrize("name", sorted(VERIFIERS.keys() - {"lirpa"}))
def test_every_verifier_but_one_answers(name: str):
    inputs = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    found = check_sound(small(), inputs, LInf(0.001), name, timeout=2.0)
    assert found.verified == (0 if name == "enumeration" else 2)


def test_attacks_break_them():
    network, inputs = small(), torch.rand(8, 4, generator=torch.Generator().manual_seed(0))
    assert bool(attack(network, inputs, network(inputs).argmax(1), LInf(0.3)).success.any())


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_perturbation_of_membranes_without_reset_is_that_of_leaky_neurons(norm: str):
    """ε[t] = λ·ε[t−1] + d[t] knows neither resets nor thresholds: without a rise both networks have one loss."""
    inputs, labels = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    layers = list(changed(adaptation=0.0).layers[:3])
    pair = [
        SpikingNetwork(layers[0], neuron, nn.Linear(8, 3), num_steps=4) for neuron in (layers[1], LIF(0.9, 0.3))
    ]
    pair[1].layers[2] = pair[0].layers[2]
    found = [MSMPPD(norm=norm).loss(each, inputs, labels, torch.Generator().manual_seed(0)) for each in pair]
    assert found[0].terms["ms_mppd"] > 0
    assert torch.equal(found[0].total, found[1].total)


REFUSING: dict[str, Callable[[SpikingNetwork, Tensor, Path], Any]] = {
    "gain": lambda net, x, path: gain(net),
    "mppd": lambda net, x, path: mppd(net, x, x),
    "gain penalty": lambda net, x, path: GainPenalty().loss(net, x, net(x).argmax(1), torch.Generator()),
    "margin over gain": lambda net, x, path: MarginOverGain().loss(net, x, net(x).argmax(1), torch.Generator()),
    "s-ibp": lambda net, x, path: SIBP().loss(net, x, net(x).argmax(1), torch.Generator()),
    "certified loss": lambda net, x, path: CertifiedLoss(0.1).loss(net, x, net(x).argmax(1), torch.Generator()),
    "lirpa": lambda net, x, path: bounds(net, x, LInf(0.1), "lirpa"),
    "NIR": lambda net, x, path: to_nir(net, x),
    "ONNX": lambda net, x, path: write_onnx(net, (4,)),
}


@pytest.mark.parametrize("reader", REFUSING)
def test_who_does_not_know_it_says_so_in_one_line(reader: str, tmp_path: Path):
    with pytest.raises((TypeError, ValueError, Unproven), match="Adaptive") as caught:
        REFUSING[reader](small(), torch.rand(2, 4), tmp_path)
    assert "\n" not in str(caught.value)


def changed(**constants: Any) -> SpikingNetwork:
    network = small()
    for name, value in constants.items():
        setattr(network.layers[1], name, value)
    return network


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: AdaptiveLIF(adaptation=-0.1), ValueError, "adaptation: got -0.1, expected a finite number of at"),
        (lambda: AdaptiveLIF(adaptation=float("nan")), ValueError, "adaptation: got nan"),
        (lambda: AdaptiveLIF(threshold_decay=1.5), ValueError, "threshold_decay: got 1.5"),
        (lambda: AdaptiveLIF(threshold_decay=float("nan")), ValueError, "threshold_decay: got nan"),
        (lambda: AdaptiveLIF(reset="none"), ValueError, 'reset: got "none"'),
        (lambda: circuit(changed(adaptation=float("nan"))), ValueError, "adaptation: got nan"),
        (lambda: circuit(changed(adaptation=1e-40)), ValueError, "adaptation: got 1e-40"),
        (lambda: circuit(changed(threshold_decay=1e-40)), ValueError, "threshold_decay: got 1e-40"),
        (lambda: circuit(changed(_go=lambda *_: None)), ValueError, "_go"),
        (lambda: changed(reset_amount=2.0), AttributeError, "reset_amount"),
        (
            lambda: SpikingNetwork(nn.Linear(2, 2), AdaptiveLIF(), num_steps=2, readout="potential"),
            ValueError,
            'readout: "potential"',
        ),
    ],
)
def test_what_can_not_adapt_is_refused(make: Callable[[], Any], error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("size", [1e-30, 1e-6, 1e6, 1e30])
def test_huge_and_tiny_weights_are_answered(size: float):
    network = small()
    for layer in (network.layers[0], network.layers[2]):
        layer.weight.data.mul_(size)  # type: ignore[union-attr, operator]
    inputs = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    check_sound(network, inputs, LInf(0.01), "trains")
    with pytest.raises(ValueError, match="inputs"):
        verify(network, inputs * float("nan"), torch.zeros(2, dtype=torch.long), LInf(0.01), "trains")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(network=networks(most_width=8, most_steps=8), seed=SEEDS)
def test_all_verifiers_are_sound_on_them(network: SpikingNetwork, seed: int):
    inputs, _ = sample_of(network, seed)
    for name in sorted(VERIFIERS.keys() - {"lirpa"}):
        check_sound(network, inputs, LInf(0.05), name, timeout=0.5)
