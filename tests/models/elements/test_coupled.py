"""Neurons of several numbers of state: what they do, what bounds say of them, and who refuses them."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    DLIF,
    L2,
    LIF,
    MSMPPD,
    AdaptiveLIF,
    CoupledLIF,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    StuckNeurons,
    attack,
    bounds,
    gain,
    load,
    save,
    to_nir,
    verify,
)
from spikecert.certify.proofs import Prover, Unproven
from spikecert.models import Neuron, Recurrent, RefractoryLIF, circuit, network_hash
from spikecert.models.circuit import UnknownNode
from spikecert.models.dynamics import RESETS
from spikecert.models.linear_neuron import AXES, OWN, LinearNeuron
from spikecert.models.rules import FLOOR, SEVERAL, STEPS
from spikecert.testing import check_sound
from support.drawn_networks import coupled_neurons, draw_weights, inputs_of
from support.examples import THOROUGH
from support.oracles import every_flip

SEEDS = st.integers(0, 2**31)


@st.composite
def networks(draw: st.DrawFn, encoding: str | None = None, most: int = 5) -> SpikingNetwork:
    """Return a dense network of such neurons, half of them with weights on a grid of quarters."""
    width, grid, steps = 3, draw(st.booleans()), draw(st.integers(1, most))
    neurons = coupled_neurons(steps=steps)
    layers: list[nn.Module] = [nn.Linear(2, width), draw(neurons)]
    layers += draw(st.sampled_from([[], [nn.Linear(width, width), LIF(0.5)]]))
    layers += [nn.Linear(width, width), draw(neurons)] if draw(st.booleans()) else []
    last = draw(neurons.filter(lambda own: own.most == 1))
    layers += [nn.Linear(width, 3)] if draw(st.booleans()) else [nn.Linear(width, width), last]
    coding = encoding or draw(st.sampled_from(["direct", "none"]))
    made = SpikingNetwork(*layers, num_steps=steps, encoding=coding)
    generator = torch.Generator().manual_seed(draw(SEEDS))
    scale = draw(st.sampled_from([1.0, 1.5, 1.5, 2.0**-60, 2.0**40]))
    draw_weights(made, generator, scale, grid)
    return made.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


def by_hand(layer: Neuron, current: Tensor) -> Tensor:
    """Return the spikes of currents (T, batch, n), neuron by neuron."""
    found, many = torch.zeros_like(current), range(layer.others)
    for sample, place in itertools.product(range(current.shape[1]), range(current.shape[2])):
        flat = {name: getattr(layer, name)[..., place] if layer.shape else getattr(layer, name) for name in AXES}
        told = {name: array.flatten().tolist() for name, array in flat.items()}
        u, w = layer.start, [0.0] * layer.others
        for t in range(len(current)):
            c = told | {name: told[name][t : t + 1] for name in OWN} if layer.steps else told
            factor = 1.0 if layer.input_scale is None else float(layer.input_scale[t])
            before, entering = u, float(current[t, sample, place]) * factor
            v = c["decay"][0] * u - sum(map(mul, c["drain"], w)) + entering
            limit = c["threshold"][0] + sum(map(mul, c["rise"], w))
            taken, fires = c["reset_amount"][0] + sum(map(mul, c["reset_rise"], w)), 0
            left = v
            while fires < layer.most and (left >= limit if layer.shared.fires_at == ">=" else left > limit):
                left, fires = left - taken, fires + 1
            u = {"subtract": left, "zero": v * (not fires), "none": v}[layer.reset]
            u = u if layer.floor is None else max(u, layer.floor)
            w = [
                sum(c["fading"][i * layer.others + k] * w[k] for k in many)
                + c["drive"][i] * v
                + c["carry"][i] * before
                + c["hearing"][i] * entering
                + c["jump"][i] * fires
                for i in many
            ]
            found[t, sample, place] = float(fires)
    return found


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=SEEDS, steps=st.integers(1, 5))
def test_a_run_is_what_the_words_say_whole_and_in_parts(data: st.DataObject, seed: int, steps: int) -> None:
    """On a grid, where hardly a product rounds and thresholds are met exactly."""
    layer = data.draw(coupled_neurons(steps=steps)).double()
    for name in AXES:
        getattr(layer, name).data = (getattr(layer, name) * 4).round() / 4
    layer.threshold.data.clamp_(min=0.25)
    current = (torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(seed)).double() * 4).round() / 4
    run = layer.run(current, steps)
    assert torch.equal(run.spikes, by_hand(layer, current))
    parts, residue = [], None
    for start in range(steps):
        spikes, residue = layer.resume(current[start : start + 1], residue, start, 1, steps)
        parts.append(spikes)
    assert torch.equal(torch.cat(parts), run.spikes)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_rising_threshold_is_that_of_adaptive_neurons(reset: str) -> None:
    current = torch.randn(12, 40, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one = AdaptiveLIF(0.75, 0.5, 0.25, 0.5, reset)
    other = CoupledLIF(0.75, 0.5, 0.5, 0.5, 1.0, rise=0.25, reset=reset).double()
    assert torch.equal(one(current, 12), other(current, 12))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_number_that_takes_part_in_nothing_changes_no_bit(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    for reset in ("zero", "subtract"):
        names = [name for name, axes in AXES.items() if axes < 2]
        one: dict[str, Any] = {name: torch.rand(50, generator=draw) + 0.01 for name in names}
        two: dict[str, Any] = {
            name: torch.stack((of, of * (name == "jump"))) if AXES[name] else of for name, of in one.items()
        }
        kept = torch.rand(50, generator=draw)
        fading = torch.stack((kept, torch.zeros(50), torch.zeros(50), kept)).reshape(2, 2, 50)
        current = torch.randn(12, 40, 50, generator=draw, dtype=dtype)
        runs = [
            CoupledLIF(**one, fading=kept, reset=reset).run(current, 12),
            CoupledLIF(**two, fading=fading, reset=reset, others=2).run(current, 12),
        ]
        assert torch.equal(runs[0].potentials, runs[1].potentials)
        assert 0.05 < float(runs[0].spikes.mean()) < 0.95


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "complete", "milp"])
@settings(max_examples=25, deadline=None)
@given(network=networks(), seed=SEEDS, radius=st.sampled_from([0.0, 0.02, 0.25]))
def test_no_verdict_is_wrong(verifier: str, network: SpikingNetwork, seed: int, radius: float) -> None:
    check_sound(network, inputs_of(network, seed), LInf(radius), verifier, count=16, timeout=3.0)


@settings(max_examples=15, deadline=None)
@given(network=networks(), seed=SEEDS)
def test_no_verdict_about_balls_is_wrong(network: SpikingNetwork, seed: int) -> None:
    check_sound(network, inputs_of(network, seed), L2(0.2), "trains", count=16)


@settings(max_examples=15, deadline=None)
@given(network=networks("none", most=3), seed=SEEDS)
def test_flipped_events_agree_with_all_of_them(network: SpikingNetwork, seed: int) -> None:
    events = (inputs_of(network, seed, 2) > 0.5).to(network.dtype)
    with torch.no_grad():
        labels = network(events).argmax(1)
    for place, verdict in enumerate(verify(network, events, labels, SpikeFlip(1), "enumeration")):
        with torch.no_grad():
            every = network(every_flip(events[place], 1))
        keeps = every.argmax(1) == labels[place]
        if verdict.ties == "strict":  # another class as high as its own is another answer
            keeps &= (every == every.amax(1, keepdim=True)).sum(1) == 1
        assert verdict.status != ("falsified" if bool(keeps.all()) else "verified")
    check_sound(network, events, SpikeFlip(1), "trains", count=8)


@settings(max_examples=60, deadline=None)
@given(network=networks(), seed=SEEDS)
def test_bounds_of_one_input_hold_its_run(network: SpikingNetwork, seed: int) -> None:
    inputs = inputs_of(network, seed)
    found = bounds(network, inputs, LInf(0.0), "trains")
    with torch.no_grad():
        logits = network(inputs)
    assert bool((found.lower <= logits).all() and (logits <= found.upper).all())


@pytest.mark.parametrize("others", [0, 1, 2])
def test_programs_decide_all_that_can_be_listed(others: int) -> None:
    """Off a grid, where nothing ties: floors, starts, several numbers and loops, each against all its members."""
    told = set[str]()
    for seed in range(200 if THOROUGH else 12):
        network, draw = _off_grid(others, seed), torch.Generator().manual_seed(seed)
        events = (torch.rand(1, 4, 2, generator=draw) < 0.5).float()
        with torch.no_grad():
            labels, every = network(events).argmax(1), network(every_flip(events[0], 1)).argmax(1)
        (verdict,) = verify(network, events, labels, SpikeFlip(1), "milp", timeout=60.0)
        assert verdict.status == ("verified" if bool((every == labels[0]).all()) else "falsified")
        told.add(verdict.status)
    assert len(told) == 2


def _off_grid(others: int, seed: int) -> SpikingNetwork:
    """Return a network of neurons that differ, some of which hear themselves."""
    torch.manual_seed(seed)
    names = [name for name, axes in AXES.items() if others or not axes]
    ends = {"decay": (0.0, 1.0), "threshold": (0.4, 1.0), "reset_amount": (0.3, 1.0)}
    shapes = {name: [others] * AXES[name] * (others > 1) + [3] for name in names}
    numbers = {name: torch.rand(shape) for name, shape in shapes.items()}
    for name, own in numbers.items():
        low, high = ends.get(name, (-0.5, 0.5))
        numbers[name] = own * (high - low) + low
    rest: dict[str, Any] = {"floor": (None, -0.3, 0.0)[seed % 3], "start": (0.0, 0.25)[seed % 2]}
    neuron = Neuron(**numbers, **rest, reset=RESETS[seed // 2 % 3], others=others)
    layer = Recurrent(neuron, nn.Linear(3, 3)) if seed % 4 == 3 else neuron
    network = SpikingNetwork(nn.Linear(2, 3), layer, nn.Linear(3, 3), num_steps=4, encoding="none")
    network.layers[0].weight.data.mul_(3.0)  # type: ignore[union-attr]
    return network.eval()


def test_what_moves_nothing_is_left_out() -> None:
    """Bounds of neurons that are leaky ones by their constants are those of leaky ones, bit for bit."""
    torch.manual_seed(0)
    rules = LIF(0.75, 0.5).rule(4), LIF(0.75, 0.5, "subtract").rule(4)
    assert CoupledLIF(0.75, 0.5, jump=0.0, drain=1.0, rise=1.0, reset="zero").rule(4) == rules[0]
    assert CoupledLIF(0.75, 0.5, fading=0.5).rule(4) == rules[1]
    assert AdaptiveLIF(0.75, 0.5, 0.0).rule(4) == RefractoryLIF(0.75, 0.5, 0).rule(4) == rules[0]
    assert Neuron([0.75, 0.75], 0.5).rule(4) == rules[0]
    assert {FLOOR} == Neuron(0.9, floor=-1.0).rule(4).features
    for constants, told in (({"floor": 0.5}, "floor"), ({"start": math.nan}, "start"), ({"others": -1}, "others")):
        with pytest.raises(ValueError, match=f"^{told}: got "):
            Neuron(**constants)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("constants", "told"),
    [
        ({"most": 0}, "most: got 0"),
        ({"most": 256, "reset": "subtract"}, "most: got 256"),
        ({"most": 2}, "most: got 2, expected 1, or up to 255 with reset"),
        ({"most": 2, "reset": "subtract", "others": 1, "reset_rise": 0.5}, "most: got 2"),
        ({"most": 2, "reset": "subtract", "others": 1, "reset_amount": 0.0}, "most: got 2"),
        ({"steps": -1}, "steps: got -1"),
        ({"steps": 3, "threshold": [1.0, 2.0]}, r"threshold: got shape \(2,\), expected \(3,\)"),
        ({"steps": 2, "threshold": [1.0, 0.0]}, "threshold: got 0"),
        ({"steps": 2, "decay": [1.0, math.nan]}, "decay: got nan"),
        ({"input_scale": [1.0, 1.0]}, r"input_scale: got shape \(2,\), expected \(0,\)"),
        ({"steps": 2, "input_scale": [1.0, math.inf]}, "input_scale: got inf"),
    ],
)
def test_what_a_step_can_not_have_is_refused(constants: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        Neuron(**constants)


def test_constants_a_step_that_say_nothing_are_left_out() -> None:
    """They are those of all steps; of a input scale alone, of a DLIF."""
    dlif = DLIF(3, 0.75, 0.5)
    dlif.input_scale.data = torch.tensor([1.0, -0.5, 2.0])
    assert Neuron(0.75, 0.5, steps=3).rule(3) == LIF(0.75, 0.5).rule(3)
    assert Neuron(0.75, 0.5, steps=3, input_scale=[1.0, 1.0, 1.0]).rule(3) == LIF(0.75, 0.5).rule(3)
    assert Neuron(0.75, 0.5, steps=3, input_scale=[1.0, -0.5, 2.0]).rule(3) == dlif.rule(3)
    told = Neuron(0.75, [0.5, 1.0, 0.5], reset="subtract", steps=3, most=2).rule(3)
    assert told.features == {STEPS, SEVERAL}
    with pytest.raises(ValueError, match=r"^num_steps: got 4, expected this Neuron's 3$"):
        SpikingNetwork(nn.Linear(2, 2), Neuron(steps=3), nn.Linear(2, 2), num_steps=4)


def test_several_spikes_are_an_integrator_that_is_asked_often() -> None:
    """θ at once, N times a step, is what N steps of such a neuron do of which the first alone gets a current."""
    current = torch.randn(5, 20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    several = Neuron(1.0, 0.5, 0.75, reset="subtract", most=3).double()(current, 5)
    apart = torch.zeros(15, 20, 30, dtype=torch.float64)
    apart[::3] = current
    assert torch.equal(
        several, Neuron(1.0, 0.5, 0.75, reset="subtract").double()(apart, 15).view(5, 3, 20, 30).sum(1)
    )
    assert {0.0, 1.0, 2.0, 3.0} == set(several.unique().tolist())


@pytest.mark.parametrize("readout", ["spikes", "first"])
def test_several_spikes_are_no_answer(readout: str) -> None:
    """How many spikes there are at a step no readout of spikes says."""
    layers = [nn.Linear(2, 2), Neuron(0.75, 0.5, reset="subtract", most=3)]
    network = SpikingNetwork(*layers, num_steps=3, readout=readout).eval()
    told = rf"^readout: got '{readout}' of neurons of layers.1 that may fire 3 times a step, expected an affine"
    with pytest.raises(ValueError, match=told):
        circuit(network)


def test_what_a_reset_adds_rounds_as_what_it_takes_away() -> None:
    rule = Neuron(0.75, 0.5, -100.0, 0.5, 0.5, rise=0.25, reset="subtract", others=1).rule(3)
    assert isinstance(rule, LinearNeuron)
    assert rule.recursion(torch.zeros(1, 1, 2)).numbers[0].entering == 100.0


def test_no_stuck_neuron_has_several_spikes() -> None:
    layers = [nn.Linear(2, 2), Neuron(0.75, 0.5, reset="subtract", most=3), nn.Linear(2, 2)]
    network = SpikingNetwork(*layers, num_steps=3).eval()
    told = r"layers\.1 is a Neuron of several spikes a step, which StuckNeurons does not know"
    with pytest.raises(UnknownNode, match=told):
        verify(network, torch.rand(1, 2), torch.zeros(1, dtype=torch.long), StuckNeurons(1), "trains")


def test_a_loop_that_hears_several_spikes_pays_for_them() -> None:
    """Currents that only three spikes at once reach overflow, and are not taken for small."""
    neuron = Neuron(0.5, 0.5, reset="subtract", most=3)
    network = SpikingNetwork(nn.Linear(2, 2), Recurrent(neuron, nn.Linear(2, 2)), nn.Linear(2, 2), num_steps=3)
    for layer, size in ((network.layers[0], 4.0), (network.layers[1].feedback, 3e37)):  # type: ignore[union-attr]
        layer.weight.data.fill_(size)  # type: ignore[union-attr, operator]
    (verdict,) = verify(network.eval(), torch.ones(1, 2), torch.zeros(1, dtype=torch.long), LInf(0.0), "trains")
    assert verdict.status == "unknown"
    assert "reach" in verdict.reason or "overflow" in verdict.reason


def made(**constants: Any) -> SpikingNetwork:
    torch.manual_seed(0)
    settled: dict[str, Any] = {"fading": 0.5, "jump": 0.5, "drive": 0.25, "drain": 0.5} | constants
    neuron = CoupledLIF(0.75, [1.0, 0.5, 0.75], **settled)
    net = SpikingNetwork(nn.Linear(2, 3), neuron, nn.Linear(3, 2), num_steps=4)
    net.layers[0].weight.data.mul_(4.0)  # type: ignore[union-attr]
    return net.eval()


def test_a_sample_is_decided_where_nothing_ties() -> None:
    net, inputs = made(), torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    found = verify(net, inputs, labels, LInf(1e-4), "trains")
    assert sum(verdict.status == "verified" for verdict in found) >= 35


def _by_step() -> SpikingNetwork:
    neuron = Neuron(0.75, torch.rand(4, 3) + 0.25, reset="subtract", steps=4, input_scale=torch.rand(4), most=3)
    return SpikingNetwork(nn.Linear(2, 3), neuron, nn.Linear(3, 2), num_steps=4).eval()


def _numbers() -> SpikingNetwork:
    neurons = Neuron(0.75, 0.5, floor=0.0, start=0.25), CoupledLIF(0.75, floor=-0.5, most=2)
    return SpikingNetwork(
        nn.Linear(2, 3), neurons[0], nn.Linear(3, 3), neurons[1], nn.Linear(3, 2), num_steps=4
    ).eval()


@pytest.mark.parametrize("network", [*(partial(made, others=others) for others in (1, 3, 12)), _by_step, _numbers])
def test_a_file_holds_the_constants(tmp_path: Path, network: Callable[[], SpikingNetwork]) -> None:
    net, inputs = network(), torch.rand(5, 2)
    save(net, tmp_path / "net.safetensors")
    found = load(tmp_path / "net.safetensors")
    assert network_hash(found) == network_hash(net)
    assert torch.equal(found(inputs), net(inputs))


def test_a_network_of_them_learns() -> None:
    torch.manual_seed(0)
    neuron = CoupledLIF(0.75, 0.5, fading=0.5, jump=0.25, drain=0.25)
    net = SpikingNetwork(nn.Linear(4, 16), neuron, nn.Linear(16, 2), num_steps=4)
    inputs = torch.rand(64, 4)
    labels, losses = (inputs[:, 0] > inputs[:, 1]).long(), []
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert not any(isinstance(value, nn.Parameter) for value in neuron.parameters())


def test_attacks_run_on_them() -> None:
    net, inputs = made(), torch.rand(20, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    assert bool(attack(net, inputs, labels, LInf(0.5)).success.any())


def test_who_does_not_know_them_says_so() -> None:
    net, inputs = made(), torch.rand(2, 2)
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(
        UnknownNode, match=r"a CoupledLIF of further states, which the analysis of gains does not know"
    ):
        gain(net)
    with pytest.raises(Unproven, match=r"^unknown: no proof form for a CoupledLIF layer$"):
        Prover.of(net)
    with pytest.raises(TypeError, match="is a CoupledLIF of further states, expected plain leaky"):
        to_nir(net, inputs)
    with pytest.raises(TypeError, match="a CoupledLIF, which may have more numbers"):
        MSMPPD().loss(net, inputs, labels, torch.Generator())
    assert verify(net, inputs, labels, LInf(0.5), "lirpa")[0].status in ("unknown", "falsified")


def test_constants_outside_their_ranges_are_refused() -> None:
    for constants, told in (
        ({"decay": float("-inf")}, "decay"),
        ({"threshold": 0.0}, "threshold"),
        ({"fading": float("nan")}, "fading"),
        ({"others": 13}, "others"),
        ({"others": 2, "fading": [1.0, 2.0]}, "fading"),
        ({"others": 2, "jump": [1.0, 2.0, 3.0]}, "jump"),
        ({"jump": float("nan")}, "jump"),
        ({"drain": float("inf")}, "drain"),
        ({"reset": "late"}, "reset"),
        ({"others": 0}, "others"),
        ({"rise": [1.0, 2.0], "drive": [1.0, 2.0, 3.0]}, "constants"),
    ):
        with pytest.raises(ValueError, match=f"^{told}: got "):
            CoupledLIF(**constants)  # type: ignore[arg-type]
    layer = CoupledLIF()
    with pytest.raises(AttributeError, match=r"^dynamics: a CoupledLIF holds its constants as buffers"):
        layer.dynamics = LIF().dynamics
    with pytest.raises(TypeError, match=r"^layer: got a CoupledLIF, which may have more numbers"):
        assert layer.dynamics is None
    layer.threshold.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"threshold: got nan"):
        circuit(SpikingNetwork(nn.Linear(2, 2), layer, num_steps=2))


def test_what_may_overflow_is_not_verified() -> None:
    net = made(jump=1e38, drain=1e38)
    found = verify(net, torch.rand(2, 2), torch.zeros(2, dtype=torch.long), LInf(0.1), "trains")
    assert all(verdict.status == "unknown" for verdict in found)
