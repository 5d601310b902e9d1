"""The page on how the library is built says what the files say."""

import ast
import re
from runpy import run_path
from typing import Any

import pytest

from support.modules import FOLDERS, ROOT

PAGE = (ROOT / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
STEPS = re.findall(r"`([a-z_/]+\.py)` `(\w+)`", PAGE)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return run_path(str(ROOT / "docs" / "make_imports.py"))


def test_the_picture_is_of_the_imports(made: dict[str, Any]) -> None:
    assert made["PICTURE"].read_text(encoding="utf-8") == made["picture"](), "python docs/make_imports.py draws it"


@pytest.mark.parametrize(
    ("line", "folders"),
    [
        ("from ...models.rules import Leaky", {"models"}),
        ("from ... import kernels, files", {"kernels", "files"}),
        ("from spikecert.files import text", {"files"}),
        ("from ..bounds.models import Leaky", set()),
        ("from models import Leaky", set()),
    ],
)
def test_an_import_is_of_a_folder_at_the_root(made: dict[str, Any], line: str, folders: set[str]) -> None:
    (node,) = ast.parse(line).body
    assert made["_imported"](node, 3) == folders


def test_the_way_of_a_call_goes_through_functions_that_are_there() -> None:
    assert len(STEPS) >= 10
    for path, name in STEPS:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        named = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef))
        assert name in {node.name for node in named}, path
    assert all((ROOT / path).is_file() for path in re.findall(r"`([a-z_/]+\.py)`", PAGE))
    assert all(f"`{name}`" in PAGE for name in FOLDERS)
