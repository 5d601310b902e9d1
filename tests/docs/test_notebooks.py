"""The notebooks of examples/notebooks: valid, without outputs, on their page, and each cell runs in its order."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

ROOT = Path(__file__).parents[2]
BOOKS = {path.stem: path for path in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))}
SAID = {
    "own_network": "of 40 right",
    "certified_training": "with bounds: ",
    "events": "one flip: ",
    "chip": "proved of the chip's build",
    "stability_and_loop": "runs reach",
}


def test_there_are_five() -> None:
    assert sorted(SAID) == sorted(BOOKS)
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert all(f"examples/notebooks/{name}.ipynb" in page for name in BOOKS)


@pytest.mark.parametrize("name", BOOKS)
def test_it_is_a_notebook_without_outputs(name: str) -> None:
    book = nbformat.read(BOOKS[name], as_version=4)
    nbformat.validate(book)
    assert book.cells[0].cell_type == "markdown"
    assert not [cell for cell in book.cells if cell.get("outputs") or cell.get("execution_count")]
    assert not any("colab" in cell.source.lower() or "pip install spikecert" in cell.source for cell in book.cells)


@pytest.mark.parametrize("name", BOOKS)
def test_its_cells_run_in_their_order(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    space: dict[str, Any] = {"__name__": "notebook"}
    book = nbformat.read(BOOKS[name], as_version=4)
    for number, cell in enumerate(cell for cell in book.cells if cell.cell_type == "code"):
        exec(compile(cell.source, f"{name}, cell {number}", "exec"), space)
    assert SAID[name] in capsys.readouterr().out
