"""Proofs of digits pass the check; whatever is changed in them, or in the network, is refused in one line."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from spikecert import DLIF, L2, LIF, PLIF, LInf, Residual, SpikingNetwork, dataset, mlp, network_hash, save, verify
from spikecert.certify import PixelBox, SpikeFlip
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check, read_network
from spikecert.checking.model import FORMAT as NETWORK
from spikecert.checking.proof import FORMAT as PROOF
from spikecert.models.storage import read_tensors, write_tensors

KINDS = ("shallow", "deep", "soft", "images", "ball", "residual", "spikes", "potential", "timed")
RADII = {"images": 0.01, "ball": 0.15, "timed": 0.1}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def proven(request, kind):
    return request.getfixturevalue(kind)


def test_a_proof_says_what_it_proves(proven, kind):
    found = check(proven.proof, proven.model)
    assert found.network == network_hash(proven.network)
    assert found.label == proven.label
    assert found.epsilon == RADII.get(kind, 0.02)
    assert found.leaves == proven.leaves
    assert found.norm == ("l2" if kind == "ball" else "linf")
    assert found.margin > 0
    assert found.note == "a digit"
    assert torch.equal(torch.from_numpy(found.sample.copy()), proven.sample)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "timed"])  # whose samples are no digits
def test_proofs_agree_with_the_complete_verifier(proven, kind):
    data, ball = dataset("digits").test, (L2 if kind == "ball" else LInf)(RADII.get(kind, 0.02) / 2)
    inputs, labels = data.inputs[:20].view(20, *proven.sample.shape), data.labels[:20]
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


def _scaled(name, factor):
    def change(text, tensors):
        tensors[name] = tensors[name] * factor

    return change


def _wider(text, tensors):
    tensors["radius"] = torch.full_like(tensors["radius"], 0.2)


def _other_label(text, tensors):
    text["label"] = (text["label"] + 1) % 10


def _moved_sample(text, tensors):
    tensors["sample"] = 1.0 - tensors["sample"]


def _all_prices(value):
    def change(text, tensors):
        for name in tensors:
            if ".prices." in name:
                tensors[name] = torch.full_like(tensors[name], value)

    return change


def _tree(tensors):
    """Return the name of a class whose tree has a split."""
    return next(name.split(".")[0] for name, x in tensors.items() if name.endswith("neuron") and len(x) > 1)


def _dropped_subtree(text, tensors):
    name = _tree(tensors)
    for part in (f"{name}.neuron", f"{name}.current"):
        tensors[part] = tensors[part][:-1]
    for part in [part for part in tensors if part.startswith(f"{name}.prices")]:
        tensors[part] = tensors[part][:-1]


def _dropped_class(text, tensors):
    for part in [part for part in tensors if part.startswith(f"{_tree(tensors)}.")]:
        del tensors[part]


def _leaf_for_split(text, tensors):
    """The root becomes a leaf, with the first leaf's prices."""
    name = _tree(tensors)
    tensors[f"{name}.neuron"] = torch.tensor([-1], dtype=torch.int32)
    tensors[f"{name}.current"] = torch.zeros(1, dtype=torch.float64)
    for part in [part for part in tensors if part.startswith(f"{name}.prices")]:
        tensors[part] = tensors[part][:1]


def _other_rows(text, tensors):
    """The root's right side gets all the rows; the left side's leaves stay as they are."""
    tensors[f"{_tree(tensors)}.current"][0] = -100.0


def _unknown_neuron(text, tensors):
    tensors[f"{_tree(tensors)}.neuron"][0] = 999


def _longer_tree(text, tensors):
    name = _tree(tensors)
    tensors[f"{name}.neuron"] = torch.cat([tensors[f"{name}.neuron"], torch.tensor([-1], dtype=torch.int32)])
    tensors[f"{name}.current"] = torch.cat([tensors[f"{name}.current"], torch.zeros(1, dtype=torch.float64)])
    for part in [part for part in tensors if part.startswith(f"{name}.prices")]:
        tensors[part] = torch.cat([tensors[part], tensors[part][-1:]])


def _set(key, value):
    def change(text, tensors):
        text[key] = value

    return change


def _nan_sample(text, tensors):
    tensors["sample"][3] = math.nan


def _negative_radius(text, tensors):
    tensors["radius"] = -tensors["radius"]


def _nan_split(text, tensors):
    tensors[f"{_tree(tensors)}.current"][0] = math.nan


SPIKES = {
    "a step behind the last": (4.0, "splits step 4"),
    "a step before the first": (-1.0, "splits step -1"),
    "half a step": (0.5, "splits step 0.5"),
}


@pytest.mark.parametrize("name", SPIKES)
def test_a_proof_that_splits_no_step_is_refused(timed, sealed, name):
    value, message = SPIKES[name]

    def change(text, tensors):
        tensors[f"{_tree(tensors)}.current"][0] = value

    with pytest.raises(Refused, match=message):
        check(sealed(timed.proof, PROOF, change), timed.model)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_sample_of_fewer_steps_is_refused(timed, sealed, steps):
    def change(text, tensors):
        tensors["sample"] = tensors["sample"][:steps]

    with pytest.raises(Refused, match="has no first axis of 4 steps"):
        check(sealed(timed.proof, PROOF, change), timed.model)


def _other_shape(text, tensors):
    tensors["sample"] = tensors["sample"].view(2, -1)


TAMPERED = {
    "a wider radius": (_wider, "is only proven to be at least"),
    "another label": (_other_label, "lacks a part|is only proven"),
    "another sample": (_moved_sample, "is only proven"),
    "no prices": (_all_prices(0.0), "is only proven"),
    "wild prices": (_all_prices(1e30), "is only proven"),
    "infinite prices": (_all_prices(math.inf), "got NaN or inf"),
    "NaN prices": (_all_prices(math.nan), "got NaN or inf"),
    "a dropped subtree": (_dropped_subtree, "the tree is cut short"),
    "a dropped class": (_dropped_class, "lacks a part"),
    "a leaf for a split": (_leaf_for_split, "is only proven"),
    "other rows": (_other_rows, "is only proven"),
    "an unknown neuron": (_unknown_neuron, "splits neuron 999"),
    "a longer tree": (_longer_tree, "goes on behind its end"),
    "a NaN sample": (_nan_sample, "sample: got NaN or inf"),
    "a NaN split": (_nan_split, "a split: got NaN or inf"),
    "a negative radius": (_negative_radius, "got a negative number"),
    "an infinite range": (_set("lower", -math.inf), "lower: got NaN or inf"),
    "a range that excludes the sample": (_set("upper", -1.0), "holds no input"),
    "a label out of range": (_set("label", 10), "expected a class below 10"),
    "a label that is none": (_set("label", "seven"), "expected a class below 10"),
    "a true label": (_set("label", True), "expected a class below 10"),
    "another network": (_set("network", "0" * 64), "is about another network"),
    "a list for a range": (_set("lower", [0.0]), "lacks a part"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_proof_is_refused(shallow, sealed, name):
    change, reason = TAMPERED[name]
    with pytest.raises(Refused) as error:
        check(sealed(shallow.proof, PROOF, change), shallow.model)
    assert re.search(reason, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [_all_prices(1e30), _wider, _dropped_subtree, _leaf_for_split, _other_shape])
def test_a_tampered_proof_of_any_network_is_refused(proven, sealed, change):
    with pytest.raises(Refused):
        check(sealed(proven.proof, PROOF, change), proven.model)


def test_a_sealed_copy_is_accepted(proven, sealed):
    assert check(sealed(proven.proof, PROOF, lambda text, tensors: None), proven.model).leaves == proven.leaves


def test_other_weights_are_refused_even_if_the_proof_names_them(shallow, sealed, tmp_path):
    model = sealed(shallow.model, NETWORK, _scaled("layers.0.weight", 1.5))
    with pytest.raises(Refused, match="is about another network"):
        check(shallow.proof, model)
    claimed = _set("network", read_network(model).digest)
    with pytest.raises(Refused, match="is only proven"):
        check(sealed(shallow.proof, PROOF, claimed), model)


def test_any_changed_byte_is_refused(shallow, tmp_path):
    content, path = shallow.proof.read_bytes(), tmp_path / "changed.proof"
    generator = np.random.default_rng(0)
    for place in [*range(64), *generator.integers(0, len(content), 150).tolist()]:
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(0, 8))
        path.write_bytes(changed)
        with pytest.raises(Refused, match=r"^changed\.proof: ") as error:
            check(path, shallow.model)
        assert "\n" not in str(error.value)


def test_a_truncated_file_is_refused(shallow, tmp_path):
    content, path = shallow.proof.read_bytes(), tmp_path / "cut.proof"
    for length in [*range(40), *range(40, len(content), 397), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(Refused, match=r"^cut\.proof: "):
            check(path, shallow.model)


def test_a_file_that_is_too_large_or_missing_is_refused(shallow, tmp_path, monkeypatch):
    with pytest.raises(Refused, match="can't be read"):
        check(tmp_path / "none.proof", shallow.model)
    network = read_network(shallow.model)
    monkeypatch.setattr("spikecert.checking.files.MOST_BYTES", 1000)
    with pytest.raises(Refused, match="bytes are more than the 1000 that are read"):
        check(shallow.proof, network)


UNKNOWN = {
    "a rate code": SpikingNetwork(
        torch.nn.Linear(3, 2), LIF(), torch.nn.Linear(2, 2), num_steps=2, encoding="rate"
    ),
    "half precision": mlp((3, 2, 2), num_steps=2).half(),
    "no neuron": SpikingNetwork(torch.nn.Linear(3, 2), num_steps=2),
    "no neuron that fires": SpikingNetwork(
        torch.nn.Linear(3, 2), LIF(reset="none"), num_steps=2, readout="potential"
    ),
    "an input around the first layer": SpikingNetwork(
        Residual([torch.nn.Linear(3, 3), LIF()]), torch.nn.Linear(3, 2), num_steps=2
    ),
    "a late small decay": mlp((3, 2, 2, 2), num_steps=8, neuron=LIF(0.01)),
    "a learned decay": SpikingNetwork(torch.nn.Linear(3, 2), PLIF(), torch.nn.Linear(2, 2), num_steps=2),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_network_without_a_proof_form_is_said_to_be_unknown(name):
    with pytest.raises(Unproven, match=r"^unknown: no proof form for"):
        Prover.of(UNKNOWN[name]).prove(torch.full((3,), 0.5), 0, LInf(0.0))


def test_another_norm_is_said_to_be_unknown(shallow):
    with pytest.raises(Unproven, match=r"^unknown: no proof form for norm 'l0'"):
        Prover.of(shallow.network).prove(shallow.sample, shallow.label, SpikeFlip(1))


NORMS = {
    "a box for a ball": ("norm", "linf", "is only proven"),
    "another norm": ("norm", "l1", "no proof form for norm 'l1'"),
    "a list": ("norm", ["l2"], "no proof form for norm"),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_proof_of_another_ball_is_refused(ball, sealed, name):
    key, value, message = NORMS[name]
    with pytest.raises(Refused, match=message):
        check(sealed(ball.proof, PROOF, _set(key, value)), ball.model)


def test_a_ball_has_one_radius(ball, sealed):
    def change(text, tensors):
        tensors["radius"] = tensors["radius"].expand(64).contiguous()

    with pytest.raises(Refused, match="have shapes that do not fit"):
        check(sealed(ball.proof, PROOF, change), ball.model)


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
assert own <= {"spikecert"} | {name for name in own if name.startswith("spikecert.checking")}, own
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
