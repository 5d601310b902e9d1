"""Mutants are changes of what is there: one whose text is gone changes nothing, and tells nothing."""

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import spikecert

ROOT = Path(spikecert.__file__).parent


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return them; they import each other as `mutations.py` runs them."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return import_module("mutants").MUTANTS


def test_each_mutant_changes_one_place(mutants: tuple[Any, ...]):
    texts = {name: (ROOT / name).read_text() for name in {mutant.file for mutant in mutants}}
    assert [mutant.what for mutant in mutants if texts[mutant.file].count(mutant.old) != 1] == []
    assert [mutant.what for mutant in mutants if mutant.old == mutant.new] == []


def test_no_two_mutants_have_one_name(mutants: tuple[Any, ...]):
    assert [name for name, count in Counter(mutant.what for mutant in mutants).items() if count > 1] == []
