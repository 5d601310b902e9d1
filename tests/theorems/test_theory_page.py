"""docs/theory.md is what the theorem objects say."""

import importlib.util
from pathlib import Path

from spikecert.analysis.symbolic import theorems

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_theory", DOCS / "make_theory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "theory.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python docs/make_theory.py"
    assert all(item.statement in page for item in theorems())
