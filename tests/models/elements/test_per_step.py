"""Layers of their own at each step: they run, are bounded, trained and saved as what they say, or are refused."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikecert import (
    L2,
    LIF,
    ConversionRefused,
    LInf,
    PerStep,
    Residual,
    SpikeFlip,
    SpikingNetwork,
    Synapse,
    bounds,
    exact_twin,
    gain,
    load,
    save,
    to_nir,
)
from spikecert.analysis.ablation import temporal_ablation
from spikecert.certify.proofs import Prover, Unproven
from spikecert.models import circuit, network_hash
from spikecert.models.circuit import UnknownNode
from spikecert.testing import check_sound
from spikecert.training.bounds.interval_bounds import worst_logits
from support.drawn_networks import draw_weights, inputs_of

STEPS = 3
VERIFIERS = ("interval", "trains", "linear", "complete", "milp")


def norm(width: int, generator: torch.Generator, grid: bool) -> nn.Module:
    """Return a batch norm with numbers of its own, of which a grid's put currents on thresholds."""
    found = nn.BatchNorm1d(width, eps=0.0)
    weight, bias = (torch.randn(width, generator=generator) for _ in range(2))
    found.weight.data, found.bias.data = (
        ((weight * 4).round() / 4, (bias * 4).round() / 4) if grid else (weight, bias)
    )
    return found


@st.composite
def networks(draw: st.DrawFn) -> SpikingNetwork:
    """Return a network with layers of their own at each step, in one of several places."""
    generator, grid = torch.Generator().manual_seed(draw(st.integers(0, 2**31))), draw(st.booleans())
    steps, width = draw(st.integers(1, 4)), 3

    def neuron() -> LIF:
        reset = draw(st.sampled_from(["zero", "subtract", "none"]))
        return LIF(draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])), 1.0, reset, draw(st.sampled_from([">=", ">"])))

    def own(dense: bool) -> PerStep:
        return PerStep([nn.Linear(width, width) if dense else norm(width, generator, grid) for _ in range(steps)])

    place = draw(st.sampled_from(["first", "behind", "dense", "sum", "synapse", "last", "pooled"]))
    layers: list[nn.Module] = [nn.Linear(2, width)]
    layers += [own(False)] if place == "first" else []
    layers += [neuron()]
    layers += {
        "behind": lambda: [nn.Linear(width, width), own(False), own(True), neuron()],
        "dense": lambda: [own(True), neuron()],
        "sum": lambda: [Residual([own(True)], [nn.Linear(width, width), neuron()]), neuron()],
        "synapse": lambda: [nn.Linear(width, width), Synapse(0.5, draw(st.integers(0, 1))), own(False), neuron()],
        "pooled": lambda: [own(True), nn.MaxPool1d(2, 1, 1), nn.Linear(width + 1, width), neuron()],
    }.get(place, list)()
    layers += [own(True)] if place == "last" else [nn.Linear(width, 3)]
    made = SpikingNetwork(*layers, num_steps=steps, encoding=draw(st.sampled_from(["direct", "none"])))
    draw_weights(made, generator, 1.5, grid)
    return made.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


@pytest.mark.parametrize("verifier", VERIFIERS)
@settings(max_examples=12, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**31), radius=st.sampled_from([0.0, 0.02, 0.25]))
def test_no_verdict_is_wrong(verifier: str, network: SpikingNetwork, seed: int, radius: float) -> None:
    check_sound(network, inputs_of(network, seed), LInf(radius), verifier, count=16, timeout=3.0)


@settings(max_examples=12, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**31))
def test_no_verdict_about_balls_is_wrong(network: SpikingNetwork, seed: int) -> None:
    check_sound(network, inputs_of(network, seed), L2(0.2), "trains", count=16)


@settings(max_examples=12, deadline=None)
@given(network=networks().filter(lambda made: made.timed), seed=st.integers(0, 2**31))
def test_flipped_events_agree_with_all_of_them(network: SpikingNetwork, seed: int) -> None:
    events = (inputs_of(network, seed) > 0.5).to(network.dtype)
    check_sound(network, events, SpikeFlip(1), "enumeration", count=8)
    check_sound(network, events, SpikeFlip(1), "trains", count=8)


@settings(max_examples=30, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**31))
def test_bounds_of_training_hold_what_is_run(network: SpikingNetwork, seed: int) -> None:
    inputs, radius = inputs_of(network, seed), 0.1
    with torch.no_grad():
        labels = network(inputs).argmax(1)
        worst = worst_logits(network, inputs - radius, inputs + radius, labels)
        own = worst.gather(1, labels[:, None])
        for _ in range(16):
            moved = inputs + (torch.rand_like(inputs) * 2 - 1) * radius
            logits = network(moved)
            apart = logits.gather(1, labels[:, None]) - logits
            assert bool((apart >= own - worst - 1e-4).all())


@settings(max_examples=30, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**31))
def test_at_radius_0_the_bounds_are_the_run_where_nothing_ties(network: SpikingNetwork, seed: int) -> None:
    inputs = inputs_of(network, seed)
    found = bounds(network, inputs, LInf(0.0), "trains")
    with torch.no_grad():
        logits = network(inputs)
    assert bool((found.lower <= logits).all() and (logits <= found.upper).all())


def test_each_step_has_its_own_layer() -> None:
    layer = PerStep([nn.Linear(2, 3) for _ in range(STEPS)])
    signal = torch.rand(STEPS, 5, 2)
    expected = torch.stack([own(part) for own, part in zip(layer.steps, signal, strict=True)])
    assert torch.equal(layer(signal, STEPS), expected)
    constant = torch.stack([own(signal[0]) for own in layer.steps])
    assert torch.equal(layer(signal[:1], STEPS), constant)
    assert torch.equal(layer.resume(signal[1:], None, 1, 2, STEPS)[0], expected[1:])


def network() -> SpikingNetwork:
    torch.manual_seed(0)
    own = PerStep([nn.Linear(4, 4) for _ in range(STEPS)])
    return SpikingNetwork(
        nn.Linear(2, 4), LIF(0.9, 0.2), own, LIF(0.5, 0.2), nn.Linear(4, 3), num_steps=STEPS
    ).eval()


def test_a_pass_in_parts_is_the_whole_pass() -> None:
    made, inputs = network(), torch.rand(5, 2)
    whole = made(inputs)
    whole.sum().backward()
    grads = [weight.grad.clone() for weight in made.parameters() if weight.grad is not None]
    made.zero_grad()
    made.steps_at_once = 2
    parts = made(inputs)
    parts.sum().backward()
    assert torch.allclose(parts, whole)
    assert all(
        torch.allclose(a, b.grad) for a, b in zip(grads, made.parameters(), strict=True) if b.grad is not None
    )
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in made.layers[2].parameters())


def test_a_file_holds_the_layer_of_each_step(tmp_path: Path) -> None:
    made, inputs = network(), torch.rand(5, 2)
    save(made, tmp_path / "own.safetensors")
    found = load(tmp_path / "own.safetensors")
    assert network_hash(found) == network_hash(made)
    assert torch.equal(found(inputs), made(inputs))


def test_the_circuit_has_a_map_for_each_step() -> None:
    nodes = circuit(network()).nodes
    assert [node.kind for node in nodes][3:7] == ["mapped", "mapped", "mapped", "chosen"]
    assert [node.name for node in nodes][3:7] == [*(f"layers.2.steps.{t}" for t in range(3)), "layers.2"]


def test_time_that_is_cut_takes_the_layers_of_those_steps() -> None:
    found = temporal_ablation(network(), torch.rand(5, 2), torch.zeros(5, dtype=torch.long))
    assert [row.name for row in found.rows[:4]] == ["first step", "first 2 steps", "last step", "last 2 steps"]
    assert len(network().layers[2].steps) == STEPS  # type: ignore[arg-type]


def test_gains_and_proofs_are_refused() -> None:
    with pytest.raises(UnknownNode, match=r"^network: layers\.2 is a node of type Chosen, which the analysis of"):
        gain(network())
    with pytest.raises(Unproven, match=r"^unknown: no proof form for a PerStep layer$"):
        Prover.of(network())
    with pytest.raises(ConversionRefused, match=r"^layer 2 \(PerStep\): is not written, expected one of "):
        to_nir(network(), torch.rand(2, 2))
    with pytest.raises(TypeError, match="a node of type Chosen, which"):
        exact_twin(network())


def test_what_is_no_layer_of_each_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^steps: got no layer, expected one for each step$"):
        PerStep([])
    with pytest.raises(TypeError, match=r"^steps: got LIF, expected affine layers$"):
        PerStep([LIF()])
    own = PerStep([nn.Linear(2, 2)] * 2)
    with pytest.raises(ValueError, match=r"^num_steps: got 3, expected this PerStep's 2$"):
        SpikingNetwork(own, LIF(), num_steps=3)
    made = SpikingNetwork(own, LIF(), num_steps=2)
    with pytest.raises(ValueError, match=r"^num_steps: got 4, expected this PerStep's 2$"):
        made.num_steps = 4
    with pytest.raises(ValueError, match=r"^inputs: a PerStep was given 3 steps, expected 1 or 2$"):
        own(torch.rand(3, 1, 2), 2)
    with pytest.raises(
        ValueError, match=r"^inputs: a PerStep makes signals of \[\(2,\), \(3,\)\], expected one shape"
    ):
        PerStep([nn.Linear(2, 2), nn.Linear(2, 3)])(torch.rand(2, 1, 2), 2)
    made.layers[0].steps = nn.Sequential(*own.steps)  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"^network: layers\.0\.steps is Sequential, expected nn\.ModuleList$"):
        circuit(made)
