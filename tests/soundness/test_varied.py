"""Layers whose neurons differ: bounds against sampling and exact answers, kind by kind and all at once."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import gain, load, save
from spikecert.certify import L2, LInf, attack, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains import resting as separate
from spikecert.certify.bounds.trains.resting import many_spikes
from spikecert.certify.bounds.trains.trains import window_spikes
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Complete, Linear, MarginVerifier
from spikecert.models import LIF, SpikingNetwork, VariedLIF, network_hash
from spikecert.models.circuit import circuit
from spikecert.models.files import storage as checkpoints
from spikecert.models.files.description import describe
from spikecert.models.files.storage import pack
from spikecert.models.linear_neuron import LinearNeuron
from spikecert.models.rules import Leaky
from spikecert.testing import image_networks, networks, neurons, residual_networks
from support.contained import check_contained, check_flips, check_line
from support.contained import on_quarters as sample_of
from support.examples import examples
from support.milp import check_runs
from support.oracles import dynamics_of, exact_trains, feasible_trains
from support.varied import varied, vary

SEEDS = st.integers(0, 2**31)
QUICK = Linear(PriceSearch(iterations=3))
BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, QUICK], ids=lambda v: v.name)
AT_ONCE = pytest.mark.parametrize("at_once", [False, True], ids=["by kind", "at once"])


def settle(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    """Bound all neurons at once, or each kind by itself."""
    monkeypatch.setattr(separate, "MOST_KINDS", 1 if at_once else 10**6)


@st.composite
def lines(draw: st.DrawFn) -> SpikingNetwork:
    """Return a float64 network of one input on the grid, with one or two layers of several kinds."""
    steps, generator = draw(st.integers(1, 4)), torch.Generator().manual_seed(draw(SEEDS))
    layers: list[nn.Module] = [nn.Linear(1, 5), varied(draw(neurons(steps, scaled=False)), (5,), generator)]
    if draw(st.booleans()):
        layers += [nn.Linear(5, 4), varied(draw(neurons(steps, scaled=False)), (4,), generator)]
    network = SpikingNetwork(*layers, nn.Linear(5 if len(layers) == 2 else 4, 3), num_steps=steps)
    for layer in layers:
        for parameter in layer.parameters():
            parameter.data = (torch.randn(parameter.shape, generator=generator) * 6).round() / 4
    return network.double().eval()


@AT_ONCE
@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "complete", "milp"])
@settings(max_examples=5, deadline=None)
@given(network=lines(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.125, 0.25]))
def test_verdicts_agree_with_the_pieces_of_a_line(
    at_once: bool, verifier: str, network: SpikingNetwork, seed: int, epsilon: float
):
    with pytest.MonkeyPatch.context() as patched:
        settle(patched, at_once)
        check_line(network, sample_of(network, seed, 2, 1), epsilon, verifier)


@AT_ONCE
@BOUNDS
@settings(max_examples=5, deadline=None)
@given(
    network=networks(most_steps=5) | residual_networks(most_steps=4),
    seed=SEEDS,
    epsilon=st.sampled_from([0.0, 0.05, 0.25]),
)
def test_no_run_escapes(
    at_once: bool, verifier: MarginVerifier, network: SpikingNetwork, seed: int, epsilon: float
):
    shape = (network.layers[0].in_features,)  # type: ignore[union-attr]
    shape = (network.num_steps, *shape) if network.timed else shape
    inputs, _ = sample_of(network, seed, 3, *shape)  # type: ignore[arg-type]
    network = vary(network, inputs, seed)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patched:
        settle(patched, at_once)
        check_contained(verifier, network, inputs, seed, (LInf(epsilon), L2(3 * epsilon)), 12)


@AT_ONCE
@pytest.mark.parametrize("verifier", [INTERVAL, TRAINS], ids=lambda v: v.name)
@settings(max_examples=4, deadline=None)
@given(network=image_networks(side=4, most_steps=3), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.05, 0.25]))
def test_no_image_escapes(
    at_once: bool, verifier: MarginVerifier, network: SpikingNetwork, seed: int, epsilon: float
):
    inputs, _ = sample_of(network, seed, 3, 1, 4, 4)
    network = vary(network, inputs, seed)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patched:
        settle(patched, at_once)
        check_contained(verifier, network, inputs, seed, (LInf(epsilon), L2(3 * epsilon)), 12)


@AT_ONCE
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(VERIFIERS))
def test_flips_are_all_met(monkeypatch, name: str, dtype: torch.dtype, at_once: bool):
    settle(monkeypatch, at_once)
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        reset = LIF(0.5, 0.5, ("zero", "subtract")[seed % 2])
        layers = nn.Linear(3, 4), varied(reset, (4,), generator), nn.Linear(4, 3)
        network = SpikingNetwork(*layers, num_steps=3, encoding="none").to(dtype).eval()
        for parameter in network.parameters():
            parameter.data = (torch.randn(parameter.shape, generator=generator) * 6).round().to(dtype) / 4
        events = torch.rand(2, 3, 3, generator=generator).round().to(dtype)
        check_flips(network, events, name)


def rows(steps: int, reset: str, generator: torch.Generator) -> tuple[VariedLIF, LinearNeuron, Tensor, Tensor]:
    """Return six neurons, their rule, and ends of currents, (T, 6), some of them on breakpoints."""
    layer = varied(LIF(reset=reset), (6,), generator).double()
    layer.decay[:2] = torch.tensor([0.25, 0.5])
    rule = layer.rule(steps)
    assert isinstance(rule, LinearNeuron)
    middle = (torch.randn(steps, 6, generator=generator, dtype=torch.float64) * 4).round() / 4
    radius = (torch.rand(steps, 6, generator=generator, dtype=torch.float64) * 2).round() / 4
    return layer, rule, middle - radius, middle + radius


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_constant_currents_have_their_exact_trains(reset: str):
    """Behind a hard reset no others, all at once as kind by kind."""
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        layer, rule, low, high = rows(4, reset, generator)
        current = InputSignal(Box(low[:1, None], high[:1, None]), 4)
        weights = torch.randn(5, 4, generator=generator, dtype=torch.float64)
        found = many_spikes(current, rule, Rounding(torch.float64)).combine(weights)
        for index in range(6):
            ends = float(low[0, index]), float(high[0, index])
            trains = torch.tensor(list(exact_trains(dynamics_of(layer, index), [1.0] * 4, *ends))).double()
            sums = weights @ trains.T
            assert bool((found.lower[:, 0, index] <= sums.amin(1) + 1e-12).all())
            assert bool((found.upper[:, 0, index] >= sums.amax(1) - 1e-12).all())
            if reset == "zero":
                torch.testing.assert_close(found.lower[:, 0, index], sums.amin(1))
                torch.testing.assert_close(found.upper[:, 0, index], sums.amax(1))


def test_currents_that_vary_have_their_exact_trains():
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        layer, rule, low, high = rows(3, "zero", generator)
        current = InputSignal(Box(low[:, None], high[:, None]), 3)
        weights = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        found = many_spikes(current, rule, Rounding(torch.float64)).combine(weights)
        for index in range(6):
            ends = low[:, index].tolist(), high[:, index].tolist()
            wide, narrow = (
                torch.tensor(list(feasible_trains(dynamics_of(layer, index), *ends, slack))).double()
                for slack in (1e-6, 0.0)
            )
            assert bool((found.lower[:, 0, index] <= (weights @ narrow.T).amin(1) + 1e-12).all())
            assert bool((found.lower[:, 0, index] >= (weights @ wide.T).amin(1) - 1e-12).all())


def test_neurons_that_share_their_decay_have_windows():
    """Thresholds alone differ: the previous layer's trains say of several steps at once what boxes do not."""
    first, second = nn.Linear(1, 1, dtype=torch.float64), nn.Linear(1, 3, dtype=torch.float64)
    nn.init.ones_(first.weight)
    nn.init.zeros_(first.bias)
    nn.init.ones_(second.weight)
    nn.init.zeros_(second.bias)
    layers = first, LIF(1.0, 1.0), second, VariedLIF(1.0, torch.tensor([1.5, 2.5, 3.0]).double(), "none")
    network = SpikingNetwork(*layers, nn.Linear(3, 2, dtype=torch.float64), num_steps=5).eval()
    made = circuit(network)
    source = input_signal(made, LInf(0.03).enclosure(torch.full((1, 1), 0.33, dtype=torch.float64)))
    known = propagate(made, source, window_spikes, Rounding(made.dtype))
    rule = made.spiking[1].rule
    assert isinstance(rule, LinearNeuron)
    at_once = many_spikes(known[3], rule, Rounding(made.dtype))
    for signal in (known[4], at_once):
        assert float(signal.steps().upper.sum()) == 0.0  # the neuron before spikes once, at step 3 or 4


@examples(40)
@given(network=lines(), seed=SEEDS, single=st.booleans())
def test_every_run_is_a_point_of_the_closed_program(network: SpikingNetwork, seed: int, single: bool):
    network = network.float() if single else network
    check_runs(network, sample_of(network, seed, 1, 1)[0], seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fires_at", [">=", ">"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_each_neuron_runs_as_a_plain_layer_of_its_constants(reset: str, fires_at: str, dtype: torch.dtype):
    """On the grid, where no product rounds: values, gradients and parts of a few steps."""
    generator = torch.Generator().manual_seed(0)
    layer = varied(LIF(reset=reset, fires_at=fires_at), (6,), generator).to(dtype)
    layer.decay.mul_(4).round_().div_(4)
    current = ((torch.randn(5, 3, 6, generator=generator) * 4).round() / 4).to(dtype).requires_grad_()
    weights = torch.randn(5, 3, 6, generator=generator).to(dtype)
    run = layer.run(current, 5)
    (slope,) = torch.autograd.grad((run.spikes * weights).sum(), current)
    part, residue = layer.resume(current[:2], None, 0, 2, 5)
    rest, _ = layer.resume(current[2:], residue, 2, 3, 5)
    assert torch.equal(torch.cat((part, rest)), run.spikes)
    for index in range(6):
        d = dynamics_of(layer, index)
        plain = LIF(d.decay, d.threshold, d.reset, d.fires_at, layer.surrogate, d.reset_amount)
        own = current[..., [index]].detach().requires_grad_()
        expected = plain.run(own, 5)
        assert torch.equal(run.potentials[..., [index]], expected.potentials)
        assert torch.equal(run.spikes[..., [index]], expected.spikes)
        (wanted,) = torch.autograd.grad((expected.spikes * weights[..., [index]]).sum(), own)
        torch.testing.assert_close(slope[..., [index]], wanted)


def test_channels_have_their_own_constants():
    layer = VariedLIF(torch.tensor([0.25, 0.5, 1.0])[:, None, None], torch.tensor([0.5, 1.0, 2.0])[:, None, None])
    current = (torch.randn(4, 2, 3, 2, 2, generator=torch.Generator().manual_seed(0)) * 4).round() / 4
    spikes = layer(current, 4)
    for channel, (decay, threshold) in enumerate(((0.25, 0.5), (0.5, 1.0), (1.0, 2.0))):
        assert torch.equal(spikes[:, :, channel], LIF(decay, threshold)(current[:, :, channel], 4))


def test_neurons_that_are_alike_are_a_plain_layer():
    layer = VariedLIF(torch.full((3, 1, 1), 0.5), 2.0, "subtract", ">", reset_amount=[[[3.0]]])
    assert layer.rule(4) == Leaky(0.5, 2.0, "subtract", ">", 3.0)
    assert layer.dynamics.reset_amount == 3.0
    network = SpikingNetwork(nn.Conv2d(1, 3, 3), layer, nn.Flatten(), nn.Linear(12, 2), num_steps=2).eval()
    inputs = torch.rand(1, 1, 4, 4)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    assert verify(network, inputs, labels, LInf(0.0), "complete")[0].status == "verified"


def test_what_asks_for_one_number_is_told():
    with pytest.raises(TypeError, match="got a VariedLIF whose neurons differ, expected one λ, θ and d"):
        _ = VariedLIF([0.5, 0.9]).dynamics


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@examples(40)
@given(network=networks(most_steps=4, most_layers=2, encodings=("none",)), seed=SEEDS)
def test_gains_hold_of_neurons_that_differ(norm: str, network: SpikingNetwork, seed: int):
    """ε_j[t] = λ_j·ε_j[t−1] + w_j[t] for currents w of random signals, and of constant ones."""
    features, steps = network.layers[0].in_features, network.num_steps  # type: ignore[union-attr]
    network = vary(network.double(), sample_of(network.double(), seed, 3, steps, features)[0], seed)  # type: ignore[arg-type]
    report, first, order = (
        gain(network, norm, norm),
        network.layers[0],
        {"l1": 1, "l2": 2, "linf": torch.inf}[norm],
    )
    assert report.check()
    rule = circuit(network).spiking[0].rule
    generator = torch.Generator().manual_seed(seed)
    moved = torch.randn(steps, 20, features, dtype=torch.float64, generator=generator)  # type: ignore[arg-type]
    moved[:, 10:] = moved[:1, 10:]
    drive, epsilon, signals = moved @ first.weight.T, [], torch.zeros(1, dtype=torch.float64)  # type: ignore[union-attr]
    decay = rule.constants(drive)[0] if isinstance(rule, LinearNeuron) else rule.decay  # type: ignore[union-attr]
    scale = network.neurons[0].scale(steps)
    for t in range(steps):
        signals = decay * signals + drive[t] * (1.0 if scale is None else scale[t])
        epsilon.append(signals)
    size = torch.stack(epsilon).movedim(1, 0).flatten(1).norm(order, 1)
    assert bool((size <= report.layers[0].gain * moved.movedim(1, 0).flatten(1).norm(order, 1) * (1 + 1e-9)).all())


def small(layer: nn.Module) -> SpikingNetwork:
    torch.manual_seed(0)
    return SpikingNetwork(nn.Linear(4, 3), layer, nn.Linear(3, 2), num_steps=3).eval()


def test_readers_that_know_one_decay_a_layer_say_so():
    network, inputs = small(VariedLIF([0.5, 0.9, 1.0], 0.25)), torch.rand(1, 4)
    nn.init.zeros_(network.layers[2].bias)  # pyright: ignore[reportArgumentType]
    nn.init.zeros_(network.layers[2].weight)  # pyright: ignore[reportArgumentType]
    network.layers[2].bias.data = torch.tensor([0.01, 0.0])  # type: ignore[union-attr]
    network.layers[2].weight.data = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 0.0]])  # type: ignore[union-attr]
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    (verdict,) = verify(network, inputs, labels, LInf(0.5), "lirpa")
    assert (verdict.status, verdict.reason) == (
        "unknown",
        "network: layers.1 is a VariedLIF of varied constants, which lirpa does not know",
    )
    (verdict,) = verify(network, inputs, labels, LInf(0.5), Complete(programs=None))
    assert (verdict.status, verdict.reason) == ("unknown", "branching does not reach this network")


def test_attacks_go_through_them():
    torch.manual_seed(0)
    layer = VariedLIF(torch.rand(16), torch.rand(16) + 0.25)
    network = SpikingNetwork(nn.Linear(4, 16, bias=False), layer, nn.Linear(16, 3, bias=False), num_steps=4).eval()
    nn.init.normal_(network.layers[0].weight)  # type: ignore[arg-type]
    inputs = torch.rand(16, 4)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    assert bool(attack(network, inputs, labels, LInf(0.5), "pgd").success.any())


@pytest.mark.parametrize("amount", [None, [0.5, 1.0, 2.0]])
def test_a_saved_network_is_the_same(tmp_path, amount: list[float] | None):
    network = small(VariedLIF([0.5, 0.9, 1.0], [0.25, 0.5, 0.75], "subtract", ">", reset_amount=amount)).double()
    path = tmp_path / "network.safetensors"
    assert save(network, path) == network_hash(network)
    again, inputs = load(path), torch.rand(4, 4, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(again(inputs), network(inputs))
    assert circuit(again).spiking[0].rule == circuit(network).spiking[0].rule


@pytest.mark.parametrize(
    ("constants", "told"),
    [
        ({"decay": [0.5, 1.5]}, r"decay: got 1\.5, expected a number in \[0, 1\]"),
        ({"decay": [0.5, math.nan]}, "decay: got nan, expected"),
        ({"threshold": [0.0, 1.0]}, r"threshold: got 0\.0, expected a positive finite number"),
        ({"threshold": [math.inf, 1.0]}, "threshold: got inf, expected a positive finite number"),
        (
            {"reset": "subtract", "reset_amount": [-1.0, 1.0]},
            r"reset_amount: got -1\.0, expected a positive finite",
        ),
        ({"reset_amount": [1.0, 1.0]}, "reset_amount: got one with reset 'zero'"),
        (
            {"decay": [0.5, 0.6], "threshold": [1.0, 1.0, 2.0]},
            r"constants: got shapes decay \(2,\), threshold \(3,\)",
        ),
        ({"decay": []}, r"decay: got 0 numbers, expected 0, of shape \(0,\)"),
        ({"decay": "fast"}, "decay: got str, expected numbers in an array"),
        ({"decay": [True, False]}, r"decay: got torch\.bool, expected real numbers"),
        ({"reset": "later"}, "reset: got 'later', expected one of"),
    ],
)
def test_constants_that_say_nothing_are_refused(constants: dict, told: str):
    with pytest.raises((ValueError, TypeError), match=told):
        VariedLIF(**constants)


def test_constants_that_went_bad_are_refused():
    for change, told in (
        (lambda layer: layer.decay.fill_(torch.nan), "decay: got nan"),
        (lambda layer: layer.threshold.neg_(), "threshold: got -1.0"),
        (lambda layer: layer.decay.__setitem__(0, 1e-40), "decay: got 9.99"),
        (
            lambda layer: layer.double(),
            r"layers\.1 is torch\.float64 on cpu, expected all of it",
        ),
    ):
        layer = VariedLIF([0.5, 0.9, 1.0])
        network = small(layer)
        change(layer)
        with pytest.raises(ValueError, match=told):
            circuit(network)


def test_layouts_that_do_not_fit_are_refused():
    for shape in ((2,), (4, 3), (3, 1)):
        network = small(VariedLIF(torch.full(shape, 0.5), torch.rand(shape) + 0.5))
        for refused in (network, lambda x, n=network: verify(n, x, torch.tensor([0]), LInf(0.1))):
            with pytest.raises(ValueError, match=r"inputs: got features \(3,\), expected what constants of shape"):
                refused(torch.rand(1, 4))


def test_the_last_potential_of_neurons_that_differ_is_refused():
    network = SpikingNetwork(
        nn.Linear(4, 2), VariedLIF([0.5, 0.9], reset="none"), num_steps=2, readout="potential"
    )
    with pytest.raises(
        ValueError, match='got "potential" behind neurons of varied constants, expected plain leaky'
    ):
        circuit(network)


def test_a_subclass_that_runs_otherwise_is_refused():
    class Mine(VariedLIF):
        def forward(self, current: Tensor, num_steps: int) -> Tensor:
            return 1.0 - super().forward(current, num_steps)

    with pytest.raises(
        TypeError, match=r"Mine .* that runs otherwise than its node says: rule LinearNeuron knows nothing"
    ):
        circuit(small(Mine([0.5, 0.9, 1.0])))


def test_a_file_of_constants_out_of_range_is_refused():
    network = small(VariedLIF([0.5, 0.9, 1.0]))
    told = json.dumps(describe(network))
    network.layers[1].threshold[1] = -1.0  # type: ignore[index]
    with pytest.raises(ValueError, match=r"^threshold: got -1\.0"):
        checkpoints.to_bytes(network)
    content = pack(checkpoints.FORMAT, told, network.state_dict())
    with pytest.raises(ValueError, match=r"no network that this version can build: threshold: got -1\.0"):
        checkpoints.from_bytes(content)
