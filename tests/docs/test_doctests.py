"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch

from support.modules import FOLDERS, modules

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
