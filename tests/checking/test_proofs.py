"""Proofs of each kind of network pass the check; what has no proof form is said to be unknown."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import DLIF, L2, LIF, PLIF, LInf, RefractoryLIF, SpikingNetwork, dataset, mlp, save, verify
from spikecert.certify import PixelBox, SpikeFlip
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check, read_network
from spikecert.checking.network.model import FORMAT as NETWORK
from spikecert.models import network_hash
from spikecert.models.files.storage import read_tensors, write_tensors
from support.examples import by_night
from support.proofs import KINDS, RADII

LONG = "images", "ball", "spikes", "counts"
"""Kinds whose networks take long to train, or to find a proof of; other tests by day have proofs of such."""
EACH = [*(kind for kind in KINDS if kind not in LONG), *by_night(*LONG)]


@pytest.mark.parametrize("kind", EACH, indirect=True)
def test_a_proof_says_what_it_proves(proven, kind):
    found = check(proven.proof, proven.model)
    assert found.network == network_hash(proven.network)
    assert found.label == proven.label
    assert found.epsilon == RADII.get(kind, 0.02)
    assert found.leaves == proven.leaves
    assert found.norm == ("l2" if kind == "ball" else "linf")
    assert found.margin > 0 or (found.ties == "argmax" and found.margin >= 0)  # a tie may fall to the label
    assert found.note == "a digit"
    assert torch.equal(torch.from_numpy(found.sample.copy()), proven.sample)


@pytest.mark.parametrize("kind", [kind for kind in EACH if kind != "timed"], indirect=True)  # whose are no digits
def test_proofs_agree_with_the_complete_verifier(proven, kind):
    data, ball = dataset("digits").test, (L2 if kind == "ball" else LInf)(RADII.get(kind, 0.02) / 2)
    count = 20 if kind in ("shallow", "deep") else 6
    inputs, labels = data.inputs[:count].view(count, *proven.sample.shape), data.labels[:count]
    prover = Prover.of(proven.network)
    for index, verdict in enumerate(verify(proven.network, inputs, labels, ball, "complete", timeout=20.0)):
        if verdict.status == "verified":
            assert prover.prove(inputs[index], int(labels[index]), ball, 20.0).trees
        elif verdict.status == "falsified":
            with pytest.raises(Unproven):
                prover.prove(inputs[index], int(labels[index]), ball, 20.0)


def test_a_radius_per_feature(proven, kind, tmp_path):
    radius = torch.linspace(0.0, 0.01 if kind == "images" else 0.02, proven.sample.numel()).view(
        proven.sample.shape
    )
    proof = Prover.of(proven.network).prove(proven.sample, proven.label, PixelBox(radius))
    proof.save(tmp_path / "box.proof")
    found = check(tmp_path / "box.proof", proven.model)
    assert np.array_equal(found.radius, radius.double().numpy())


UNKNOWN = {
    "a latency code": SpikingNetwork(
        torch.nn.Linear(3, 2), LIF(), torch.nn.Linear(2, 2), num_steps=2, encoding="latency"
    ),
    "half precision": mlp((3, 2, 2), num_steps=2).half(),
    "no neuron": SpikingNetwork(torch.nn.Linear(3, 2), num_steps=2),
    "no neuron that fires": SpikingNetwork(
        torch.nn.Linear(3, 2), LIF(reset="none"), num_steps=2, readout="potential"
    ),
    "a late small decay": mlp((3, 2, 2, 2), num_steps=8, neuron=LIF(0.01)),
    "a learned decay": SpikingNetwork(torch.nn.Linear(3, 2), PLIF(), torch.nn.Linear(2, 2), num_steps=2),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_network_without_a_proof_form_is_said_to_be_unknown(name):
    with pytest.raises(Unproven, match=r"^unknown: no proof form for"):
        Prover.of(UNKNOWN[name]).prove(torch.full((3,), 0.5), 0, LInf(0.0))


def test_inputs_over_a_single_step_are_said_to_be_unknown():
    torch.manual_seed(0)
    network = SpikingNetwork(torch.nn.Linear(3, 2), LIF(0.5), torch.nn.Linear(2, 2), num_steps=1, encoding="none")
    with pytest.raises(Unproven, match=r"^unknown: no proof form for inputs over a single step"):
        Prover.of(network).prove(torch.full((1, 3), 0.5), 0, LInf(0.1))


def test_events_of_inputs_without_time_are_said_to_be_unknown(shallow):
    with pytest.raises(
        Unproven, match=r"^unknown: no proof form for events of inputs that have none of their own"
    ):
        Prover.of(shallow.network).prove(shallow.sample, shallow.label, SpikeFlip(1))


def test_a_falsified_sample_has_no_proof(shallow):
    with pytest.raises(Unproven):
        Prover.of(shallow.network).prove(shallow.sample, shallow.label, LInf(0.5), timeout=30.0)


def test_what_the_checker_does_not_know_of_a_neuron_it_does_not_pass_over(shallow, tmp_path):
    text, tensors = read_tensors(shallow.model, NETWORK)
    for field, value, message in (("refractory", 2, "refractory"), ("reset_amount", 0.1, "reset_amount")):
        description = json.loads(text)
        description["layers"][1][field] = value
        write_tensors(tmp_path / "changed", NETWORK, json.dumps(description), tensors)
        with pytest.raises(Refused, match=message):
            read_network(tmp_path / "changed")


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_scaled_neurons_have_proofs(reset, tmp_path):
    torch.manual_seed(1)
    network = mlp((4, 6, 3), num_steps=4, neuron=DLIF(4, decay=0.8, reset=reset)).eval()
    network.neurons[0].input_scale.data = torch.tensor([1.0, -0.5, 1.5, 0.0])
    sample = torch.rand(4)
    label = int(network(sample[None]).argmax())
    Prover.of(network).prove(sample, label, LInf(1e-3), 20.0).save(tmp_path / "scaled.proof")
    save(network, tmp_path / "network.safetensors")
    assert check(tmp_path / "scaled.proof", tmp_path / "network.safetensors").label == label


BLOCKED = """
import sys
for name in ("torch", "scipy", "safetensors", "sympy", "cvxpy", "sklearn", "matplotlib"):
    sys.modules[name] = None
before = set(sys.modules)
import spikecert.checking
own = {name for name in sys.modules if name.startswith("spikecert")}
allowed = ("spikecert.checking", "spikecert.files", "spikecert.processes")
assert own <= {"spikecert"} | {name for name in own if name.startswith(allowed)}, own
found = {name.partition(".")[0] for name in set(sys.modules) - before}
assert found - set(sys.stdlib_module_names) <= {"spikecert", "numpy"}, found
from spikecert.cli import main
raise SystemExit(main(["check-proof", sys.argv[1], "--model", sys.argv[2]]))
"""


def test_the_check_needs_numpy_alone(shallow):
    command = [sys.executable, "-c", BLOCKED, str(shallow.proof), str(shallow.model)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 accepted, 0 refused" in done.stdout


FORMLESS = {
    "a PLIF layer": PLIF,
    "neurons that start from another potential than 0": lambda: RefractoryLIF(start=0.5),
}


@pytest.mark.parametrize("what", FORMLESS)
def test_what_certificates_have_no_words_for_is_refused_by_name(what):
    network = SpikingNetwork(nn.Linear(2, 3), FORMLESS[what](), nn.Linear(3, 2), num_steps=3)
    with pytest.raises(Unproven, match=f"^unknown: no proof form for {what}$"):
        Prover.of(network)
