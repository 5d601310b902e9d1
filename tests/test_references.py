"""Every source that a docstring names has an entry in docs/references.bib."""

import re

import pytest

from support.modules import INSIDE, ROOT

FOLDERS = ("api", *INSIDE)
ENTRIES = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "docs/references.bib").read_text(), re.MULTILINE))


@pytest.mark.parametrize("folder", FOLDERS)
def test_named_sources_are_listed(folder: str):
    lines = [line for path in (ROOT / folder).rglob("*.py") for line in path.read_text().splitlines()]
    named = [line.split("References:")[1] for line in lines if line.strip().startswith("References:")]
    keys = {key for text in named for key in re.findall(r"\b[a-z]+\d{4}[a-z]+\b", text)}
    assert keys <= ENTRIES
