"""The demo in its smallest form: all files, gains told, the same results again."""

import pytest

from spikecert import load
from spikecert.reports import load_record
from spikecert.runs import demo

ARGUMENTS = ("--epochs", 1, "--samples", 3, "--seed", 1)
NAMES = ("natural", "ms-mppd", "certified")
FILES = (*(f"{name}.safetensors" for name in NAMES), "record.json", "report.html", "report.md", "samples.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


def test_demo_writes_everything(run, folder):
    outcome = run("demo", "--out", folder / "one", *ARGUMENTS)
    assert outcome.status == 0
    assert all((folder / "one" / name).is_file() for name in FILES)
    assert "not a certificate of the spiking network" in outcome.out
    assert "report.html" in outcome.err
    first = load_record(folder / "one" / "record.json")
    for model, name in zip(first.models, NAMES, strict=True):
        assert load(folder / "one" / f"{name}.safetensors").num_steps == model.architecture.num_steps == 4


@pytest.mark.slow
def test_demo_repeats_itself(run, folder):
    run("demo", "--out", folder / "one", *ARGUMENTS)
    first = load_record(folder / "one" / "record.json")
    hashes = [model.architecture.sha256 for model in first.models]
    run("demo", "--out", folder / "two", *ARGUMENTS)
    second = load_record(folder / "two" / "record.json")
    assert [model.architecture.sha256 for model in second.models] == hashes
    assert second.fingerprint == first.fingerprint


def test_demo_reuses_finished_training_only_for_the_same_settings(folder):
    training = folder / "one" / "training"
    before = {path: path.stat().st_mtime_ns for path in training.rglob("checkpoint*")}
    assert len(before) == 3
    demo.train(demo.DemoSettings(epochs=1, samples=3, seed=1), training)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    demo.train(demo.DemoSettings(epochs=2, samples=3, seed=1), training)
    assert len(list(training.rglob("checkpoint*"))) == 6
