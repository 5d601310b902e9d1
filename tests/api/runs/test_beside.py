"""Seeds beside each other: the same networks as one after another, whatever becomes of the processes.

The demo in its smallest form: all files, gains told, the same results again.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from spikecert import load
from spikecert.reports import load_record
from spikecert.runs import demo
from spikecert.runs import sources as beside
from support.processes import children

OPTIONS = ("train", "--network", "mlp:4", "--epochs", 2, "--num-steps", 2, "--objective", "cross-entropy")


def hashes(run, out: Path, *more: object) -> list[str]:
    done = run(*OPTIONS, "--seeds", "3,1", "--out", out, "--json", *more)
    assert done.status == 0
    return [row["sha256"] for row in json.loads(done.out)["runs"].values()]


@pytest.mark.slow
def test_seeds_beside_each_other_are_those_one_after_another(run, tmp_path, monkeypatch):
    begun: list[int] = []
    started = beside._started
    monkeypatch.setattr(beside, "_started", lambda *a: begun.append(1) or started(*a))
    assert hashes(run, tmp_path / "both", "--workers", 2) == hashes(run, tmp_path / "alone")
    assert len(begun) == 2
    assert children() == []


def test_a_process_that_is_killed_costs_nothing(run, tmp_path, monkeypatch):
    """One is killed as soon as it is there; its seed is trained afterwards."""
    started = beside._started

    def killed(arguments, threads):
        process = started(arguments, threads)
        os.kill(process.pid, signal.SIGKILL)
        return process

    monkeypatch.setattr(beside, "_started", killed)
    assert hashes(run, tmp_path / "both", "--workers", 2) == hashes(run, tmp_path / "alone")


def test_what_fails_is_told_once(run, tmp_path):
    outcome = run(*OPTIONS[:-1], "unheard-of", "--seeds", "3,1", "--workers", 2, "--out", tmp_path)
    assert outcome.status == 2
    assert outcome.err.count("unheard-of") == 1


def test_workers_and_torchrun_do_not_go_together(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = run(*OPTIONS, "--seeds", "3,1", "--workers", 2, "--out", tmp_path)
    assert outcome.status == 2
    assert "workers: got 2, expected 1 under torchrun" in outcome.err


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
