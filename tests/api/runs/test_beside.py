"""Seeds beside each other: the same networks as one after another, whatever becomes of the processes."""

import json
import os
import signal
from pathlib import Path

import pytest
import typer

from spikecert.commands.train import train
from spikecert.runs import sources as beside
from spikecert.runs.sources import again
from support.processes import children

OPTIONS = ("train", "--network", "mlp:4", "--epochs", 2, "--num-steps", 2, "--objective", "cross-entropy")


def told(*arguments: str) -> list[str]:
    """Return what `again` makes of a call of `train`, with another seed and folder."""
    app = typer.Typer()
    app.command()(train)
    with typer.main.get_command(app).make_context("train", list(arguments)) as context:
        return again(context, seeds=None, workers=None, seed=7, out="there")  # pyright: ignore[reportArgumentType]


def options(arguments: list[str]) -> dict[str, str]:
    return dict(zip(arguments[1::2], arguments[2::2], strict=True))


def test_a_command_is_told_again_with_what_changes():
    found = told("--out", "here", "--seeds", "1,7", "--workers", "2", "--size", "8/255", "--epochs", "3")
    assert found[0] == "train"
    own = options(found)
    assert (own["--out"], own["--seed"], own["--size"], own["--epochs"]) == ("there", "7", "8/255", "3")
    assert not {"--seeds", "--workers", "--json"} & set(own)


def test_what_is_set_without_a_value_is_told():
    assert "--json" in told("--out", "here", "--json")


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
    assert "workers: got 2 under torchrun" in outcome.err
