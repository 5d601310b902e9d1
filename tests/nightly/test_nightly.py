"""The night: no part keeps another from running, each ends in its time, and the page says what came of them."""

import sys
import tomllib
from pathlib import Path

import pytest

from nightly.__main__ import PARTS, ROOT, night
from nightly.page import page, write
from nightly.parts import Part, run
from nightly.versions import constraints, lowest
from support.processes import marked, soon


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-I", "-S", "-c", code


def part(name: str, code: str, minutes: float = 1.0, **settings: object) -> Part:
    return Part(name, "a question", python(code), minutes, **settings)  # type: ignore[arg-type]


FINE = part(
    "fine",
    "print('12 of 30 questions non-trivial'); print('seed {seed}'); print('== 7 passed, 2 skipped in 1 s ==')",
)
WRONG = part("wrong", "print('FAILED tests/a.py::test_<b>'); print('1 failed, 3 passed'); raise SystemExit(3)")
GONE = Part("gone", "a question", ("/nowhere/at-all",), 1.0)


def test_a_part_that_fails_keeps_no_other_from_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert night([WRONG, GONE, FINE], ROOT, tmp_path / "out", 11) == 1
    told = capsys.readouterr().out
    assert "seed 11, at most 3 minutes" in told
    assert "wrong: failed, status 3 1 failed, 3 passed" in told
    assert "fine: ok 7 passed" in told
    said = (tmp_path / "out" / "index.html").read_text()
    assert "<h1>1 of 3 parts ok</h1>" in said
    assert "seed 11; " in said
    assert "12 non-trivial questions" in said
    assert "<li>FAILED tests/a.py::test_&lt;b&gt;" in said
    assert "/nowhere/at-all: [Errno 2]" in said
    assert f"Python {sys.version.split()[0]}" in said
    assert (tmp_path / "out" / "fine.log").read_text().count("seed 11") == 1


def test_a_night_without_failures_has_status_0(tmp_path: Path) -> None:
    assert night([FINE], ROOT, tmp_path, 0) == 0
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".html"] == ["index.html"]


def test_a_part_is_ended_for_its_time_with_all_that_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess as s; s.Popen(['sleep', '100']); print('9 passed', flush=True); s.run(['sleep', '100'])"
    )
    late = part("late", code, 0.02, environment={"SPIKECERT_MARK": str(tmp_path)})
    outcome = run(late, ROOT, tmp_path, 0)
    assert not outcome.good
    assert outcome.status is None
    assert outcome.counts == "9 passed"
    assert outcome.told.startswith("ended after 0.")
    assert soon(lambda: not marked(f"SPIKECERT_MARK={tmp_path}"), 5.0)


def test_what_a_part_leaves_behind_is_ended(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '100'])"
    assert run(part("left", code, environment={"SPIKECERT_MARK": str(tmp_path)}), ROOT, tmp_path, 0).good
    assert soon(lambda: not marked(f"SPIKECERT_MARK={tmp_path}"), 5.0)


def test_the_page_says_what_did_not_run_yet(tmp_path: Path) -> None:
    said = page([run(FINE, ROOT, tmp_path, 5)], [WRONG], 5, "versions")
    assert "<h1>1 of 2 parts ok</h1>" in said
    assert "of at most 2 minutes" in said
    assert "<tr><td>wrong<td>a question<td>not run yet" in said


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "index.html", "before")
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "index.html", "\ud800")
    assert (tmp_path / "index.html").read_text() == "before"


def test_the_night_is_bounded() -> None:
    """GitHub ends a job after six hours; so much is asked for in .github/workflows/nightly.yml."""
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert sum(part.minutes for part in PARTS) <= 335


def test_each_part_runs_what_is_there() -> None:
    for one in PARTS:
        files = [ROOT / word for word in one.command if word.startswith(("tests/", "benchmarks/"))]
        assert all(path.exists() for path in files), one.name
        assert (ROOT / one.folder).is_dir()


def test_lower_bounds_are_what_is_installed(tmp_path: Path) -> None:
    assert lowest(["torch>=2.6,<2.14", "numpy>=2"]) == ["torch==2.6", "numpy==2"]
    with pytest.raises(ValueError, match="got 'scipy', expected a lower bound"):
        lowest(["numpy>=2", "scipy"])
    named = constraints("lowest", tmp_path / "lowest.txt").read_text().split()
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [line.partition("==")[0] for line in named] == [line.partition(">=")[0] for line in asked]
    assert constraints("newest", tmp_path / "newest.txt").read_text() == ""
