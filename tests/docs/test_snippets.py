"""The code on the pages of the documentation, and in the README, runs as it stands, in order.

The examples in docstrings give what they say.
"""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch

from docs.snippets import blocks, commands
from spikecert.cli import main
from support.examples import by_night
from support.modules import FOLDERS, modules

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/concepts/proved.md",
    "docs/concepts/worth.md",
    "docs/concepts/choosing.md",
    "docs/concepts/circuit.md",
    "docs/runs.md",
    "docs/events.md",
    "docs/questions.md",
    "docs/loops.md",
    "docs/chips.md",
    "docs/plug_ins.md",
)
LONG = ("docs/tutorial.md", "docs/testing.md", "docs/regression.md", "docs/deployment.md", "docs/attacks.md")
SAID = {
    "docs/tutorial.md": ("of 100 digits are broken", "verified"),
    "docs/concepts/proved.md": ("verified",),
    "docs/concepts/worth.md": ("torch.float64 20 of 20 verified",),
    "docs/concepts/choosing.md": ("interval", "complete"),
    "docs/concepts/circuit.md": ("2 fired layers.1 (1,)", "5 added layers.2 (4, 2)"),
    "docs/runs.md": ("['",),
    "docs/attacks.md": ("large steps", "of 4 digits are left", "of 4 are left of a module"),
    "docs/regression.md": ("certified_rmse", "in units of u", "proved 2 boxes"),
    "docs/questions.md": ("'verified'", "True"),
    "docs/loops.md": ("checked True", "runs reach"),
    "docs/deployment.md": (
        "rounded to 4 bits",
        "order: layers.1: B resets behind the leak of the next step",
        "mended: True same: True",
        "saturation: layers.1, layers.3: B holds v at 0·θ or above",
    ),
    "docs/plug_ins.md": ("asked and not refuted",),
    "docs/chips.md": ("loihi: an input of 1 is 255 units", "same_class=", "'verified'"),
    "docs/events.md": ("l0: ", "shift: ", "two_sides.html"),
    "docs/testing.md": ("network = build({", "'corners', sample", "more than gain"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where files may be written."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


@pytest.mark.parametrize("page", [*PAGES, *by_night(*LONG)])
def test_the_code_of_a_page_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    for language, code in blocks(ROOT / page):
        if language == "python":
            exec(compile(code, page, "exec"), namespace)
        else:
            assert all(main(command) in (0, 1) for command in commands(code))  # 1: some sample is falsified
    found = capsys.readouterr().out
    assert all(words in found for words in SAID[page]), found


def test_every_page_with_python_is_run() -> None:
    elsewhere = {"docs/training.md", "docs/quick.md"}  # run by tests/training and tests/api
    elsewhere |= {f"docs/start/{name}.md" for name in ("snntorch", "spikingjelly", "control")}  # by night
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    coded = {page for page in found if any(kind == "python" for kind, _ in blocks(ROOT / page))}
    assert coded == {*PAGES, *LONG, *elsewhere}


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    for language, code in blocks(ROOT / "README.md"):
        if language == "python":
            exec(compile(code, "README.md", "exec"), {"__name__": "page"})
    assert "of 100 proved" in capsys.readouterr().out


SILENT = {"checking", "kernels", "processes"}
"""Folders whose docstrings hold no example."""


def examples(folder: str) -> list[doctest.DocTest]:
    """Return the examples of all modules of a folder, each with its module's names."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    imported = (import_module(name) for name in modules(folder) if not name.endswith("__main__"))
    return [test for module in imported for test in finder.find(module) if test.examples]


@pytest.mark.parametrize("folder", FOLDERS)
def test_examples_in_docstrings_are_true(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    runner, tests = doctest.DocTestRunner(), examples(folder)
    for test in tests:
        torch.manual_seed(0)
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
    assert bool(tests) == (folder not in SILENT)
