"""The bibliography holds each source, and each page of the reference begins with a table of its names.

The table of readers in docs/limits.md says what is true of each cell.
"""

import importlib.util
import os
import re
import warnings
from pathlib import Path

import pytest

from support.element_kinds import KINDS, Kind
from support.reader_matrix import COLUMNS, DECIDES, Reasons, line, row, table_of, written

DOCS = Path(__file__).parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
assert SPEC is not None
assert SPEC.loader is not None
made = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(made)


def test_the_bibliography_holds_each_source_once():
    keys = re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    page = made.bibliography()
    assert re.findall(r"^\(bib-(\w+)\)=$", page, re.MULTILINE) == sorted(keys)
    assert not set("{}\\") & set(page)
    assert "**clopper1934use**  \nClopper, C. J.; Pearson, E. S. *The Use of" in page


def test_keys_of_docstrings_become_links():
    line = '    References: clopper1934use; theorem "layer-gain"'
    assert made.linked(line) == '    References: :ref:`clopper1934use <bib-clopper1934use>`; theorem "layer-gain"'
    assert made.linked("see clopper1934use") == "see clopper1934use"


@pytest.mark.parametrize("name", made.MODULES)
def test_a_page_of_the_reference_begins_with_its_names(name):
    page = (DOCS / "api" / f"{name}.md").read_text(encoding="utf-8")
    assert page.index(f"generated/names_{name}.txt") < page.index("automodule")
    module = importlib.import_module(f"spikecert.{name}")
    rows = made.table(name).splitlines()
    assert len(rows) == 2 + len(module.__all__)
    assert all(re.fullmatch(r"\| \S+ <\S+>` \| .+ \|", row) or "{py:obj}" in row for row in rows[2:])


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
