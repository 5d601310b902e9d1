"""What a verifier, an attack or a radius hands out never requires a gradient, whatever was handed in."""

import pytest
import torch
from torch import Tensor

from spikecert.certify import (
    EventChange,
    LInf,
    Perturbation,
    SpikeFlip,
    SpikeShift,
    attack,
    certified_radius,
    certify_set,
    verify,
)
from spikecert.certify.attacks import ATTACKS, AttackResult
from spikecert.certify.radii.radius import Radius
from spikecert.certify.verdicts import Verdict
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import VERIFIERS
from spikecert.models import LIF, SpikingNetwork, mlp
from support.examples import by_night

EVENTS: dict[str, Perturbation] = {
    "spike-flip": SpikeFlip(2),
    "sparse-flip": SpikeFlip(2),
    "random-events": SpikeFlip(2),
    "spike-shift": SpikeShift(1),
    "pil": SpikeShift(1),
    "event-change": EventChange(SpikeFlip(1), SpikeShift(1)),
}
TIMED = {"spike-shift", "pil", "event-change"}
"""Attacks on when events come."""

ENCODINGS = pytest.mark.parametrize("encoding", ["direct", "none", "rate"])


def subject(encoding: str, events: bool = False) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network with parameters that require gradients, inputs that do, and labels, the first one wrong."""
    torch.manual_seed(0)
    network = mlp((5, 6, 3), num_steps=3, neuron=LIF(0.9, 0.2), encoding=encoding)
    inputs = torch.rand(3, *((3, 5) if encoding == "none" else (5,)))
    inputs = inputs.round() if events else inputs
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    return network, inputs.requires_grad_(), labels


@ENCODINGS
@pytest.mark.parametrize("verifier", sorted(VERIFIERS))
@pytest.mark.parametrize("threat", [LInf(0.3), SpikeFlip(2)], ids=lambda threat: threat.norm)
def test_verdicts_are_detached(encoding: str, verifier: str, threat: Perturbation):
    network, inputs, labels = subject(encoding, isinstance(threat, SpikeFlip))
    verdicts = verify(network, inputs, labels, threat, verifier, timeout=1.0)
    found = [verdict.counterexample for verdict in verdicts if verdict.counterexample is not None]
    assert verdicts[0].status == "falsified"
    assert not any(counterexample.requires_grad for counterexample in found)
    assert inputs.requires_grad
    assert inputs.grad is None


@ENCODINGS
@pytest.mark.parametrize("method", [*sorted(set(ATTACKS) - {"ensemble", "standard"}), *by_night("standard")])
def test_attacked_inputs_are_detached(encoding: str, method: str):
    network, inputs, labels = subject(encoding, method in EVENTS)
    threat = EVENTS.get(method, LInf(0.3))
    if method in TIMED and encoding != "none":
        with pytest.raises(ValueError, match="encoding"):
            attack(network, inputs, labels, threat, method)
        return
    result = attack(network, inputs, labels, threat, method)
    assert not result.inputs.requires_grad
    assert not result.logits.requires_grad
    assert inputs.grad is None


@ENCODINGS
def test_sets_radii_and_bounds_are_detached(encoding: str):
    network, inputs, labels = subject(encoding)
    radii = certified_radius(network, inputs, labels, timeout=0.5)
    verdicts = certify_set(network, inputs, labels, LInf(0.3), "trains", workers=1)
    found = [each.counterexample for each in (*radii, *verdicts) if each.counterexample is not None]
    assert len(found) >= 2
    assert not any(counterexample.requires_grad for counterexample in found)
    bounds(network, inputs, LInf(0.01), "interval")


def test_none_is_made_with_a_gradient():
    held = torch.ones(2, requires_grad=True) * 2
    verdict = Verdict("falsified", None, held, "mine", 0.0, "")
    radius = Radius(0.0, 0.1, False, held, None)
    result = AttackResult(held, torch.tensor([True]), held, "mine")
    made = (verdict.counterexample, radius.counterexample, result.inputs, result.logits)
    assert all(tensor is not None and torch.equal(tensor, held) for tensor in made)
    assert not any(tensor is not None and tensor.requires_grad for tensor in made)
