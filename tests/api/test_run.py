"""`spikecert run`: a file from training to the report, the same bits again, and one line for each mistake."""

import json
from pathlib import Path

import pytest

from spikecert import load
from spikecert.asking.run_files import Configuration
from spikecert.asking.values import read
from spikecert.reports import load_record
from spikecert.runs.configuration import load_configuration

WHOLE = """
title = "Quick"
seed = 3
[data]
samples = 12
[train]
network = "mlp:8"
num_steps = 4
epochs = 1
[threat]
epsilon = ["2/255", 0.03]
[attack]
methods = ["pgd"]
[certify]
verifiers = ["interval", "trains"]
[radius]
verifier = "trains"
tolerance = "1/32"
samples = 4
"""
MEASURED = """
[model]
path = "network.safetensors"
[data]
samples = 4
[certify]
verifiers = ["interval"]
"""


def written(folder, text, name="mine.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def test_a_run_is_repeated_bit_for_bit_from_its_file_and_from_its_record(run, tmp_path):
    path = written(tmp_path, WHOLE)
    assert run("run", path, "--out", tmp_path / "one").status == 0
    first = load_record(tmp_path / "one" / "record.json")
    model = first.models[0]
    assert (first.title, first.seeds, model.attacks, model.verifiers) == (
        "Quick",
        {"seed": 3},
        ("pgd",),
        ("interval", "trains"),
    )
    assert first.threat.epsilons == (2 / 255, 0.03)
    assert model.radii is not None
    assert len(model.radii.samples) == 4
    assert model.gains is not None
    assert model.training is not None
    assert load(tmp_path / "one" / "network.safetensors").num_steps == 4

    assert run("run", path, "--out", tmp_path / "two").status == 0
    second = load_record(tmp_path / "two" / "record.json")
    assert second.fingerprint == first.fingerprint
    assert second.models[0].counterexamples == model.counterexamples

    outcome = run("run", tmp_path / "one" / "record.json", "--out", tmp_path / "three", "--json")
    assert outcome.status == 0
    assert f"the same results as before: fingerprint {first.fingerprint}" in outcome.err
    assert json.loads(outcome.out)["configuration"] == first.configuration


def test_a_record_that_is_not_repeated_is_status_1(run, model, tmp_path):
    path = written(tmp_path, MEASURED.replace("network.safetensors", str(model)))
    assert run("run", path, "--out", tmp_path / "one").status == 0
    record = tmp_path / "one" / "record.json"
    assert run("run", record, "--out", tmp_path / "two").status == 0  # the network lies beside the record

    content = json.loads(record.read_text())
    content["configuration"]["seed"] = 1
    record.write_text(json.dumps(content))
    outcome = run("run", record, "--out", tmp_path / "three")
    assert outcome.status == 1
    assert "OTHER results than before" in outcome.err


def test_a_network_of_the_zoo_is_copied_beside_the_record(run, tmp_path):
    path = written(
        tmp_path,
        'data = {name = "order", samples = 2}\nmodel.path = "zoo:order-shift-1"\ngains = false\n'
        'certify.verifiers = ["trains"]\n[threat]\nnorm = "shift"\nepsilon = [1]\n',
    )
    assert run("run", path, "--out", tmp_path / "one").status == 0
    assert (tmp_path / "one" / "order-shift-1.safetensors").is_file()
    assert run("run", tmp_path / "one" / "record.json", "--out", tmp_path / "two").status == 0


@pytest.mark.parametrize(("share", "status"), [(0.0, 0), (1.0, 1)])
def test_the_required_share_decides_the_status(run, model, tmp_path, share, status):
    text = MEASURED.replace("network.safetensors", str(model)) + f"require = {share}\n"
    assert run("run", written(tmp_path, text), "--out", tmp_path / "out").status == status


def test_what_is_left_out_has_the_defaults_of_the_commands(run, model, tmp_path):
    found = read(Configuration, {"model": {"path": "x"}, "certify": {}})
    assert found.threat.epsilons == (8 / 255,)
    assert found.certify is not None
    assert found.certify.verifiers == ("auto",)
    assert found.threads == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[certify]", "[certfy]"), "mine.toml: certfy: got a key that is not known, expected schema, title"),
        (
            ("verifiers =", "verifier ="),
            "mine.toml: certify.verifier: got a key that is not known, expected verifiers",
        ),
        (('["interval"]', '["magic"]'), "mine.toml: certify.verifiers: got 'magic', expected interval, trains"),
        (('["interval"]', "[]"), "mine.toml: certify.verifiers: got [], expected interval"),
        (("samples = 4", "samples = 0"), "mine.toml: data.samples: got 0, expected a whole number from 1 on"),
        (("samples = 4", "samples = 400"), "samples: got 400, expected at most the split's 300"),
        (("samples = 4", 'samples = "many"'), "mine.toml: data.samples: got 'many', expected a whole number"),
        (("samples = 4", "samples = 4.0"), "mine.toml: data.samples: got 4.0, expected a whole number"),
        (("samples = 4", "samples = true"), "mine.toml: data.samples: got True, expected a whole number"),
        (
            ("samples = 4", "seeds = 4"),
            "mine.toml: data.seeds: got a key that is not known, expected name, label, task, class_names",
        ),
        (("samples = 4", 'name = "cats"'), "dataset: got 'cats'"),
        (
            ("[model]", "[threat]\nepsilon = [0]\n[model]"),
            "mine.toml: threat.epsilon: got 0, expected a number above 0",
        ),
        (("[model]", '[threat]\nepsilon = ["a"]\n[model]'), "threat.epsilon: got 'a', expected a number"),
        (
            ("[model]", '[threat]\nnorm = "l7"\n[model]'),
            "mine.toml: threat.norm: got 'l7', expected linf, l2, box, flips, shift, flips",
        ),
        (("[model]", "seed = -1\n[model]"), "mine.toml: seed: got -1, expected a whole number from 0 on"),
        (("[model]", 'device = "abacus"\n[model]'), "device: got 'abacus'"),
        (("[model]", "[train]\n[model]"), "mine.toml: model: got both it and train, expected a table [model] or"),
        (("[certify]\nverifiers", "[threat]\nnorm"), "mine.toml: threat.norm"),
        (
            ('[certify]\nverifiers = ["interval"]', ""),
            "mine.toml: attack: got none, expected one of the tables [attack]",
        ),
        (("[model]", "[model"), "is no TOML file"),
        (("network.safetensors", "nowhere.safetensors"), "nowhere.safetensors"),
    ],
)
def test_each_mistake_is_one_line_that_names_the_key(run, model, tmp_path, change, message):
    text = MEASURED.replace(*change).replace("network.safetensors", str(model))
    outcome = run("run", written(tmp_path, text), "--out", tmp_path / "out")
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('network = "mlp:8"', 'network = "cnn:3"'), "architecture: got 'cnn:3'"),
        (("epochs = 1", 'objective = "hope"'), "objective: got 'hope'"),
        (
            ("epochs = 1", 'objective = "mse"'),
            "objective: got 'mse', which learns numbers, expected one of classes",
        ),
        (("epochs = 1", 'reset = "hope"'), "reset: got 'hope'"),
        (("epochs = 1", "decay = 2"), "mine.toml: train.decay: got 2, expected a share from 0 to 1"),
        (("epochs = 1", 'optimizer = "hope"'), "optimizer: got 'hope'"),
    ],
)
def test_a_mistake_in_the_training_is_found_before_it_starts(run, tmp_path, change, message):
    outcome = run("run", written(tmp_path, WHOLE.replace(*change)), "--out", tmp_path / "out")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


def test_files_that_are_none(run, model, tmp_path):
    for path, message in ((tmp_path / "none.toml", "expected a TOML file or a record"), (tmp_path, "is a folder")):
        outcome = run("run", path)
        assert outcome.status == 2
        assert message in outcome.err
    run("attack", model, "--samples", 2, "--epsilon", "1/255", "--method", "fgsm", "--out", tmp_path)
    outcome = run("run", tmp_path / "record.json")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "was not made by `spikecert run`" in outcome.err


def test_the_file_in_the_documentation_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    text = page.split("```toml\n")[1].split("```")[0]
    found, before = load_configuration(written(tmp_path, text))
    assert before is None
    assert found.train is not None
    assert found.radius is not None
    assert found.certify is not None
    assert found.certify.require == 0.7
