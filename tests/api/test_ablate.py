"""`spikecert ablate`: figures that a network without memory gives, twins trained anew, and bad input."""

import json
from pathlib import Path

import pytest

from spikecert import LIF, architecture, mlp, save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the file of a network that is not trained."""
    save(mlp((64, 64, 10), 4, LIF(0.9)), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_twins_trained_anew_stand_beside_what_is_left(run, model: Path) -> None:
    told = json.loads(run("ablate", model, "--samples", 100, "--retrain", 8, "--json").out)
    rows = {row["name"]: row for row in told["rows"]}
    assert list(rows) == ["first step", "first 2 steps", "λ = 0", "trained anew", "trained anew, λ = 0"]
    assert told["accuracy"] < 0.5 < rows["trained anew"]["accuracy"]
    assert rows["trained anew, λ = 0"]["accuracy"] > 0.5
    again = json.loads(run("ablate", model, "--samples", 100, "--retrain", 8, "--json").out)
    assert again == told


def test_loops_have_a_twin_without_them(run, tmp_path: Path) -> None:
    looped = architecture("recurrent:16", (64,), 10, 2, LIF(1.0, reset="subtract"))
    save(looped, tmp_path / "loop.safetensors")
    told = run("ablate", tmp_path / "loop.safetensors", "--samples", 50, "--retrain", 1, "--json").out
    rows = [row["name"] for row in json.loads(told)["rows"]]
    assert rows[-4:] == ["no feedback", "trained anew", "trained anew, λ = 0", "trained anew, λ = 0, no loop"]


def test_controls_say_whether_memory_is_needed(run) -> None:
    asked = ("ablate", "zoo:delayed-xor-shift-1", "--data", "delayed-xor", "--controls")
    found = json.loads(run(*asked, "--json").out)["controls"]
    assert (found["distinct"], found["new"], found["recordings"]) == (60, 0, 300)
    assert found["accuracy"] == 1.0
    assert not found["needed"]
    assert max(found["rows"], key=lambda row: row["accuracy"])["name"] == "counts over time"
    out = run(*asked).out
    assert "60 distinct recordings of 300, 0 of them not in training" in out
    assert "may not need memory" in out


def test_the_table_says_what_is_left_out(run, model: Path) -> None:
    out = run("ablate", model, "--samples", 20).out
    assert "as it is" in out
    assert "100.0%" in out
    assert "trains that are the same at all steps, by layer: " in out


def test_bad_input_is_told_in_one_line(run, model: Path) -> None:
    outcome = run("ablate", model, "--data", "/nowhere.npz")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert run("ablate", model, "--retrain", 0).status == 2
