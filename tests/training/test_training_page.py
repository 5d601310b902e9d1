"""docs/training.md: its code runs, and its table knows every objective."""

import re
from pathlib import Path

import torch

from spikecert.training import objectives

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_code_on_the_page_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 10
    torch.manual_seed(0)  # the page's networks are drawn
    exec(compile("\n".join(blocks), "docs/training.md", "exec"), {})


def test_every_objective_is_on_the_page() -> None:
    kinds = {
        name
        for name in objectives.__all__
        if isinstance(kind := getattr(objectives, name), type) and issubclass(kind, objectives.Objective)
    }
    described = kinds - {"Objective", "Sum", "Scaled"}
    assert len(described) >= 6
    assert all(name in PAGE for name in described)
