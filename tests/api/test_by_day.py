"""What is left to the night is there."""

from pathlib import Path

import pytest

from support.by_day import ALIKE


@pytest.mark.parametrize("name", sorted(ALIKE))
def test_it_is_a_test(name: str):
    path, *_, function = name.split("::")
    assert f"def {function}(" in (Path(__file__).parents[1] / path).read_text(encoding="utf-8")
