"""The table of readers in docs/limits.md says what is true of each cell."""

import os
import warnings
from pathlib import Path

import pytest

from support.element_kinds import KINDS, Kind
from support.reader_matrix import COLUMNS, DECIDES, Reasons, line, row, table_of, written

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
COMMON = ("LIF", "DLIF", "Residual", "MaxPool1d of currents", 'readout "spikes"', 'readout "potential"')
"""Rows that the tests that always run leave out, with those that begin alike."""


def marked() -> list:
    """Return the rows as parameters; those of common elements are slow."""
    slow = [[pytest.mark.slow] if kind.name.startswith(COMMON) else [] for kind in KINDS]
    return [pytest.param(kind, marks=marks, id=kind.name) for kind, marks in zip(KINDS, slow, strict=True)]


@pytest.fixture(scope="module")
def page() -> str:
    """Return the page, which is written anew where that is asked for."""
    text = PAGE.read_text(encoding="utf-8")
    if "WRITE_READERS" in os.environ:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PAGE.write_text(text := written(text), encoding="utf-8")
    return text


@pytest.mark.parametrize("kind", marked())
def test_a_row_says_what_is_true(kind: Kind, page: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = row(kind, Reasons.of(page))
    assert line(cells) in table_of(page), "WRITE_READERS=1 writes it"
    assert cells[COLUMNS.index(kind.decides)] == DECIDES
    assert len(cells) == len(COLUMNS)


def test_the_table_has_no_other_rows_and_all_reasons_are_of_some(page: str):
    lines = [found for found in table_of(page).splitlines() if found.startswith("|")]
    assert len(lines) == len(KINDS) + 2
    assert line(COLUMNS).strip() == lines[0]
    told = [number for number in range(1, len(Reasons.of(page).known) + 1) if f"[{number}]" in table_of(page)]
    assert told == list(range(1, len(Reasons.of(page).known) + 1))
