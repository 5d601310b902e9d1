"""What commands say while they work: bars on a terminal, plain lines now and then elsewhere.

A signal to a running program: what was finished is written, and the same command goes on from there.
"""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from spikecert import progress
from spikecert.models.files.storage import read_tensors
from spikecert.progress import Bars
from spikecert.reports import load_record
from support.examples import by_night
from support.listening import listen
from support.processes import soon


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_what_ends_soon_writes_nothing(clock, capsys):
    with Bars() as bars:
        for done in range(100):
            bars("certify net", done, 100)
            bars.figures("certify net", {"nodes": 1.0})
            clock.now += progress.SECONDS_APART / 101
    assert capsys.readouterr().err == ""


def test_a_long_run_writes_a_line_for_each_while(clock, capsys):
    with Bars() as bars:
        bars("radius net", 3, 10)
        for nodes in range(1, 5):
            clock.now += progress.SECONDS_APART / 2
            bars.figures("radius net", {"epsilon": 0.25, "asked": 7.0, "nodes": 1000.0 * nodes, "bound": -0.5})
        clock.now += progress.SECONDS_APART
        bars("gains\x1b[2J", 0, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "radius net: 30 %, epsilon 0.25, asked 7 samples, nodes 2,000, bound -0.5",
        "radius net: 30 %, epsilon 0.25, asked 7 samples, nodes 4,000, bound -0.5",
        "gains\\x1b[2J: 0 %",
    ]


def test_a_terminal_has_bars_and_no_lines(clock, capsys, monkeypatch):
    monkeypatch.setattr(Console, "is_terminal", True)
    with Bars() as bars:
        bars("radius net", 3, 10)
        clock.now += 10 * progress.SECONDS_APART
        bars.figures("radius net", {"nodes": 5.0})
        bars("radius net", 10, 10)
    assert "radius net: " not in capsys.readouterr().err


PROOFS = ("--verifier", "trains")
COMMANDS = {
    "certify": ("certify", "--samples", "192", "--epsilon", "1/255", *PROOFS, "--attack", "apgd-ce"),
    "attack": ("attack", "--samples", "300", "--epsilon", "1/255,2/255", "--method", "apgd-ce"),
    "radius": ("radius", "--samples", "192", *PROOFS, "--tolerance", "1/64"),
}


def started(command: str, model: Path, out: Path) -> subprocess.Popen[str]:
    name, *options = COMMANDS[command]
    arguments = [sys.executable, "-m", "spikecert", name, str(model), *options, "--out", str(out), "--json"]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, preexec_fn=listen)


def interrupted(process: subprocess.Popen[str], out: Path, by: signal.Signals) -> tuple[str, str]:
    """Send a signal once the first part is finished, and return what was written."""
    deadline = time.monotonic() + 120
    while not list(out.glob("parts/*/part-*.json")):
        assert time.monotonic() < deadline, "no part was finished"
        assert process.poll() is None, "the run ended before the signal"
        time.sleep(0.005)
    os.kill(process.pid, by)
    return process.communicate(timeout=120)


@pytest.mark.parametrize(("command", "by"), [("certify", signal.SIGTERM), *by_night(("attack", signal.SIGHUP))])
def test_the_finished_samples_are_a_report_and_the_run_goes_on(run, model, tmp_path, command, by):
    process = started(command, model, tmp_path / "out")
    out, err = interrupted(process, tmp_path / "out", by)
    assert process.returncode == 128 + by
    assert err.splitlines()[-1] == "spikecert: interrupted; what was finished is kept"
    assert "Traceback" not in err
    partial = load_record(tmp_path / "out" / "interrupted" / "record.json")
    assert json.loads(out)["data"]["samples"] == partial.data.samples
    assert partial.data.samples % 64 == 0
    assert partial.settings["interrupted"] is True
    assert "(interrupted: the first" in partial.title
    assert not (tmp_path / "out" / "record.json").exists()

    name, *options = COMMANDS[command]
    run(name, model, *options, "--out", tmp_path / "out")
    run(name, model, *options, "--out", tmp_path / "whole")
    resumed, whole = (load_record(tmp_path / place / "record.json") for place in ("out", "whole"))
    assert resumed.fingerprint == whole.fingerprint
    done = partial.data.samples
    assert resumed.models[0].rows[:done] == partial.models[0].rows[:done]  # to the second: not measured again
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole").iterdir()
    )


@pytest.mark.slow
def test_the_finished_radii_are_written_and_the_run_goes_on(run, model, tmp_path):
    process = started("radius", model, tmp_path / "out")
    out, err = interrupted(process, tmp_path / "out", signal.SIGINT)
    assert process.returncode == 130
    assert err.endswith("spikecert: interrupted; what was finished is kept\n")
    partial = json.loads((tmp_path / "out" / "interrupted" / "radii.json").read_text())
    assert json.loads(out) == partial
    assert partial["interrupted"] is True
    assert 0 < partial["samples"] < 192 == partial["samples_planned"]
    inputs = tmp_path / "out" / "interrupted" / "counterexamples.safetensors"
    text, _ = read_tensors(inputs, "spikecert.counterexamples/1")
    assert json.loads(text) == partial

    name, *options = COMMANDS["radius"]
    run(name, model, *options, "--out", tmp_path / "out")
    resumed = json.loads((tmp_path / "out" / "radii.json").read_text())
    assert resumed["radii"][: partial["samples"]] == partial["radii"]
    assert [row["index"] for row in resumed["radii"]] == list(range(192))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "counterexamples.safetensors",
        "radii.json",
    ]


def test_a_terminal_that_is_closed_costs_no_report(model, tmp_path):
    """Whatever would be written to it fails then."""
    name, *options = COMMANDS["certify"]
    arguments = [sys.executable, "-m", "spikecert", name, str(model), *options, "--out", str(tmp_path)]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=listen
    )
    os.close(theirs)
    closed = threading.Event()
    threading.Thread(target=drained, args=(ours, closed)).start()
    part = soon(lambda: bool([*tmp_path.glob("parts/*/part-*.json")]) or process.poll() is not None, 120)
    closed.set()
    assert part
    os.kill(process.pid, signal.SIGHUP)  # as the system does where it is the terminal that controls it
    assert process.wait(120) == 129
    assert load_record(tmp_path / "interrupted" / "record.json").settings["interrupted"] is True


def drained(terminal: int, closed: threading.Event) -> None:
    """Read what is written to a terminal, so that nobody waits, until it is to be closed."""
    while not closed.wait(0.01):
        if select.select([terminal], [], [], 0)[0]:
            os.read(terminal, 65536)
    os.close(terminal)
