"""What `test_recipes` runs where CONTRIBUTING's recipes were followed: the product has none of these layers."""

import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikecert
from spikecert import CertifiedLoss, LInf, SpikingNetwork, attack, circuit, gain, load, save, verify
from spikecert.certify.proofs import Prover
from spikecert.certify.verifiers import VERIFIERS
from spikecert.checking import check
from spikecert.models.circuit import UnknownNode
from spikecert.models.rules import Leaky
from spikecert.testing import check_gain_bound, check_sound

NEEDS_NOTHING = sorted(set(VERIFIERS) - {"lirpa"})
THREAT = LInf(0.02)


def made(module: str, name: str) -> Any:
    """Return what a recipe made."""
    return getattr(import_module(f"spikecert.{module}"), name)


@lru_cache
def plain() -> SpikingNetwork:
    """Return a network with the neuron that is other constants."""
    torch.manual_seed(1)
    neurons = [made("models.elements.integrate_and_fire", "IF")(0.7) for _ in range(2)]
    layers = (nn.Linear(4, 6), neurons[0], nn.Linear(6, 6), neurons[1], nn.Linear(6, 3))
    return SpikingNetwork(*layers, num_steps=4).eval()


@lru_cache
def shuffled() -> SpikingNetwork:
    """Return a network with the affine layer, in front, between spikes and a pool, and in a residual sum."""
    torch.manual_seed(2)
    shuffles = [nn.ChannelShuffle(2) for _ in range(3)]
    inner = spikecert.Residual([shuffles[2], nn.Conv2d(4, 4, 1)])
    first, later = (spikecert.LIF(0.9, theta) for theta in (0.3, 0.2))
    layers = (shuffles[0], nn.Conv2d(4, 4, 2, groups=2, padding=1, bias=False), first, inner, later, shuffles[1])
    return SpikingNetwork(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(4, 3), num_steps=3).eval()


@lru_cache
def resting() -> SpikingNetwork:
    """Return a network with the neuron of its own reset."""
    torch.manual_seed(3)
    neuron = made("models.elements.resting", "RestingLIF")(0.9, 0.3)
    return SpikingNetwork(nn.Linear(4, 6), neuron, nn.Linear(6, 3), num_steps=5).eval()


NETWORKS = {"IF": (plain, (4,)), "ChannelShuffle": (shuffled, (4, 2, 2))}
BOUNDED = NETWORKS | {"RestingLIF": (resting, (4,))}


def problem(name: str, count: int = 4) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network, inputs and its own answers."""
    network, shape = BOUNDED[name][0](), BOUNDED[name][1]
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


def test_it_is_the_copy_that_runs() -> None:
    assert spikecert.__file__.startswith(os.environ["PYTHONPATH"])


@pytest.mark.parametrize("verifier", NEEDS_NOTHING)
@pytest.mark.parametrize("name", BOUNDED)
def test_verdicts_and_bounds_hold_on_samples(name: str, verifier: str) -> None:
    network, inputs, _ = problem(name)
    found = check_sound(network, inputs, THREAT, verifier, count=40)
    assert found.verified > 0 or verifier in ("interval", "gain", "enumeration")  # a ball has no list of members


@pytest.mark.parametrize("name", NETWORKS)
def test_a_saved_network_is_the_same(name: str, tmp_path: Path) -> None:
    network, inputs, _ = problem(name, 16)
    save(network, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors")
    assert torch.equal(again(inputs), network(inputs))
    assert save(again, tmp_path / "again.safetensors") == save(network, tmp_path / "network.safetensors")


@pytest.mark.parametrize("name", NETWORKS)
def test_gains_hold_on_samples(name: str) -> None:
    network, inputs, _ = problem(name)
    report = gain(network, input_shape=tuple(inputs.shape[1:]))
    assert report.check()
    other = inputs + 0.1 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(1))
    assert len(check_gain_bound(network, inputs, other)) == len(network.neurons)


@pytest.mark.parametrize("name", NETWORKS)
def test_certified_training_bounds_it(name: str) -> None:
    network, inputs, labels = problem(name)
    weight = next(network.parameters())
    terms = CertifiedLoss(epsilon=0.02).loss(network, inputs, labels, torch.Generator().manual_seed(0))
    terms.total.backward()
    assert weight.grad is not None
    assert bool((weight.grad != 0).any())
    network.zero_grad()


@pytest.mark.parametrize("name", NETWORKS)
def test_proofs_are_accepted(name: str, tmp_path: Path) -> None:
    network, inputs, labels = problem(name)
    save(network, tmp_path / "network.safetensors")
    proof = Prover.of(network).prove(inputs[0], int(labels[0]), THREAT)
    proof.save(tmp_path / "0.proof")
    assert check(tmp_path / "0.proof", tmp_path / "network.safetensors").label == int(labels[0])


def test_a_neuron_that_is_other_constants_runs_by_their_rule() -> None:
    rules = [node.rule for node in circuit(plain()).fired]
    assert rules == [Leaky(1.0, 0.7, "subtract", drop=0.7)] * 2


def test_the_map_is_the_layer() -> None:
    layer = nn.ChannelShuffle(2)
    linear = import_module("spikecert.models.linear_maps").linear_map(layer)
    images = torch.rand(2, 6, 4, 5, dtype=torch.float64)
    for each in (linear.apply, linear.linear, linear.squared, linear.absolute().linear):
        assert torch.equal(each(images), layer(images))
    assert torch.equal(linear.products(images).sum(-1), layer(images))


def test_other_readers_refuse_its_own_reset_by_name(tmp_path: Path) -> None:
    network, inputs = resting(), torch.rand(2, 4)
    labels = network(inputs).argmax(1)
    for verdict in verify(network, inputs, labels, THREAT, verifier="lirpa"):
        assert verdict.reason == "network: layers.1 is a RestingLIF of rule Resting, which lirpa does not know"
    with pytest.raises(UnknownNode, match="RestingLIF of rule Resting"):
        gain(network)
    with pytest.raises(UnknownNode, match="RestingLIF of rule Resting"):
        CertifiedLoss(epsilon=0.02).loss(network, inputs, labels, torch.Generator())
    with pytest.raises(TypeError, match="RestingLIF"):
        save(network, tmp_path / "network.safetensors")
    with pytest.raises(TypeError, match="RestingLIF"):
        verify(network, inputs, labels, THREAT, engine="local")


def test_its_own_reset_runs_in_parts_and_is_attacked() -> None:
    network = resting()
    inputs = torch.rand(8, 4, generator=torch.Generator().manual_seed(0))
    whole = torch.autograd.grad(network(inputs).square().sum(), next(network.parameters()))[0]
    network.steps_at_once = 2
    parts = torch.autograd.grad(network(inputs).square().sum(), next(network.parameters()))[0]
    network.steps_at_once = None
    assert bool((whole != 0).any())
    torch.testing.assert_close(parts, whole)
    assert bool(attack(network, inputs, network(inputs).argmax(1), LInf(0.4)).success.any())


@pytest.mark.parametrize("make", [plain, resting], ids=["LIF", "its own reset"])
def test_a_new_reader_knows_the_rules_that_it_lists(make: Any) -> None:
    network = make()
    largest = made("analysis.largest_logits", "largest_logits")(network, (4,))
    inputs = 2 * torch.rand(4000, 4, generator=torch.Generator().manual_seed(0)) - 1
    seen = network(inputs).detach().abs().amax(0).double()
    assert bool((seen <= largest * (1 + 1e-6)).all())
    assert float(seen.max()) > 0.3 * float(largest.max())
    last = SpikingNetwork(nn.Linear(4, 3), spikecert.LIF(reset="none"), num_steps=3, readout="potential")
    with pytest.raises(UnknownNode, match="largest_logits does not know"):
        made("analysis.largest_logits", "largest_logits")(last, (4,))


def test_resting_halves_what_a_neuron_can_send() -> None:
    run = resting().trace(10 * torch.rand(50, 4, generator=torch.Generator().manual_seed(0)))
    assert int(run.spikes[0].sum(0).max()) == 3
    assert not bool((run.spikes[0][1:] * run.spikes[0][:-1]).any())
