"""`spikecert certify --property`: records are what the library finds, and run again; texts that are none."""

# pyright: reportOptionalMemberAccess=false

import json

import pytest
import torch

from spikecert import LInf, certified_radius, dataset, load, mlp, moves_at_most, save, verify
from spikecert.certify.questions.described import in_words, property_of
from spikecert.reports import load_record


def test_records_hold_what_the_library_finds(run, model, tmp_path):
    asked = ("certify", model, "--samples", 6, "--property", "moves=1/50", "--epsilon", "0.02,0.2")
    more = ("--verifier", "interval,complete", "--radii", "--tolerance", "0.05", "--out", tmp_path / "all")
    done = run(*asked, *more, "--json")
    told = json.loads(done.out)
    found = load_record(tmp_path / "all" / "record.json")
    assert told == json.loads(found.to_json())
    assert found.threat.asked == "moves=1/50"
    measured, prop = found.models[0], moves_at_most(0.02)
    network, x = load(model), dataset("digits").test.inputs[:6]
    for epsilon in (0.02, 0.2):
        for verifier in ("interval", "complete"):
            verdicts = verify(network, x, prop, LInf(epsilon), verifier)
            rows = [row for row in measured.rows if row.epsilon == epsilon]
            assert [row.verdicts[verifier].status for row in rows] == [one.status for one in verdicts]
    radii = certified_radius(network, x, prop, verifier="complete", tolerance=0.05)
    assert [(row.lower, row.upper) for row in measured.radii.samples] == [(one.lower, one.upper) for one in radii]
    assert done.status == int(any(point.falsified for point in measured.points)) == 1
    for case in measured.counterexamples:
        y, own = network(torch.tensor(case.perturbed)[None])[0], network(x[case.index][None])[0]
        assert float((y - own).abs().max().detach()) > 0.02
        assert case.outputs == (tuple(own.tolist()), tuple(y.tolist()))
    assert measured.counterexamples
    spread = run(*asked, "--verifier", "trains", "--workers", 2, "--resume", tmp_path / "state")
    assert "property: no output moves by more than 1/50" in spread.out
    assert "misclassified" not in spread.out
    assert run(*asked, "--verifier", "trains", "--require-certified", "1.0").status in (0, 1)


def test_falsified_properties_are_run_again(run, model, tmp_path):
    asked = ("certify", model, "--samples", 3, "--property", "moves=.001", "--epsilon", "0.2", "--out", tmp_path)
    assert run(*asked).status == 1
    again = json.loads(run("report", "--replay", tmp_path / "record.json", "--model", model, "--json").out)
    assert again["property"] == "moves=.001"
    assert [row["fails"] for row in again["replayed"]] == [True] * 3
    content = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    case = content["models"][0]["counterexamples"][0]
    case["perturbed"] = case["clean"]
    (tmp_path / "record.json").write_text(json.dumps(content), encoding="utf-8")
    done = run("report", "--replay", tmp_path / "record.json", "--model", model)
    assert done.status == 1
    assert "the property holds there" in done.out
    done = run("explain", tmp_path / "record.json", "--sample", 0, "--model", model)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "record: got one of a property" in done.err


def test_run_files_ask_about_properties_and_repeat(run, model, tmp_path):
    (tmp_path / "file.toml").write_text(
        f'''data.samples = 4
model.path = "{model}"
threat = {{ epsilon = ["1/50"], property = "abs(Y0 - S0) <= 0.05" }}
certify = {{ verifiers = ["trains", "complete"] }}
attack = {{ methods = ["pgd"] }}
''',
        encoding="utf-8",
    )
    out = tmp_path / "out"
    assert run("run", tmp_path / "file.toml", "--out", out).status == 0
    assert load_record(out / "record.json").threat.asked == "abs(Y0 - S0) <= 0.05"
    assert run("run", out / "record.json", "--out", tmp_path / "again").status == 0
    text = (tmp_path / "file.toml").read_text(encoding="utf-8")
    (tmp_path / "file.toml").write_text(f'ties = "strict"\n{text}', encoding="utf-8")
    done = run("run", tmp_path / "file.toml", "--out", out)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "ties: got 'strict' beside threat.property" in done.err


def test_real_targets_are_no_labels(run, tmp_path):
    torch.manual_seed(0)
    save(mlp((64, 8, 1), 2), tmp_path / "one.safetensors")
    asked = ("certify", tmp_path / "one.safetensors", "--data", "digit-values", "--samples", 4)
    assert run(*asked, "--property", "moves=100", "--require-certified", "1").status == 0
    short = json.loads(run(*asked, "--property", "moves=100", "--json").out)
    assert (short["threat"]["property"], short["models"][0]["points"][0]["certified_by_any"]) == ("moves=100", 4)
    failing = run(*asked, "--property", "Y0 <= -100", "--out", tmp_path / "failing")
    assert failing.status == 1
    page = (tmp_path / "failing" / "report.html").read_text(encoding="utf-8")
    assert "property that Y0 &lt;= -100 (Y outputs), for 0 (0.0\u00a0%)" in page
    assert "4 (100.0\u00a0%) failing as they are" in page
    for wrong in (("--property", "Y1 <= 0"), ("--property", "top-k=1"), ()):
        done = run(*asked, *wrong)
        assert (done.status, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--property", "nonsense"), "property: got 'nonsense'"),
        (("--property", "moves=far"), "property: got 'moves=far', expected a number"),
        (("--property", "moves=.1", "--target", "loihi2"), "target: got 'loihi2' beside --property"),
        (("--property", "moves=.1", "--ties", "strict"), "ties: got 'strict' beside a property"),
        (("--property", "moves=.1", "--verifier", "gain"), "verifier: got 'gain'"),
        (
            ("--property", "moves=.1", "--norm", "tolerance", "--epsilon", "5%"),
            "property: got one with --norm tolerance",
        ),
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
    for read in (property_of, in_words):
        with pytest.raises((ValueError, TypeError)) as error:
            read(text)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("robust", "the class of the sample's own outputs keeps the greatest output, alone"),
        ("robust=3", "class 3 keeps the greatest output, alone"),
        ("moves = 1/4", "no output moves by more than 1/4 from the sample's own"),
        ("top-k=3", "the class of the sample's own outputs stays among the 3 greatest"),
        ("targeted=7", "no input is taken for class 7"),
        ("abstains=.2", "no other class than that of the sample's own outputs leads all others by .2"),
        ("X0 <=  Y1", "X0 <= Y1 (Y outputs, X inputs)"),
    ],
)
def test_texts_are_told_in_words(text, told):
    assert in_words(text) == told
