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
    assert (record["threat"]["lower"], record["threat"]["upper"]) == (0.0, 255.0)
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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--target", "mars"), "target: got 'mars', expected loihi"),
        (("--target", "loihi", "--epsilon", "8/255"), "epsilon: got 8/255 = 0.03137, expected whole numbers"),
        (("--target", "loihi", "--epsilon", "1", "--norm", "l2"), "epsilon: got 1"),
        (("--target", "loihi", "--epsilon", "1", "--proof", "here"), "proof: got a folder beside --target"),
        (("--target", "loihi", "--epsilon", "1", "--verifier", "milp"), "verifier: got 'milp'"),
        (("--target", "loihi", "--epsilon", "1", "--attack", "pgd"), "method: got 'pgd'"),
        (("--target", "loihi", "--property", "moves=1"), "target: got one beside --property"),
        (("--target", "xylo", "--epsilon", "1"), "network: "),
    ],
)
def test_what_a_chip_does_not_have_is_refused(run, model, options, told):
    done = run("certify", model, "--samples", 12, *options)
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert told in done.err
