"""The bibliography holds each source, and each page of the reference begins with a table of its names."""

import importlib.util
import re
from pathlib import Path

import pytest

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
