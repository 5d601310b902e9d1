"""`spikecert certify --target`: what is said of a chip's build is what the library says of it."""

import json

import pytest

from spikecert import LInf, dataset, load, quantize, verify
from spikecert.models.chips import whole_inputs


def test_counts_are_those_of_the_build(run, model, tmp_path):
    asked = ("certify", model, "--target", "q8.8", "--bits", 6, "--samples", 5, "--epsilon", "1,40")
    done = run(
        *asked, "--verifier", "trains", "--attack", "square", "--radii", "--tolerance", "16", "--out", tmp_path
    )
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    (found,) = record["models"]
    network, test = quantize(load(model), "q8.8", bits=6), dataset("digits").test
    x, y = whole_inputs(network, test.inputs[:5]), test.labels[:5]
    assert found["name"] == f"{model.stem} on q8.8, 6 bits"
    assert record["threat"]["range"] == [0, 255]
    for epsilon in (1.0, 40.0):
        verdicts = verify(network, x, y, LInf(epsilon), "trains")
        rows = [row["verdicts"]["trains"]["status"] for row in found["rows"] if row["epsilon"] == epsilon]
        assert rows == [verdict.status for verdict in verdicts]
    for case in found["counterexamples"]:
        assert all(value == round(value) for value in case["perturbed"])
    assert all(row["lower"] == round(row["lower"]) for row in found["radii"]["samples"])
    assert "--target q8.8 --bits 6" in record["command"]
    assert done.status in (0, 1)
    assert "on q8.8" in done.out


def _accepted(run, folder, model) -> list[dict]:
    done = run("check-proof", folder, "--model", model, "--json")
    return [proof for proof in json.loads(done.out)["proofs"] if proof["accepted"]]


def test_proofs_of_a_build_are_about_the_integers_that_run(run, model, tmp_path):
    """And none of them is one of the real network, nor the other way round."""
    asked = ("certify", model, "--samples", 30, "--verifier", "trains")
    chip, real = tmp_path / "chip", tmp_path / "real"
    out = tmp_path / "report"
    done = run(*asked, "--target", "loihi", "--epsilon", "1", "--proof", chip, "--out", out)
    assert "for the integers that run on the chip: its build is build.safetensors" in done.err + done.out
    assert "proved for the integers that run on the chip" in (out / "report.md").read_text(encoding="utf-8")
    run(*asked, "--epsilon", "1/255", "--proof", real)
    build = chip / "build.safetensors"
    assert sorted(found.name for found in real.iterdir()) == sorted(found.name for found in real.glob("*.proof"))
    told = run("check-proof", chip, "--model", build)
    assert told.status == 0
    assert "proved for the integers that run on the chip within ε = 1 (linf) and [0, 255]" in told.out
    ours, theirs = _accepted(run, chip, build), _accepted(run, real, model)
    assert len(ours) >= 2
    assert len(theirs) >= 2
    assert all(proof["integers"] for proof in ours)
    assert not any(proof["integers"] for proof in theirs)
    assert not _accepted(run, chip, model)
    assert not _accepted(run, real, build)
    assert "is about another network" in run("check-proof", real, "--model", build).out
    again = run(*asked, "--target", "loihi", "--epsilon", "1", "--proof", chip)  # nothing is sought again
    assert f"there are {len(ours)} proofs" in again.err + again.out
    asked_for = run("check-proof", chip, "--model", build, "--epsilon", "2")
    assert (asked_for.status, "less than the 2 asked for" in asked_for.out) == (1, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--target", "mars"), "target: got 'mars', expected loihi"),
        (("--target", "loihi", "--epsilon", "8/255"), "epsilon: got 8/255 = 0.03137, expected whole numbers"),
        (("--target", "loihi", "--epsilon", "1", "--norm", "l2"), "epsilon: got 1"),
        (("--target", "loihi", "--epsilon", "1", "--verifier", "milp"), "verifier: got 'milp'"),
        (("--target", "loihi", "--epsilon", "1", "--attack", "pgd"), "method: got 'pgd'"),
        (("--target", "loihi", "--property", "moves=1"), "beside --property, expected none: builds have classes"),
        (("--target", "xylo", "--epsilon", "1"), "network: "),
    ],
)
def test_what_a_chip_does_not_have_is_refused(run, model, options, told):
    done = run("certify", model, "--samples", 12, *options)
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert told in done.err
