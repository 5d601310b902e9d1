"""The table of elements in docs/conversion.md says what is true of each cell."""

import warnings
from pathlib import Path

import pytest

from support.element_rows import REFUSALS, ROWS
from support.element_table import COLUMNS, YES, line, refusal, tried
from support.elements import Row
from support.state_loops import OWN

PAGE = (Path(__file__).parents[2] / "docs" / "conversion.md").read_text(encoding="utf-8")
WRITE = "PYTHONPATH=tests python benchmarks/element_table.py writes it"
QUICK = {
    "Conv2d",
    "sums of currents (MS-ResNet)",
    "ConvTranspose2d",
    "SEW IAND",
    "MaxPool2d of currents",
    "NIR CubaLI last",
    "QIFNode",
}
"""Rows that are tried in the tests that always run."""


def marked(rows: tuple[Row, ...]) -> list:
    """Return rows as parameters; those that are not quick are slow."""
    marks = [[] if row.name in QUICK else [pytest.mark.slow] for row in rows]
    return [pytest.param(row, marks=mark, id=row.name) for row, mark in zip(rows, marks, strict=True)]


def test_there_are_enough_rows_of_different_names():
    names = [row.name for row in (*ROWS, *REFUSALS)]
    assert len(ROWS) >= 45
    assert len(set(names)) == len(names)
    assert {f"{kind}, states by hand" for kind in (*OWN, "LIFRecurrentCell")} <= set(names)
    assert sum(name in PAGE for name in names) == len(names)


@pytest.mark.parametrize("row", marked(ROWS))
def test_a_row_says_what_is_true(row: Row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = tried(row)
    assert line(cells) in PAGE, WRITE
    assert YES in cells[1:5]
    assert len(cells) == len(COLUMNS)


@pytest.mark.parametrize("row", marked(REFUSALS))
def test_a_refusal_gives_the_reason_that_comes(row: Row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = refusal(row)
    assert line(cells) in PAGE, WRITE
    assert cells[-1]
    assert "\n" not in cells[-1]
