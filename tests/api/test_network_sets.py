"""Sets of networks on the command line: records, pages, run files, and members that are run again."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from spikecert import Tolerance, attack, dataset, load, verify
from spikecert.asking import Threat
from spikecert.reports import load_record

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "record-3.json"
TOLERANCE = ("--norm", "tolerance", "--epsilon", "5%,40%", "--threshold-tolerance", "2%", "--samples", "12")
STUCK = ("--norm", "stuck", "--epsilon", "1,2", "--with-epsilon", "1/255", "--samples", "8")


@pytest.fixture(scope="module")
def labelled(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return options for data whose labels are the network's own answers."""
    inputs = dataset("digits").test.inputs[:12]
    answers = load(model)(inputs).argmax(1)
    path = tmp_path_factory.mktemp("data") / "own.npz"
    train = {"train_inputs": np.zeros((100, 64), dtype=np.float32), "train_labels": np.arange(100) % 10}
    np.savez(path, test_inputs=inputs.numpy(), test_labels=answers.numpy(), **train)
    return "--data", str(path)


def certified(run: Any, model: Path, labelled: tuple[str, ...], out: Path, *options: object) -> Any:
    done = run("certify", model, *labelled, *options, "--out", out)
    assert done.status in (0, 1), done.err
    return done, load_record(out / "record.json")


@pytest.mark.parametrize("options", [TOLERANCE, STUCK], ids=["tolerance", "stuck"])
def test_a_record_tells_the_set_and_its_members_run_again(run, model, labelled, tmp_path, options):
    done, record = certified(run, model, labelled, tmp_path, *options, "--attack", "pgd")
    assert done.status == 1
    jsonschema.validate(json.loads(record.to_json()), json.loads(SCHEMA.read_text(encoding="utf-8")))
    cases = record.models[0].counterexamples
    assert cases
    assert all(case.member is not None for case in cases)
    told = run("report", "--replay", tmp_path / "record.json", "--model", model, "--json")
    assert told.status == 0
    rows = json.loads(told.out)["replayed"]
    assert [row["index"] for row in rows] == [case.index for case in cases]
    assert all(row["fails"] and row["predicted"] != row["label"] for row in rows)
    assert "--with-epsilon 1/255" in record.command or "--threshold-tolerance 2%" in record.command
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "every network of the stated set (any chip" in page
    assert "Other networks:" in page
    assert "weights, thresholds and states can't be touched" not in page
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "any chip" in html
    norm = record.threat.norm
    assert {line.split(",")[4] for line in (tmp_path / "samples.csv").read_text().splitlines()[1:]} == {norm}


def test_the_record_says_what_the_library_says(run, model, labelled, tmp_path):
    _, record = certified(run, model, labelled, tmp_path, *TOLERANCE, "--attack", "pgd")
    network, inputs = load(model), dataset("digits").test.inputs[:12]
    labels = network(inputs).argmax(1)
    for epsilon in (0.05, 0.4):
        family = Tolerance(epsilon, 0.02, grows="weights")
        rows = [row for row in record.models[0].rows if row.epsilon == epsilon]
        assert [row.verdicts["auto"].status for row in rows] == [
            verdict.status for verdict in verify(network, inputs, labels, family)
        ]
        broken = attack(network, inputs, labels, family, "pgd").success
        assert not bool((broken & torch.tensor([not row.falsified for row in rows])).any())
    assert record.threat.short(0.05) == "5%"


def test_members_of_a_tolerance_are_networks_of_their_own(run, model, labelled, tmp_path):
    _, record = certified(run, model, labelled, tmp_path, *TOLERANCE)
    assert (
        run(
            "report", "--replay", tmp_path / "record.json", "--model", model, "--save", tmp_path / "members"
        ).status
        == 0
    )
    for case in record.models[0].counterexamples:
        member = load(tmp_path / "members" / f"sample-{case.index}.safetensors")
        assert int(member(torch.tensor(case.perturbed)[None]).argmax()) == case.predicted != case.label


def test_what_was_changed_in_a_record_does_not_run_again(run, model, labelled, tmp_path):
    certified(run, model, labelled, tmp_path, *TOLERANCE)
    place = tmp_path / "record.json"
    content = json.loads(place.read_text(encoding="utf-8"))
    case = content["models"][0]["counterexamples"][0]
    kept = case["member"]
    case["perturbed"] = [value / 2 for value in case["perturbed"]]
    place.write_text(json.dumps(content), encoding="utf-8")
    done = run("report", "--replay", place, "--model", model, "--sample", str(case["index"]))
    assert done.status == 1
    assert "the input lies outside the set" in done.out
    case["perturbed"], case["member"] = case["clean"], {"content": kept["content"][:-8]}
    place.write_text(json.dumps(content), encoding="utf-8")
    done = run("report", "--replay", place, "--model", model)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "member: can't be read" in done.err
    other = content["models"][0]["counterexamples"][-1]
    case["member"], case["epsilon"] = other["member"], 0.05
    place.write_text(json.dumps(content), encoding="utf-8")
    if other["epsilon"] > 0.05:
        done = run("report", "--replay", place, "--model", model)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert "member: got numbers outside the set" in done.err


def test_plain_counterexamples_run_again_too(run, model, labelled, tmp_path):
    done, record = certified(run, model, labelled, tmp_path, "--epsilon", "0.3", "--samples", "6", "--no-gains")
    assert done.status == 1
    told = run("report", "--replay", tmp_path / "record.json", "--model", model)
    assert told.status == 0
    assert told.out.count("again") == len(record.models[0].counterexamples)


def test_radii_are_sizes_of_sets(run, model, labelled, tmp_path):
    done = run("radius", model, *labelled, "--norm", "tolerance", "--samples", "4", "--tolerance", ".01",
               "--threshold-tolerance", "2%", "--out", tmp_path / "radii")  # fmt: skip
    assert done.status == 0
    found = json.loads((tmp_path / "radii" / "radii.json").read_text(encoding="utf-8"))
    assert (found["threat"]["norm"], found["threat"]["threshold_tolerance"]) == ("tolerance", "2%")
    assert all(0 <= row["lower"] <= row["upper"] <= 1 for row in found["radii"])
    options = "--norm", "tolerance", "--epsilon", "1%", "--threshold-tolerance", "2%", "--samples", "4"
    certified(run, model, labelled, tmp_path, *options)
    page, radii = tmp_path / "page.md", tmp_path / "radii" / "radii.json"
    assert run("report", tmp_path / "record.json", "--radii", radii, "--out", page).status == 0
    assert "the size of the smallest set" in page.read_text(encoding="utf-8")
    certified(run, model, labelled, tmp_path, "--norm", "tolerance", "--epsilon", "1%", "--samples", "4")
    done = run("report", tmp_path / "record.json", "--radii", radii, "--out", page)
    assert (done.status, "radii of sets that differ" in done.err) == (2, True)


RUN = """
[data]
name = {data!r}
samples = 6
[model]
path = {model!r}
[threat]
norm = "stuck"
epsilon = [1]
stuck_layers = [0]
with_epsilon = 0.001
[attack]
methods = ["fgsm"]
[certify]
verifiers = ["trains", "auto"]
require = 0.0
"""


def test_a_run_file_says_it_too_and_is_repeated(run, model, labelled, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RUN.format(data=labelled[1], model=str(model)).replace("'", '"'), encoding="utf-8")
    assert run("run", path, "--out", tmp_path / "out").status == 0
    record = load_record(tmp_path / "out" / "record.json")
    assert record.threat == Threat.of("stuck", 1, stuck_layers=[0], with_epsilon=0.001)
    again = run("run", tmp_path / "out" / "record.json", "--out", tmp_path / "again")
    assert again.status == 0
    assert "the same results as before" in again.err
    path.write_text(path.read_text(encoding="utf-8").replace('"stuck"', '"linf"'), encoding="utf-8")
    done = run("run", path, "--out", tmp_path / "out")
    assert done.status == 2
    assert "threat.stuck_layers: got one with norm linf, expected norm stuck" in done.err


def test_a_fleet_goes_on_and_the_bar_is_a_status(run, model, labelled, tmp_path):
    options = (*TOLERANCE, "--resume", tmp_path / "state", "--workers", "1")
    first = run("certify", model, *labelled, *options, "--require-certified", "1", "--json")
    again = run("certify", model, *labelled, *options, "--require-certified", "0", "--json")
    assert (first.status, again.status) == (1, 0)
    rows = [[row["verdicts"]["auto"]["status"] for row in json.loads(done.out)["models"][0]["rows"]]
            for done in (first, again)]  # fmt: skip
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--norm", "stuck", "--epsilon", "9"), "count: got 9, expected at most the 8 neurons"),
        (("--norm", "stuck", "--epsilon", "1", "--stuck-layers", "1"), "layers: got 1, expected at most 0"),
        (
            ("--norm", "stuck", "--epsilon", "1", "--stuck-layers", "x"),
            "stuck-layers: got 'x', expected a whole number",
        ),
        (
            ("--norm", "stuck", "--epsilon", "1", "--stuck-layers", "0,0"),
            "stuck-layers: got [0, 0], expected different",
        ),
        (("--stuck-layers", "0"), "stuck-layers: got one with --norm linf, expected --norm stuck"),
        (
            ("--with-epsilon", "1/255"),
            "with-epsilon: got one with --norm linf, expected --norm tolerance or",
        ),
        (
            ("--norm", "tolerance", "--with-norm", "l2"),
            "with-norm: got 'l2' alone, expected it beside with-epsilon",
        ),
        (("--norm", "tolerance", "--decay-tolerance", "120%"), "decay-tolerance: got '120%', expected a share"),
        (("--norm", "tolerance", "--verifier", "milp"), "verifier: got 'milp', expected one of interval, trains"),
        (("--norm", "tolerance", "--proof", "proofs"), "proof: got norm 'tolerance', expected one that has"),
        (
            ("--norm", "tolerance", "--property", "moves=.1"),
            "property: got one with --norm tolerance, expected none: labels alone",
        ),
        (("--tolerance", "5%"), "networks within it are --norm tolerance --epsilon 5%"),
        (("--norm", "tolerance", "--target", "loihi"), "network: got one of whole numbers for Tolerance"),
    ],
)
def test_each_mistake_is_one_line(run, model, options, message):
    done = run("certify", model, "--samples", "3", *options)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert message in done.err


@pytest.mark.parametrize("command", ["range", "attack", "radius"])
def test_other_commands_take_it_or_say_so(run, model, command):
    done = run(command, model, "--samples", "2", "--norm", "tolerance")
    assert done.status == (2 if command == "range" else 0)
    assert command != "range" or "norm: got tolerance, a set of networks, expected a set of inputs" in done.err
