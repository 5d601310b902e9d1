"""docs/training.md: its code runs, what it claims holds, and its table knows every objective."""

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import spikecert
from spikecert import TrainingRun
from spikecert.training import Dataset, objectives

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def few(name: str) -> Dataset:
    """Return some samples of a data set."""
    data, some = spikecert.training.dataset(name), torch.arange(96)
    parts = {part: getattr(data, part).take(some) for part in ("train", "validation", "test")}
    return replace(data, **parts)


def briefly(*args: Any, **settings: Any) -> TrainingRun:
    """Train for one epoch, whatever is asked."""
    return spikecert.training.fit(*args, **{**settings, "epochs": 1})


def equality(line: ast.Assert) -> bool:
    """Return whether a line asserts that two things are the same, which holds however long training takes."""
    return isinstance(line.test, ast.Compare) and isinstance(line.test.ops[0], ast.Eq)


def test_the_code_on_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch of few samples each; what the page claims of longer trainings is left out."""
    assert len(BLOCKS) == 11
    monkeypatch.setattr(spikecert, "dataset", few, raising=False)
    monkeypatch.setattr(spikecert, "fit", briefly, raising=False)
    code = ast.parse("\n".join(BLOCKS))
    claims = [line for line in code.body if isinstance(line, ast.Assert) and not equality(line)]
    assert len(claims) == 6
    code.body = [line for line in code.body if line not in claims]
    torch.manual_seed(0)
    exec(compile(code, "docs/training.md", "exec"), {})


@pytest.mark.slow
def test_what_the_page_claims_holds() -> None:
    torch.manual_seed(0)  # the page's networks are drawn
    exec(compile("\n".join(BLOCKS), "docs/training.md", "exec"), {})


def test_every_objective_is_on_the_page() -> None:
    kinds = {
        name
        for name in objectives.__all__
        if isinstance(kind := getattr(objectives, name), type) and issubclass(kind, objectives.Objective)
    }
    described = kinds - {"Objective", "Sum", "Scaled"}
    assert len(described) >= 6
    assert all(name in PAGE for name in described)
