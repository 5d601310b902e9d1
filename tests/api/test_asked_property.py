"""`spikecert certify --property`: counts and radii are those of the library; texts that are no property."""

import json

import pytest
import torch

from spikecert import LInf, certified_radius, dataset, load, mlp, moves_at_most, save, verify
from spikecert.certify.questions.texts import property_of


def test_counts_and_radii_are_those_of_the_library(run, model, tmp_path):
    asked = ("certify", model, "--samples", 6, "--property", "moves=1/50", "--epsilon", "0.02,0.2")
    done = run(*asked, "--verifier", "interval,complete", "--radii", "--tolerance", "0.05", "--json")
    told = json.loads(done.out)
    network, x = load(model), dataset("digits").test.inputs[:6]
    for point in told["points"]:
        threat = LInf(point["epsilon"])
        found = verify(network, x, moves_at_most(0.02), threat, point["verifier"])
        assert [row["status"] for row in point["verdicts"]] == [one.status for one in found]
        assert point["verified"] == sum(one.status == "verified" for one in found)
        for row in point["verdicts"]:
            if row["counterexample"] is not None:
                y, own = network(torch.tensor(row["counterexample"])[None])[0], network(x[row["index"]][None])[0]
                assert float((y - own).abs().max().detach()) > 0.02
    assert done.status == int(any(point["falsified"] for point in told["points"]))
    radii = certified_radius(network, x, moves_at_most(0.02), verifier="complete", tolerance=0.05)
    assert [(row["lower"], row["upper"]) for row in told["radii"]] == [(one.lower, one.upper) for one in radii]
    spread = run(*asked, "--verifier", "trains", "--workers", 2, "--resume", tmp_path / "state", "--out", tmp_path)
    assert json.loads((tmp_path / "property.json").read_text(encoding="utf-8"))["property"] == "moves=1/50"
    assert "moves=1/50 of network.safetensors on digits: 6 samples, linf" in spread.out
    assert run(*asked, "--verifier", "trains", "--require-certified", "1.0").status in (0, 1)


def test_real_targets_are_no_labels(run, tmp_path):
    torch.manual_seed(0)
    save(mlp((64, 8, 1), 2), tmp_path / "one.safetensors")
    asked = ("certify", tmp_path / "one.safetensors", "--data", "digit-values", "--samples", 4)
    assert run(*asked, "--property", "moves=100", "--require-certified", "1").status == 0
    short = json.loads(run(*asked, "--moves-at-most", "100", "--json").out)
    assert (short["property"], short["points"][0]["verified"]) == ("moves=100", 4)
    assert run(*asked, "--property", "Y0 <= -100").status == 1
    for wrong in (("--property", "Y1 <= 0"), ("--property", "top-k=1"), ()):
        done = run(*asked, *wrong)
        assert (done.status, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--property", "nonsense"), "property: got 'nonsense'"),
        (("--moves-at-most", "far"), "property: got 'moves=far', expected a number"),
        (("--moves-at-most", ".1", "--property", "robust"), "moves-at-most: got '.1' beside --property"),
        (("--property", "moves=.1", "--attack", "pgd"), "attack: got one beside --property"),
        (("--property", "moves=.1", "--ties", "strict"), "ties: got 'strict' beside a property"),
        (("--property", "moves=.1", "--verifier", "gain"), "verifier: got 'gain'"),
    ],
)
def test_what_does_not_go_with_a_property_is_one_line(run, model, options, told):
    done = run("certify", model, "--samples", 2, *options)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert told in done.err


@pytest.mark.parametrize(
    ("text", "own", "holds", "fails"),
    [
        ("moves=.25", (0.0, 1.0), (0.25, 1.0), (0.26, 1.0)),
        ("Y0 - 2*Y1 <= 0.5", (0.0, 0.0), (0.5, 0.0), (0.6, 0.0)),
        ("(Y0 <= 1) & (Y1 > S1)", (0.0, 0.0), (1.0, 0.1), (1.0, 0.0)),
        ("(Y0 < 1) | (abs(Y1) >= 1/2)", (0.0, 0.0), (1.0, -0.5), (1.0, 0.4)),
        ("targeted=1", (0.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
    ],
)
def test_texts_say_what_they_look_like(text, own, holds, fails):
    clauses = property_of(text).clauses(own)
    for outputs, wanted in ((holds, True), (fails, False)):
        met = []
        for clause in clauses:
            values = [
                (
                    sum(c * outputs[j] for j, c in row.form.outputs)
                    + sum(c * own[j] for j, c in row.form.own)
                    + row.form.constant,
                    row.strict,
                )
                for row in clause
            ]
            met.append(any(value < 0 if strict else value <= 0 for value, strict in values))
        assert all(met) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Y0",
        "Y0 == 1",
        "0 <= Y0 <= 1",
        "moves=nan",
        "moves=-1",
        "top-k=1.5",
        "targeted",
        "abs(Y0) <= Y1",
        "f(Y0) <= 1",
        "(" * 200,
        "Y0 <= 1 & Y1 <= 2",
        "lambda: 0",
        "Y0 <= 1e999",
        "Y0 <= '1'",
        "not Y0 <= 1",
        "moves=1" + "0" * 99,
    ],
)
def test_what_is_no_property_is_refused_in_one_line(text):
    with pytest.raises((ValueError, TypeError)) as error:
        property_of(text)
    assert "\n" not in str(error.value)
