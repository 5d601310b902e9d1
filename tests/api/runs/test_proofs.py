"""`certify --proof` and `check-proof`: exit status, one line a proof, JSON alone on standard output."""

import json

import pytest
import torch

from spikecert import DLIF, LIF, PLIF, CrossEntropy, SpikingNetwork, dataset, fit, mlp, save
from spikecert.checking.short import FORMAT
from spikecert.models.files.storage import digest_of, read_tensors, write_tensors

SMALL = ("--samples", 6, "--epsilon", "1/255")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the file of a network that knows most digits."""
    torch.manual_seed(0)
    network = fit(
        mlp((64, 16, 10), num_steps=3, neuron=LIF(0.9)), dataset("digits"), CrossEntropy(), epochs=5
    ).network
    path = tmp_path_factory.mktemp("model") / "network.safetensors"
    save(network, path)
    return path


@pytest.fixture
def proofs(run, model, tmp_path):
    """Return a folder of proofs and what `certify` said."""
    outcome = run("certify", model, *SMALL, "--verifier", "complete", "--proof", tmp_path / "proofs", "--json")
    return tmp_path / "proofs", outcome


def test_each_verified_sample_gets_a_proof_that_is_accepted(run, model, proofs):
    folder, outcome = proofs
    rows = json.loads(outcome.out)["models"][0]["rows"]
    verified = [row["index"] for row in rows if row["verdicts"]["complete"]["status"] == "verified"]
    assert verified
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:05d}-0.00392157.proof" for i in verified]
    assert f"there are {len(verified)} proofs of {len(verified)} verified samples" in outcome.err
    checked = run("check-proof", folder, "--model", model, "--epsilon", "1/255")
    assert checked.status == 0
    assert checked.out.count("accepted 0") == len(verified)
    assert f"{len(verified)} accepted, 0 refused" in checked.out
    assert checked.err == ""


def test_json_tells_what_each_proof_proves(run, model, proofs):
    found = json.loads(run("check-proof", proofs[0], "--model", model, "--json").out)
    assert found["refused"] == 0
    for proof in found["proofs"]:
        assert proof["accepted"]
        assert proof["epsilon"] == 1 / 255
        assert proof["margin"] > 0
        assert len(proof["sample_sha256"]) == 64
        assert proof["note"] == f"sample {int(proof['file'][:5])} of digits"


def test_a_tampered_proof_gives_status_1_and_the_others_are_still_checked(run, model, proofs):
    folder, _ = proofs
    first = min(folder.iterdir())
    text, tensors = read_tensors(first, "spikecert.proof/1")
    write_tensors(first, "spikecert.proof/1", text, tensors | {"radius": torch.ones(1, dtype=torch.float64)})
    checked = run("check-proof", folder, "--model", model)
    assert checked.status == 1
    assert checked.out.startswith(f"REFUSED {first.name}: class ")
    assert ", 1 refused" in checked.out
    assert checked.out.count("\n") == len(list(folder.iterdir())) + 1


def test_a_proof_of_a_smaller_ball_than_asked_for_is_refused(run, model, proofs):
    checked = run("check-proof", proofs[0], "--model", model, "--epsilon", "2/255")
    assert checked.status == 1
    assert "proves ε = 0.00392157, less than the 0.00784314 asked for" in checked.out


def test_a_proof_of_a_smaller_range_than_asked_for_is_refused(run, model, proofs):
    checked = run("check-proof", proofs[0], "--model", model, "--lower", 0, "--upper", 1)
    assert checked.status == 0
    assert "within ε = 0.00392157 (linf) and [0, 1], margin" in checked.out
    for option, told in (
        (("--lower", "-0.5"), "inputs from 0 on, not from the -0.5"),
        (("--upper", 2), "up to 1, not up to"),
    ):
        checked = run("check-proof", proofs[0], "--model", model, *option)
        assert checked.status == 1
        assert told in checked.out


def test_a_ball_of_another_norm_than_asked_for_is_refused(run, model, proofs, tmp_path):
    run("certify", model, *SMALL, "--verifier", "complete", "--norm", "l2", "--proof", tmp_path / "balls")
    checked = run("check-proof", tmp_path / "balls", "--model", model)
    assert checked.status == 0
    assert "(l2)" in checked.out
    asked = "--model", model, "--epsilon", "1/255"
    refused = run("check-proof", tmp_path / "balls", *asked)
    assert refused.status == 1
    assert "proves a ball in l2, not in the linf asked for" in refused.out
    assert run("check-proof", tmp_path / "balls", *asked, "--norm", "l2").status == 0
    assert run("check-proof", proofs[0], *asked, "--norm", "l2").status == 0  # an ℓ∞ ball holds the ℓ2 ball


def test_a_proof_of_another_network_is_refused(run, foreign, proofs):
    checked = run("check-proof", min(proofs[0].iterdir()), "--model", foreign)
    assert checked.status == 1
    assert "is about another network" in checked.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("/nowhere", "--model", "MODEL"), "path: got /nowhere"),
        (("EMPTY", "--model", "MODEL"), "expected a proof or a folder that holds some"),
        (("MODEL", "--model", "/nowhere"), "nowhere: can't be read"),
        (("MODEL", "--model", "DAMAGED"), "was changed after it was written"),
        (("MODEL",), "model: got none, expected a path"),
        (("MODEL", "--model", "MODEL", "--norm", "l1"), "norm: got 'l1'"),
        (("MODEL", "--model", "MODEL", "--epsilon", "x"), "epsilon: got 'x'"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(run, model, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    damaged = bytearray(model.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    places = {"MODEL": model, "EMPTY": tmp_path / "empty", "DAMAGED": tmp_path / "damaged"}
    outcome = run("check-proof", *(places.get(argument, argument) for argument in arguments))
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def content(path):
    """Return the hash of what a proof holds: the order of a header's lines is anyone's."""
    return digest_of(*read_tensors(path, FORMAT))


def test_an_interrupted_run_goes_on_and_a_damaged_or_foreign_proof_is_written_again(run, model, proofs):
    folder, _ = proofs
    first, second, third, *rest = sorted(folder.iterdir())
    assert rest
    before = {path: (content(path), path.stat().st_mtime_ns) for path in folder.iterdir()}
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    third.write_bytes(rest[0].read_bytes())  # it proves another sample
    run("certify", model, *SMALL, "--verifier", "complete", "--proof", folder)
    assert {path: content(path) for path in folder.iterdir()} == {path: before[path][0] for path in before}
    assert {path: path.stat().st_mtime_ns for path in rest} == {path: before[path][1] for path in rest}


def test_what_has_no_proof_form_is_refused_before_any_work(run, model, tmp_path):
    layers = torch.nn.Linear(64, 8), PLIF(), torch.nn.Linear(8, 10)
    save(SpikingNetwork(*layers, num_steps=2), tmp_path / "learned.safetensors")
    for arguments, message in (
        ((tmp_path / "learned.safetensors",), "proof: unknown: no proof form for a PLIF layer"),
    ):
        outcome = run("certify", *arguments, *SMALL, "--proof", tmp_path / "proofs")
        assert outcome.status == 2
        assert message in outcome.err
    assert not (tmp_path / "proofs").exists()


def test_verified_samples_without_a_proof_are_named(run, tmp_path, monkeypatch):
    """A proof search that has no time left says so, and writes no file."""
    torch.manual_seed(0)
    save(mlp((64, 8, 10), num_steps=2, neuron=DLIF(2)), tmp_path / "network.safetensors")

    def hopeless(self, deadline):
        from spikecert.certify.proofs import Unproven

        raise Unproven("the time was up after 0 nodes")

    monkeypatch.setattr("spikecert.certify.proofs.proving._ProofSearch.run", hopeless)
    outcome = run(
        "certify", tmp_path / "network.safetensors", "--samples", 40, "--epsilon", "1e-6", "--verifier", "trains",
        "--proof", tmp_path / "proofs",
    )  # fmt: skip
    assert "the time was up after 0 nodes" in outcome.err
    assert "no proof of sample " in outcome.err
    assert not list((tmp_path / "proofs").iterdir())
