"""How mutants are run: what counts as killed, what goes on where it ended, what a broken test does to a run."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mutants import trying
from mutants.picture import read
from mutants.running import Ended, judged
from mutants.targets import mutants_of
from mutants.trying import Broken, Trials
from support.layout import ROOT

TEST = {"started": "tests/test_a.py::test_a", "at": 3.0}


@pytest.mark.parametrize(
    ("notes", "status", "seconds", "failed", "done"),
    [
        ([TEST, {"failed": "b"}, {"code": 1}], 0, 5.0, "b", True),
        ([TEST, {"code": 0}], 0, 5.0, "", True),
        ([TEST], signal.SIGSEGV, 5.0, "tests/test_a.py::test_a (crashed)", True),
        ([TEST], signal.SIGXCPU, 60.0, "tests/test_a.py::test_a (hung)", True),
        ([TEST], signal.SIGXCPU, 20.0, "", False),
        ([TEST, {"code": 5}], 0, 5.0, "", False),
        ([], signal.SIGKILL, 5.0, "", False),
    ],
)
def test_what_ended_how(notes: list[dict], status: int, seconds: float, failed: str, done: bool, tmp_path: Path):
    (tmp_path / "said").write_text("no tests ran")
    ended = judged(notes, status, seconds, tmp_path)
    assert (ended.failed, ended.done) == (failed, done)
    assert bool(ended.said) == ({"code": 5} in notes)


class Unchanged:
    """A copy that nobody makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def change(self, mutant: object) -> None:
        """Change nothing."""

    restore = change

    def compiles(self, mutant: object) -> bool:
        """Return True."""
        return True


def trials(monkeypatch: pytest.MonkeyPatch, **ends: list[Ended]) -> Trials:
    """Return one whose tests end as is said, one after the other, in the changed and in the unchanged copy."""
    monkeypatch.setattr(trying, "Copy", Unchanged)
    monkeypatch.setattr(trying, "run_tests", lambda folder, tests, limit: ends[folder.name].pop(0))
    return Trials(Path("here"), 60.0, near=False)


FIRST = mutants_of("certify/ties.py")[0]
PASSES, FAILS = Ended("", True, 10.0), Ended("a", True, 2.0)


@pytest.mark.parametrize(
    ("ends", "fate", "seconds"),
    [
        ([FAILS], "killed", 2.0),
        ([PASSES, FAILS], "killed", 12.0),
        ([PASSES, PASSES], "survived", 20.0),
        ([Ended("", False, 60.0)], "unfinished", 60.0),
    ],
)
def test_near_tests_run_before_wide_ones(
    monkeypatch: pytest.MonkeyPatch, ends: list[Ended], fate: str, seconds: float
):
    outcome = trials(monkeypatch, changed=list(ends), unchanged=[PASSES]).outcome(FIRST)
    assert outcome is not None
    assert (outcome.fate, outcome.seconds) == (fate, seconds)


def test_a_test_that_fails_anyway_kills_nothing(monkeypatch: pytest.MonkeyPatch):
    found = trials(monkeypatch, changed=[FAILS, PASSES, PASSES], unchanged=[FAILS, FAILS])
    outcome = found.outcome(FIRST)
    assert outcome is not None
    assert (outcome.fate, found.broken) == ("survived", ["a"])


def test_a_test_that_needs_others_of_its_file_kills(monkeypatch: pytest.MonkeyPatch):
    found = trials(monkeypatch, changed=[FAILS], unchanged=[FAILS, PASSES])
    outcome = found.outcome(FIRST)
    assert outcome is not None
    assert (outcome.fate, found.broken) == ("killed", [])


def test_tests_that_do_not_run_kill_nothing(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Broken, match="the tests did not run\nno such file"):
        trials(monkeypatch, changed=[Ended("", False, 1.0, "no such file")]).outcome(FIRST)


@pytest.mark.slow
def test_a_run_kills_and_goes_on_where_it_ended(tmp_path: Path):
    results = tmp_path / "results.jsonl"
    command = ("run", "--files", "checking/kernel/numbers.py", "--near", "--seconds", "60", "--results", results)

    def run(count: int) -> str:
        done = [sys.executable, ROOT / "tests/mutants", *command, "--count", str(count)]
        return subprocess.run(done, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "| checking/kernel | 3 | " in run(3)
    first = results.read_bytes()
    assert "killed" in {each.fate for each in read(results).values()}
    assert "| checking/kernel | 4 | " in run(4)
    assert results.read_bytes().startswith(first)
    assert len(read(results)) == 4
