"""The tour as a notebook that opens elsewhere: it installs what is missing, and its cells run in their order."""

import importlib.util
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOK = nbformat.read(Path(__file__).parents[2] / "examples" / "tour.ipynb", as_version=4)
CODE = [TransformerManager().transform_cell(cell.source) for cell in NOTEBOOK.cells if cell.cell_type == "code"]


class Shell:
    """Stands for IPython: keeps the magic commands that it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []

    def run_line_magic(self, name: str, line: str) -> None:
        self.given.append((name, line))


def test_it_is_a_notebook_without_outputs() -> None:
    nbformat.validate(NOTEBOOK)
    assert NOTEBOOK.metadata.kernelspec.name == "python3"
    assert not [cell for cell in NOTEBOOK.cells if cell.get("outputs") or cell.get("execution_count")]
    assert not [line for cell in CODE[1:] for line in cell.splitlines() if "get_ipython" in line]


@pytest.mark.parametrize("missing", [True, False])
def test_its_first_cell_installs_what_is_missing(missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {"numpy": object(), **({} if missing else {"spikecert": object()})}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.get(name))
    shell = Shell()
    exec(CODE[0], {"get_ipython": lambda: shell})
    assert shell.given == ([("pip", "install --quiet ..  # the checkout")] if missing else [])


@pytest.mark.slow
def test_its_cells_run_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, Any] = {}
    with mpl.rc_context({"backend": "agg", "figure.max_open_warning": 0}):
        for number, cell in enumerate(CODE):
            exec(compile(cell, f"cell {number}", "exec"), space)
    assert "validation accuracy 0." in (told := capsys.readouterr().out)
    assert "of 40 are decided" in told
    assert min(space["lower"]) < max(space["upper"]) <= 1.0
    assert all(low < high + 1e-6 for low, high in zip(space["lower"], space["upper"], strict=True))
