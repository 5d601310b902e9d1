"""Commands that are killed at random moments lose nothing that was finished, and end where undisturbed ones do."""

import csv
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikecert import dataset, load, save
from spikecert.certify.engines import ENGINES
from spikecert.checking import check
from spikecert.checking.short import FORMAT
from spikecert.cli import main
from spikecert.models import network_hash
from spikecert.models.files.storage import digest_of, read_tensors
from spikecert.reports import load_record
from spikecert.runs.building import fresh_network, neuron
from support.fleets import Here
from support.killing import Job, Killing, leftovers

KILLS = 50
ROW = "Gaussian, LIF, ρ = 0"
"""Part of two rows' names, with and without the half behind it."""
PARTS = {f"part-{start:06d}.json" for start in (0, 64, 128)}
"""Of 130 samples."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an untrained network for digits."""
    path = tmp_path_factory.mktemp("model") / "network.safetensors"
    save(fresh_network("mlp:8", dataset("digits"), 4, neuron("lif", 4, 0.9, 1.0, "zero"), 0), path)
    return path


def unchanged(folder: Path, pattern: str) -> dict[str, Any]:
    """Return when each file was written: what is finished is not done again."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.rglob(pattern))}


def fingerprint(out: Path) -> str:
    return load_record(out / "report" / "record.json").fingerprint


def certify(model: Path, samples: int, *more: str) -> Job:
    """Return the job of certifying by two workers, batch by batch."""
    options = ["--samples", str(samples), "--epsilon", "2/255", "--workers", "2", "--verifier", "trains", *more]

    def arguments(out: Path) -> list[str]:
        return ["certify", str(model), *options, "--resume", str(out / "state"), "--out", str(out / "report")]

    return Job(arguments, lambda out: unchanged(out / "state", "batch-*.safetensors"), fingerprint)


def epochs(out: Path) -> dict[str, Any]:
    """Return the losses of the epochs in the checkpoint."""
    if not (out / "checkpoint.safetensors").exists():
        return {}
    text, _ = read_tensors(out / "checkpoint.safetensors", "spikecert.training/1")
    return {str(epoch["epoch"]): epoch["loss"] for epoch in json.loads(text)["history"]}


def train() -> Job:
    options = ["--network", "mlp:16", "--num-steps", "4", "--epochs", "12", "--seed", "1"]

    def result(out: Path) -> Any:
        with (out / "history.csv").open() as file:
            rows = [
                {name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)
            ]
        return network_hash(load(out / "network.safetensors")), rows

    return Job(lambda out: ["train", *options, "--out", str(out)], epochs, result)


def reproduce() -> Job:
    smaller = ["--epochs", "6", "--samples", "130", "--train-samples", "400", "--seeds", "0"]
    timed = {"training_seconds", "training_cpu", "seconds", "environment"}

    def kept(out: Path) -> dict[str, Any]:
        """Return the epochs and the parts that are finished: a finished run holds all its parts."""
        units = {}
        for run in (out / "runs").glob("*"):
            parts = PARTS if (run / "run.json").exists() else {path.name for path in run.rglob("part-*.json")}
            found = epochs(run) | dict.fromkeys(parts, "finished")
            units |= {f"{run.name} {unit}": value for unit, value in found.items()}
        return units

    def result(out: Path) -> Any:
        runs = json.loads((out / "results.json").read_text())["runs"]
        return [{name: value for name, value in run.items() if name not in timed} for run in runs]

    return Job(
        lambda out: ["run", "digits", *smaller, "--only", ROW, "--out", str(out)],
        kept,
        result,
    )


def prove(model: Path) -> Job:
    """Return the job of certifying and writing a proof of each sample, which is checked."""
    options = ["--samples", "12", "--epsilon", "1/255", "--verifier", "trains", "--no-gains"]

    def arguments(out: Path) -> list[str]:
        folders = ["--proof", str(out / "proofs"), "--out", str(out / "report")]
        return ["certify", str(model), *options, *folders]

    def result(out: Path) -> Any:
        found = {path.name: digest_of(*read_tensors(path, FORMAT)) for path in (out / "proofs").iterdir()}
        return fingerprint(out), found

    def checked(out: Path) -> None:
        for path in (out / "proofs").iterdir():
            check(path, model)

    return Job(arguments, lambda out: unchanged(out / "proofs", "*.proof"), result, checked)


def report(model: Path, folder: Path) -> Job:
    """Return the job of writing a report of a record; an older one lies there."""
    options = ["--samples", "64", "--epsilon", "2/255", "--verifier", "trains", "--attack", "fgsm"]
    main(["certify", str(model), *options, "--out", str(folder)])

    def result(out: Path) -> bytes:
        return (out / "report.html").read_bytes()

    return Job(
        lambda out: ["report", str(folder / "record.json"), "--out", str(out / "report.html")],
        lambda out: {},
        result,
        start=0.5,
    )


JOBS: dict[str, Callable[[Path, Path], Job]] = {
    "certify": lambda model, _: certify(model, 128),
    "train": lambda *_: train(),
    "reproduce": lambda *_: reproduce(),
    "prove": lambda model, _: prove(model),
    "report": report,
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", JOBS)
def test_fifty_kills_lose_nothing(name: str, model: Path, tmp_path: Path) -> None:
    killing = Killing(JOBS[name](model, tmp_path / "before"), tmp_path / "killed")
    killing.run(KILLS)
    assert killing.happened["killed"] == KILLS
    assert min(killing.happened[how] for how in ("SIGKILL", "SIGTERM", "SIGINT")) >= KILLS // 6
    sys.stderr.write(f"{name}: {dict(killing.happened)}\n")


@pytest.mark.slow
def test_two_kills_of_certify_lose_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the first batch and one after the second, each while the workers compute."""
    job, out = certify(model, 64, "--no-gains"), tmp_path / "killed"
    killing = Killing(job, tmp_path)
    for count, how in enumerate((signal.SIGTERM, signal.SIGKILL), start=1):
        assert not killing.ends(out, how, lambda count=count: len(job.kept(out)) >= count)
    monkeypatch.setitem(ENGINES, "local", Here)
    for folder in (out, tmp_path / "alone"):
        assert main(job.arguments(folder)) == 1
    assert job.result(out) == job.result(tmp_path / "alone")
    assert leftovers(tmp_path) == []
