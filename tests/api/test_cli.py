"""The command line: exit status, one-line errors, JSON alone on standard output."""

import ast
import inspect
import json
import os
import shlex
import statistics
import subprocess
import sys
import warnings
from typing import get_args

import pytest
import typer

from spikecert import LInf, __version__, cli, dataset, load
from spikecert.asking import Threat, question
from spikecert.asking.run_files import TrainStep
from spikecert.asking.values import number
from spikecert.certify import SoundnessError
from spikecert.certify.attacks import ATTACKS
from spikecert.certify.replay import replays
from spikecert.certify.verifiers import VERIFIERS
from spikecert.cli import COMMANDS, app, command_of
from spikecert.help import EXAMPLES
from spikecert.models import ChipWeights
from spikecert.models.files.storage import read_tensors
from spikecert.reports import load_record
from spikecert.reports.making import measuring
from spikecert.runs import building
from spikecert.telling import table
from spikecert.training.data import EVENTS, IMAGES

SMALL = ("--samples", 6, "--epsilon", "1/255")


def test_version_and_help(run):
    assert run("--version").out == f"spikecert {__version__}\n"
    helped = run("--help")
    assert helped.status == 0
    assert "Examples:" in helped.out
    assert all(name in helped.out for name in COMMANDS)


def test_without_arguments_help_is_shown_as_help(run):
    bare = run()
    assert bare.status == 2
    assert bare.out == run("--help").out
    assert bare.err == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help(run, command):
    helped = run(command, "--help")
    assert helped.status == 0
    assert f"spikecert {command}" in helped.out


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_json_and_examples_that_parse(run, command):
    helped = run(command, "--help").out
    assert "--json" in helped
    assert "Example" in helped
    assert len(helped.splitlines()) <= 60, "what fits a screen, at 80 columns"
    click = typer.main.get_command(app)
    for line in EXAMPLES[command]:
        program, name, *arguments = shlex.split(line)
        assert (program, name) == ("spikecert", command)
        click.get_command(None, name).make_context(name, arguments)  # pyright: ignore


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_says_in_twenty_lines_what_it_does(command):
    lines = inspect.getsource(command_of(command)).splitlines()
    (made,) = ast.parse("\n".join(lines)).body
    assert isinstance(made, ast.FunctionDef)
    body = [line for line in lines[made.body[0].end_lineno : made.end_lineno] if line.strip()]
    assert len(body) <= 20


def test_a_warning_is_one_line_that_is_safe_to_show(run, monkeypatch):
    def warned(*_):
        warnings.warn("folder: a\x1b[2Kb\nc is decided again: it is cut short", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(cli, "_run", warned)
    assert (
        run("gains", "--theorem", "all").err
        == "spikecert: warning: folder: a\\x1b[2Kb c is decided again: it is cut short\n"
    )


def test_the_shell_completes_commands_options_and_names():
    def completions(words: str) -> list[str]:
        told = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_SPIKECERT_COMPLETE": "complete_bash"}
        command = [sys.executable, "-m", "spikecert"]
        found = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False)
        return found.stdout.split()

    assert completions("spikecert cer") == ["certify"]
    assert completions("spikecert certify --verifier trains,l") == ["trains,linear", "trains,lirpa"]


def test_completion_and_help_know_the_names_that_exist():
    told = command_of("certify").__annotations__["how__verifier"]
    assert ", ".join(VERIFIERS) in get_args(told)[1].help
    assert (tuple(VERIFIERS), tuple(ATTACKS)) == (question.VERIFIERS, question.ATTACKS)
    assert (*IMAGES, *EVENTS) == question.DATA_SETS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "nope"),
        (("certify",), "MODEL"),
        (("certify", "MODEL", "--bad-option"), "--bad-option"),
        (("certify", "/nowhere.safetensors"), "path: got /nowhere.safetensors"),
        (("certify", "MODEL", "--epsilon", "x"), "epsilon: got 'x', expected a number above 0"),
        (("certify", "MODEL", "--epsilon", "1/0"), "epsilon: got '1/0'"),
        (("certify", "MODEL", "--epsilon", "nan"), "epsilon: got 'nan'"),
        (("certify", "MODEL", "--epsilon", "-0.1"), "epsilon: got '-0.1', expected a number above 0"),
        (("certify", "MODEL", "--norm", "l7"), "norm: got 'l7', expected linf, l2"),
        (("certify", "MODEL", "--verifier", "magic"), "verifier: got 'magic'"),
        (("certify", "MODEL", "--timeout", "-1", "--samples", "2"), "timeout: got '-1'"),
        (("certify", "MODEL", "--engine", "mule"), "engine: got 'mule', expected local or ray"),
        (("certify", "MODEL", "--workers", "0"), "workers"),
        (("certify", "MODEL", "--ray-address", "auto"), "ray-address: got 'auto' without --engine ray"),
        (("certify", "MODEL", "--resume", "MODEL", "--samples", "2"), "network.safetensors"),
        (("certify", "MODEL", "--samples", "0"), "samples"),
        (("certify", "MODEL", "--samples", "301"), "samples: got 301, expected at most the split's 300"),
        (("certify", "MODEL", "--require-certified", "2"), "require-certified: got '2', expected a share"),
        (("certify", "MODEL", "--device", "abacus"), "device: got 'abacus'"),
        (("certify", "MODEL", "--data", "cats"), "dataset: got 'cats'"),
        (("certify", "FOREIGN", "--samples", "2"), "inputs: got features (64,), expected (3,)"),
        (("attack", "MODEL", "--method", "hope", "--samples", "2"), "method: got 'hope'"),
        (("train", "--out", "OUT", "--network", "cnn:3"), "architecture: got 'cnn:3'"),
        (("train", "--out", "OUT", "--objective", "hope"), "objective: got 'hope'"),
        (("train", "--out", "OUT", "--noise", "hope"), "noise: got 'hope'"),
        (("train", "--out", "OUT", "--decay", "2"), "decay: got '2', expected a share"),
        (("train", "--out", "OUT", "--learning-rate", "-1"), "learning-rate: got '-1', expected a number above 0"),
        (("train", "--out", "MODEL", "--epochs", "1"), "network.safetensors"),
        (("radius", "MODEL", "--norm", "l7", "--samples", "2"), "norm: got 'l7'"),
        (("radius", "MODEL", "--tolerance", "x"), "tolerance: got 'x'"),
        (("radius", "MODEL", "--tolerance", "-1", "--samples", "2"), "tolerance: got '-1'"),
        (("radius", "MODEL", "--timeout", "0", "--samples", "2"), "timeout: got '0'"),
        (("report", "/nowhere.json"), "record: got /nowhere.json"),
        (("report", "MODEL"), "is no JSON file"),
        (("report", "MODEL", "--open"), "open: got no page to show, expected --out FILE.html beside --open"),
        (("report", "MODEL", "--summary"), "summary: got no file to write, expected --out FILE.html or FILE.md"),
        (("gains", "/nowhere.safetensors"), "path: got /nowhere.safetensors"),
        (("gains", "--theorem", "hope"), "hope"),
        (("convert", "mine.py", "--out", "OUT"), "source: got mine.py, expected mine.py:name"),
        (
            ("convert", "torch.nn:Identity", "--out", "OUT"),
            "shape: got neither it nor --data for torch.nn:Identity",
        ),
        (("demo", "--samples", "9999"), "samples"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, model, foreign, tmp_path, arguments, message):
    places = {"MODEL": model, "FOREIGN": foreign, "OUT": tmp_path / "out"}
    outcome = run(*(places.get(argument, argument) for argument in arguments))
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("spikecert: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def test_certify_prints_json_alone_and_the_status_is_about_falsified(run, model):
    outcome = run("certify", model, *SMALL, "--verifier", "trains", "--json")
    found = json.loads(outcome.out)
    point = found["models"][0]["points"][0]
    assert outcome.err == ""
    assert found["threat"]["epsilon"] == ["1/255"]
    assert point["samples"] == 6
    assert outcome.status == int(point["falsified"] > 0)


def test_certify_by_processes_goes_on_from_its_folder(run, model, tmp_path):
    arguments = ("certify", model, "--samples", 6, "--epsilon", "1/255,2/255", "--verifier", "trains", "--json")
    plain = load_record_text(run(*arguments).out, tmp_path)
    fanned = (*arguments, "--workers", 1, "--resume", tmp_path / "state")
    first = load_record_text(run(*fanned).out, tmp_path)
    assert first.fingerprint == plain.fingerprint
    batches = sorted((tmp_path / "state").glob("trains-linf-*/batch-000000.safetensors"))
    assert len(batches) == 2
    times = [path.stat().st_mtime_ns for path in batches]
    again = load_record_text(run(*fanned).out, tmp_path)
    assert again.models[0].rows == first.models[0].rows  # to the second
    assert [path.stat().st_mtime_ns for path in batches] == times
    other = run(*fanned, "--timeout", 5)
    assert other.status == 2
    assert other.err.count("\n") == 1
    assert "holds another problem: timeout None there, 5.0 here" in other.err


def load_record_text(text, folder):
    (folder / "found.json").write_text(text)
    return load_record(folder / "found.json")


@pytest.mark.parametrize(("bar", "status"), [("0", 0), ("1", 1)])
def test_required_share_decides_the_status(run, model, bar, status):
    outcome = run("certify", model, *SMALL, "--verifier", "interval", "--require-certified", bar)
    assert outcome.status == status
    assert ("is below the required 1" in outcome.err) == (status == 1)
    assert "certified (interval)" in outcome.out


def test_attack_writes_every_format(run, model, tmp_path):
    outcome = run("attack", model, *SMALL, "--method", "fgsm", "--method", "gaussian", "--out", tmp_path / "out")
    assert outcome.status == 0
    assert "robust ≤ (fgsm)  robust ≤ (gaussian)" in outcome.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "record.json",
        "report.html",
        "report.md",
        "samples.csv",
        "table.tex",
    ]
    assert load_record(tmp_path / "out" / "record.json").models[0].attacks == ("fgsm", "gaussian")


def test_radius_prints_brackets_that_hold_and_writes_what_was_found(run, model, tmp_path):
    arguments = ("radius", model, "--samples", 5, "--verifier", "trains", "--tolerance", "1/64")
    outcome = run(*arguments, "--json", "--out", tmp_path)
    found = json.loads(outcome.out)
    assert outcome.status == 0
    assert json.loads((tmp_path / "radii.json").read_text()) == found
    assert found["median"]["lower"] <= found["median"]["upper"]
    network, source = load(model), dataset("digits").test
    text, tensors = read_tensors(tmp_path / "counterexamples.safetensors", "spikecert.counterexamples/1")
    assert json.loads(text) == found
    assert {int(name) for name in tensors} == {row["index"] for row in found["radii"] if row["attacked"]}
    for name, tensor in tensors.items():
        row = found["radii"][int(name)]
        assert row["lower"] <= row["upper"]
        assert replays(network, tensor, row["label"], "strict")
        assert bool(LInf(row["upper"]).contains(tensor[None], source.inputs[int(name)][None]))
    shown = run(*arguments)
    assert shown.out.count("\n") == 2 + 1 + 5 + 1
    assert "certified ≥" in shown.out


def test_report_opens_its_page_and_writes_a_safety_case(run, model, tmp_path, monkeypatch):
    record, page = tmp_path / "a" / "record.json", tmp_path / "case.html"
    size = ("--samples", 4, "--epsilon", ".5/255", "--method", "fgsm", "--seed", 0)
    assert run("attack", model, *size, "--out", record.parent).status == 0
    assert load_record(record).threat.epsilons[0].text == ".5/255"
    opened = []
    monkeypatch.setattr("webbrowser.open_new_tab", lambda address: opened.append(address) or len(opened) < 2)
    for told in ("", f"open: no browser was found here; the page is {page}"):
        outcome = run("report", record, "--summary", "--out", page, "--open")
        assert outcome.status == 0
        assert outcome.err == "\n".join(filter(None, (f"wrote {page}", told))) + "\n"
    assert opened == [page.as_uri()] * 2
    assert "Residual risk" in page.read_text()


def test_report_joins_records(run, model, tmp_path):
    for name in ("one", "two"):
        run("attack", model, *SMALL, "--method", "fgsm", "--out", tmp_path / name)
    records = [tmp_path / name / "record.json" for name in ("one", "two")]
    outcome = run("report", *records, "--out", tmp_path / "both.html")
    assert outcome.status == 0
    assert (tmp_path / "both.html").read_text().count('<dl class="levels">') == 2
    joined = json.loads(run("report", *records, "--json").out)
    assert [found["name"] for found in joined["models"]] == ["network (1)", "network (2)"]


def test_train_saves_a_network_that_the_next_commands_read(run, tmp_path):
    outcome = run("train", "--out", tmp_path, "--network", "mlp:4", "--epochs", 1, "--num-steps", 2, "--json")
    told = json.loads(outcome.out)
    assert outcome.status == 0
    assert len(told["history"]) == 1
    again = run("certify", told["network"], *SMALL, "--verifier", "interval", "--json")
    assert json.loads(again.out)["models"][0]["architecture"]["sha256"] == told["sha256"]


@pytest.mark.parametrize(("told", "bits"), [("loihi:4", 4), ("q8.8", 8)])
def test_training_through_a_chip(told, bits):
    found = building.settings(TrainStep(through=told), 0)
    assert found.through == ChipWeights(told.partition(":")[0], bits)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("mars:4", "target: got 'mars'"),
        ("loihi:x", "through: got 'loihi:x', expected a chip"),
        ("loihi:9", "bits: got 9"),
    ],
)
def test_no_such_chip_to_train_through(run, tmp_path, told, message):
    outcome = run("train", "--out", tmp_path, "--network", "mlp:4", "--epochs", 1, "--through", told)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


def test_gains_as_json(run, model):
    assert json.loads(run("gains", model, "--json").out)


def test_unsoundness_shouts_with_status_3(run, model, monkeypatch):
    def broken(*arguments: object, **options: object) -> None:
        raise SoundnessError("sample 3: trains verified it, pgd found a counterexample")

    monkeypatch.setattr(measuring, "verify", broken)
    outcome = run("certify", model, *SMALL)
    assert outcome.status == 3
    assert outcome.err.startswith("spikecert: UNSOUND, please report: sample 3")
    assert outcome.out == ""


def test_interrupt_is_one_line_with_status_130(run, model, monkeypatch):
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "verify", interrupted)
    outcome = run("certify", model, *SMALL)
    assert outcome.status == 130
    assert outcome.err.count("\n") == 1


def test_the_module_runs_as_a_program(model):
    command = [sys.executable, "-m", "spikecert", "certify", str(model), "--epsilon", "oops"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("spikecert: epsilon: got 'oops'")


@pytest.mark.parametrize(("text", "value"), [("8/255", 8 / 255), ("0.03", 0.03), (" 1e-2 ", 0.01)])
def test_fractions_are_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("4GiB", 2**32), ("1.5 MiB", 3 * 2**19), ("500MB", 500_000_000), ("7", 7)]
)
def test_sizes_are_bytes(text, value):
    assert question.BYTES.read(text) == value


@pytest.mark.parametrize("text", ["", "0", "GiB", "-1", "4 TB", "nan", "1e3", "4GiB4", "9" * 400])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"^$"):
        question.BYTES.read(text)


def test_epsilons_rise_each_once():
    found = Threat.of("linf", ["0.3, .1", "0.1", "1 / 5"]).epsilons
    assert {float(size): size.text for size in found} == {0.1: ".1", 0.2: "1/5", 0.3: "0.3"}
    assert Threat.of("linf", ["3,1", "2"]).epsilons == (1.0, 2.0, 3.0)


def test_tables_align():
    assert table(("a", "bb"), [("long", "1")]) == "a     bb\nlong   1"


def test_several_seeds_in_one_command_with_mean_and_spread(run, tmp_path):
    arguments = ("train", "--network", "mlp:4", "--epochs", 1, "--num-steps", 2, "--objective", "cross-entropy")
    outcome = run(*arguments, "--seeds", "3,1", "--out", tmp_path, "--json")
    told = json.loads(outcome.out)
    assert outcome.status == 0
    assert json.loads((tmp_path / "seeds.json").read_text()) == told
    assert list(told["runs"]) == ["3", "1"]
    shares = [row["clean_accuracy"] for row in told["runs"].values()]
    assert told["mean"]["clean_accuracy"] == pytest.approx(statistics.fmean(shares))
    assert told["spread"]["clean_accuracy"] == pytest.approx(statistics.stdev(shares))
    assert "robust_accuracy" not in told["mean"]
    alone = json.loads(run(*arguments, "--seed", 1, "--out", tmp_path / "alone", "--json").out)
    assert alone["sha256"] == told["runs"]["1"]["sha256"] != told["runs"]["3"]["sha256"]
    shown = run(*arguments, "--seeds", "3,1", "--out", tmp_path)  # finished: nothing is trained again
    assert [line.split()[0] for line in shown.out.splitlines()] == ["seed", "3", "1", "mean", "spread"]


@pytest.mark.parametrize("seeds", ["", "0,", "a", "1.5", "-1"])
def test_seeds_that_are_none_are_refused(run, tmp_path, seeds):
    outcome = run("train", "--seeds", seeds, "--out", tmp_path)
    assert outcome.status == 2
    assert "seeds: got" in outcome.err


def test_code_that_leaves_and_memory_that_is_not_there_are_told_in_one_line(run, tmp_path):
    (tmp_path / "frontier.py").write_text("def network():\n    raise SystemExit(3)\n")
    left = run(
        "convert", f"{tmp_path / 'frontier.py'}:network", "--data", "digits", "--out", tmp_path / "a.safetensors"
    )
    assert (left.status, left.err.count("\n")) == (2, 1)
    assert "failed: SystemExit: 3" in left.err
    large = run("train", "--network", "mlp:999999999", "--epochs", 1, "--out", tmp_path / "large")
    assert (large.status, large.err.count("\n")) == (2, 1)
    assert "memory: there is too little" in large.err


def test_range_prints_ends_that_hold_and_writes_their_proofs(run, model, tmp_path):
    arguments = ("range", model, "--samples", 2, "--epsilon", "1/64", "--form", "Y1 - Y0", "--tolerance", "1/64")
    found = json.loads(run(*arguments, "--json").out)
    assert (found["schema"], found["form"], len(found["ranges"])) == ("spikecert.ranges/2", "Y1 - Y0", 2)
    for one in found["ranges"]:
        assert one["lower"] <= one["least"] <= one["greatest"] <= one["upper"]
    told = run(*arguments)
    assert told.status == 0
    assert "Y1 - Y0 of" in told.out
    folder = tmp_path / "proofs"
    assert f"2 proofs of 2 ranges in {folder}" in run(*arguments, "--proof", folder).err
    checked = json.loads(run("check-proof", folder, "--model", model, "--epsilon", "1/64", "--json").out)
    assert (checked["accepted"], checked["refused"]) == (2, 0)
    for proof in checked["proofs"]:
        assert proof["label"] is None
        assert proof["property"]["told"].count("output") >= 2
    for form, more, message in (
        ("Y1 +", (), "form: got 'Y1 +'"),
        ("Y99", (), "property: got outputs[99]"),
        ("Y0", ("--ties", "strict"), "No such option: --ties"),
    ):
        outcome = run("range", model, "--samples", 1, "--form", form, *more)
        assert outcome.status == 2
        assert message in outcome.err
