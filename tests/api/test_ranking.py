"""Networks between attack and proof: figures from records, files, what a second run takes over, bad input."""

import json
from pathlib import Path

import pytest

from spikecert import load_record
from spikecert.certify.attacks.standard import VERSION
from spikecert.reports.comparing.leaderboard import Leaderboard, leaderboard
from spikecert.runs import examining, sandwiching
from support.command_line import run

__all__ = ["run"]

SMALL = ("--samples", 12, "--timeout", 2)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandwich")


@pytest.fixture
def asked(model, out) -> tuple[object, ...]:
    """Return a call on one network at two sizes, by an attack that is fast."""
    sources = f"{model}@0.01", f"{model}@0.05,0.1"
    return "certify", *sources, *SMALL, "--attack", "pgd", "--verifier", "trains,auto", "--out", out


def test_rows_follow_from_the_records_and_files_are_written(run, asked, out):
    found = run(*asked, "--json")
    assert found.status == 0, found.err
    board = Leaderboard.model_validate_json(found.out)
    assert len(board.rows) == 3
    assert [row.point.epsilon for row in board.rows] == [0.01, 0.05, 0.1]
    for row in board.rows:
        assert 0 <= row.proved <= row.left <= row.point.clean <= row.point.samples == 12
        assert row.gap == pytest.approx(100 * (row.left - row.proved) / 12)
        assert row.left == row.proved + row.undecided + row.missed
        assert row.attack == "pgd"
        assert row.timeout == 2.0
        assert all(seconds is not None and seconds > 0 for seconds in row.seconds)
    assert {row.name for row in board.rows} == {"network", "network (2)"}
    assert (out / "leaderboard.json").read_text(encoding="utf-8").strip() == found.out.strip()
    page = (out / "leaderboard.html").read_text(encoding="utf-8")
    assert page.count("<section>") == len(board.groups) == 3
    assert "<script" not in page
    folders = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert folders == ["network-0.01", "network-2-0.05-0.1"]
    records = [load_record(out / name / "record.json") for name in folders]
    assert leaderboard(records, "pgd") == board
    again = records[0].command.split()
    assert again[:2] == ["spikecert", "certify"]
    assert again[again.index("--attack") :][:2] == ["--attack", "pgd"]


def test_what_is_finished_is_not_measured_again(run, asked, out, monkeypatch):
    first = run(*asked, "--json")
    assert first.status == 0

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(sandwiching, "examine", fail)
    assert run(*asked, "--json").out == first.out
    with pytest.raises(AssertionError, match="measured again"):
        run(*asked, "--seed", 1)


def test_an_interrupted_run_tells_what_it_has_and_goes_on(run, asked, out, tmp_path, monkeypatch):
    asked = tuple(tmp_path if part == out else part for part in asked)
    whole, calls = examining.examine, []

    def stopped(*arguments: object, **settings: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(sandwiching, "examine", stopped)
    assert run(*asked).status == 130
    assert (tmp_path / "network-0.01" / "record.json").is_file()
    monkeypatch.setattr(sandwiching, "examine", whole)
    assert run(*asked).status == 0
    assert len(json.loads((tmp_path / "leaderboard.json").read_text())["rows"]) == 3


def test_records_of_other_samples_are_groups_of_their_own(run, asked, out, model, tmp_path):
    run(*asked)
    record = out / "network-0.01" / "record.json"
    other = run("certify", model, "--samples", 5, "--epsilon", 0.01, "--verifier", "trains", "--out", tmp_path)
    assert other.status in (0, 1)
    found = run("certify", record, tmp_path / "record.json")
    assert found.status == 0, found.err
    assert found.out.count("left by attack") == 2
    assert "attack: none" in found.out
    assert "12 test samples of digits; attack: pgd; proofs: trains, auto, 2 s for a sample on average" in found.out


def test_more_proved_comes_first(run, asked, out):
    run(*asked)
    record = load_record(out / "network-0.01" / "record.json")
    model = record.models[0]
    assert model.points[0].certified_by_any > 0
    bare = model.model_copy(
        update={
            "name": "a network of which nothing is proved",
            "points": tuple(point.model_copy(update={"certified_by_any": 0}) for point in model.points),
        }
    )
    rows = leaderboard([record.model_copy(update={"models": (bare, model)})], "pgd").rows
    assert [row.name for row in rows] == [model.name, bare.name]
    with pytest.raises(ValueError, match="records: got none"):
        leaderboard([])


WRONG = {
    ("nowhere.safetensors",): "nowhere.safetensors",
    ("nowhere.json",): "nowhere.json",
    ("zoo:nothing",): "name: got 'nothing'",
    ("zoo:mnist-linf-0.1@much",): "epsilon: got 'much'",
    ("zoo:mnist-linf-0.1@0.1", "--attack", "mine"): "attack: got 'mine'",
}


@pytest.mark.parametrize("more", WRONG, ids=lambda more: " ".join(more))
def test_bad_input_is_one_line(run, more):
    found = run("certify", *more)
    assert found.status == 2
    assert WRONG[more] in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_record_says_which_version_of_the_standard_attack_it_is_about(run, model, tmp_path):
    asked = (
        "certify",
        f"{model}@0.01",
        "--samples",
        2,
        "--timeout",
        1,
        "--verifier",
        "interval",
        "--out",
        tmp_path,
    )
    assert run(*asked).status == 0
    path = tmp_path / "network-0.01" / "record.json"
    assert load_record(path).settings["standard attack"] == VERSION
    content = json.loads(path.read_text())
    content["settings"]["standard attack"] = VERSION - 1
    path.write_text(json.dumps(content))
    assert run(*asked).status == 0
    assert load_record(path).settings["standard attack"] == VERSION
