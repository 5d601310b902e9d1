"""What `check-proof` shows and counts: no file can rewrite a line, and each claim and each sample counts once."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from spikecert.models.files.storage import digest_of, read_tensors, write_tensors

PROOFS = Path(__file__).parents[1] / "checking" / "proofs-0.1"
PROOF, NETWORK = "spikecert.proof/1", "spikecert.network/1"
HOSTILE = "\x1b[2K\rε = 9 \x9b1A\u202e9 = ε\u2028accepted\x7f"


@pytest.fixture
def model(tmp_path):
    """Return the file of a small network."""
    return Path(shutil.copy(PROOFS / "dense.safetensors", tmp_path / "network.safetensors"))


@pytest.fixture
def proof(tmp_path):
    """Return the file of a proof, alone in its folder."""
    (tmp_path / "proofs").mkdir()
    return Path(shutil.copy(PROOFS / "dense.proof", tmp_path / "proofs"))


def changed(source: Path, form: str, name: str, change) -> Path:
    """Write a file next to `source`, with a right hash, after a change of its description and tensors."""
    text, tensors = read_tensors(source, form)
    described = json.loads(text)
    change(described, tensors)
    write_tensors(source.parent / name, form, json.dumps(described), tensors)
    return source.parent / name


def check_shown(text: str) -> None:
    """Each line holds nothing that a terminal does not just print."""
    assert all(line.isprintable() for line in text.split("\n"))


def _noted(text, tensors):
    text["note"] = f"sample 1{HOSTILE}\nREFUSED"


def test_a_note_can_not_rewrite_the_line_that_states_epsilon(run, model, proof):
    changed(proof, PROOF, "dense.proof", _noted)
    found = run("check-proof", proof, "--model", model)
    assert found.status == 0
    check_shown(found.out)
    assert found.out.count("\n") == 2
    assert "; sample 1\\x1b[2K ε = 9 \\x9b1A\\u202e9 = ε accepted\\x7f REFUSED\n" in found.out
    listed = run("check-proof", proof, "--model", model, "--json")
    check_shown(listed.out)
    assert "\\x1b[2K" in json.loads(listed.out)["proofs"][0]["note"]


def test_a_files_name_can_not_rewrite_a_line(run, model, proof):
    named = proof.rename(proof.with_name(f"{HOSTILE}\n.proof"))
    for options, status in (((), 0), (("--epsilon", 9), 1)):
        found = run("check-proof", named, "--model", model, *options)
        assert found.status == status
        check_shown(found.out)
        assert found.out.count("\n") == 2
        assert "\\x1b[2K" in found.out
    listed = run("check-proof", named, "--model", model, "--json")
    check_shown(listed.out)
    assert json.loads(listed.out)["proofs"][0]["file"] == named.name


REASONS = {
    "a label": lambda text, tensors: text.update(label=HOSTILE),
    "a norm": lambda text, tensors: text.update(norm=HOSTILE),
    "a lower end": lambda text, tensors: text.update(lower=HOSTILE),
    "another network": lambda text, tensors: text.update(network=HOSTILE),
    "a missing part": lambda text, tensors: tensors.pop("radius"),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_a_refused_proof_says_can_not_rewrite_a_line(run, model, proof, name):
    changed(proof, PROOF, "dense.proof", REASONS[name])
    found = run("check-proof", proof, "--model", model)
    assert found.status == 1
    check_shown(found.out)
    assert found.out.count("\n") == 2
    assert found.out.startswith("REFUSED dense.proof: ")


MODELS = {
    "a layer": lambda text, tensors: text["layers"][0].update(type=HOSTILE),
    "a field": lambda text, tensors: text["layers"][1].update({HOSTILE: 1}),
    "a tensor": lambda text, tensors: tensors.update({HOSTILE: torch.zeros(1)}),
    "an encoding": lambda text, tensors: text.update(encoding=HOSTILE),
    "steps": lambda text, tensors: text.update(num_steps=HOSTILE),
    "a readout": lambda text, tensors: text.update(readout=HOSTILE),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_file_says_can_not_rewrite_the_message(run, model, proof, name):
    damaged = changed(model, NETWORK, f"{HOSTILE}.safetensors", MODELS[name])
    found = run("check-proof", proof, "--model", damaged)
    assert found.status == 2
    assert found.out == ""
    check_shown(found.err)
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("option", ["--norm", "--epsilon", "--lower", "--model", HOSTILE])
def test_an_argument_can_not_rewrite_the_message(run, model, proof, option):
    found = run("check-proof", proof, "--model", model, option, HOSTILE)
    assert found.status == 2
    check_shown(found.err)
    assert found.err.count("\n") == 1


def test_copies_of_a_proof_count_once(run, model, proof):
    shutil.copy(proof, proof.with_name("copy.proof"))
    changed(proof, PROOF, "noted.proof", lambda text, tensors: text.update(note="another remark"))
    found = run("check-proof", proof.parent, "--model", model)
    assert found.status == 0
    lines = found.out.splitlines()
    assert [line.split()[0] for line in lines] == ["accepted", "copy", "copy", "1"]
    assert lines[1] == "copy dense.proof: proves what copy.proof proves"
    assert lines[-1].startswith("1 accepted, 0 refused, of network ")
    assert lines[-1].endswith("…: 1 sample proven, 2 copies left out")
    listed = json.loads(run("check-proof", proof.parent, "--model", model, "--json").out)
    assert [listed[part] for part in ("accepted", "samples", "copies", "refused")] == [1, 1, 2, 0]
    assert [entry.get("copy_of") for entry in listed["proofs"]] == [None, "copy.proof", "copy.proof"]
    assert all(entry["accepted"] for entry in listed["proofs"])


def _each_feature(text, tensors):
    """The same ball, its radius told of each feature, its sample in other floats, and −0 for 0."""
    tensors["radius"] = tensors["radius"].expand(tensors["sample"].shape).clone()
    tensors["sample"] = tensors["sample"].double()
    text["lower"] = -0.0


def test_one_claim_in_other_numbers_is_a_copy(run, model, proof):
    changed(proof, PROOF, "other.proof", _each_feature)
    found = run("check-proof", proof.parent, "--model", model)
    assert found.status == 0
    assert "1 accepted, 0 refused" in found.out
    assert found.out.endswith(": 1 sample proven, 1 copy left out\n")


def _smaller(text, tensors):
    tensors["radius"] = tensors["radius"] / 2


def _narrower(text, tensors):
    text["upper"] = 0.999


@pytest.mark.parametrize("change", [_smaller, _narrower])
def test_a_sample_that_is_proven_twice_counts_once(run, model, proof, change):
    changed(proof, PROOF, "other.proof", change)
    found = run("check-proof", proof.parent, "--model", model)
    assert found.status == 0
    assert found.out.startswith("accepted dense.proof: ")
    assert "\naccepted other.proof: " in found.out
    assert "2 accepted, 0 refused, of network " in found.out
    assert found.out.endswith("…: 1 sample proven\n")


def test_refused_proofs_prove_no_sample(run, model, proof):
    changed(proof, PROOF, "other.proof", lambda text, tensors: tensors.update(radius=tensors["radius"] * 9))
    shutil.copy(proof.with_name("other.proof"), proof.with_name("third.proof"))
    found = run("check-proof", proof.parent, "--model", model)
    assert found.status == 1
    assert "1 accepted, 2 refused, of network " in found.out
    assert found.out.endswith("…: 1 sample proven\n")


def test_another_sample_is_another_sample(run, model, proof):
    def moved(text, tensors):
        tensors["sample"] = tensors["sample"] * (1 + 2**-20)
        tensors["radius"] = tensors["radius"] / 2

    changed(proof, PROOF, "other.proof", moved)
    found = run("check-proof", proof.parent, "--model", model)
    assert found.status == 0
    assert found.out.endswith("…: 2 samples proven\n")
    assert digest_of(*read_tensors(model, NETWORK))[:12] in found.out
