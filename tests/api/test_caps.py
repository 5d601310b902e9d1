"""No folder grows: tests/caps.toml says how many lines of code and files each may have.

What is left to the night is there.
"""

import tomllib
from pathlib import Path

import pytest

from support.by_day import ALIKE
from support.counting import Size, c_lines, python_lines, size
from support.modules import INSIDE, ROOT

WRITTEN = tomllib.loads((ROOT / "tests/caps.toml").read_text(encoding="utf-8"))
CAPS = {name: Size(**cap) for name, cap in WRITTEN.items()}


def test_each_folder_of_code_has_a_cap() -> None:
    assert set(CAPS) == {*INSIDE, "api", "tests", "benchmarks"}


@pytest.mark.parametrize("folder", CAPS)
def test_no_folder_is_above_its_cap(folder: str) -> None:
    """What is added is paid for in the same folder; who makes a folder smaller lowers its cap."""
    found, cap = size(ROOT / folder), CAPS[folder]
    told = f"{folder}: {found.lines} lines in {found.files} files, its cap is {cap.lines} in {cap.files}"
    assert found.lines <= cap.lines, told
    assert found.files <= cap.files, told


def test_what_counts_as_a_line() -> None:
    assert python_lines('"""Told."""\n\nx = 1  # one\n# none\ny = """two\n\nthree"""\n') == 4
    assert python_lines('def f():\n    """Told\n\n    twice."""\n    # none\n\n') == 1
    assert python_lines("def f():\n    '''Told.'''\n    return (\n        1\n    )\n") == 4
    assert c_lines("/* told\n * twice */\nint x; // one\n\n/* x */ int y;\n// none\n") == 2


def test_what_counts_as_a_file(tmp_path: Path) -> None:
    for name, text in {"a.py": "x = 1\n", "b/c.c": "int x;\n", "b/d.h": "\n", "e.md": "x\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert size(tmp_path) == Size(2, 3)


@pytest.mark.parametrize("name", sorted(ALIKE))
def test_it_is_a_test(name: str):
    path, *_, function = name.split("::")
    assert f"def {function}(" in (Path(__file__).parents[1] / path).read_text(encoding="utf-8")
