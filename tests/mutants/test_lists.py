"""Lists that stand beside the rules: mutants that people wrote, reasons why some survive, which tests are near."""

from pathlib import Path

import pytest

from mutants import picture
from mutants.nearest import nearest, wide
from mutants.picture import Outcome, known, read, table
from mutants.places import mutant
from mutants.targets import at_stake, mutants_of
from mutants.written import entries, written
from support.layout import ROOT


def test_each_written_mutant_changes_one_place():
    found = written()
    assert [each.where for each in found if each.old == each.change.new] == []
    assert len(found) == sum(map(len, entries().values()))


def test_a_text_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mutants.written.entries", lambda: {"certify/ties.py": {"gone": ["no such text", ""]}})
    with pytest.raises(LookupError, match=r"gone: certify/ties\.py holds 0 × 'no such text', expected 1"):
        written()


def test_each_survivor_that_is_explained_is_a_mutant():
    files = {key.partition(" | ")[0] for key in known()}
    keys = {each.key for file in files for each in mutants_of(file)} | {each.key for each in written()}
    assert set(known()) <= keys


def test_near_tests_are_there_and_come_in_order_of_imports():
    tests = nearest("certify/rounding.py")
    assert Path(tests[0]).parent.as_posix() == Path(tests[1]).parent.as_posix() == "tests/certify/rounding"
    assert (
        "tests/certify/bounds/test_precision.py" in nearest("certify/bounds/signals/windows.py", "Box.outward")[:3]
    )
    assert nearest("kernels/sources/cells.c")[0] == "tests/certify/bounds/test_cells.py"
    assert set(nearest("kernels/sources/membrane/coupled.c")) & set(nearest("kernels/sources/membrane.c"))
    folders = {folder for file in at_stake() for folder in wide(file)}
    assert [name for name in (*tests, *folders) if not (ROOT / name).exists()] == []


def outcome(fate: str) -> Outcome:
    """Return what became of the first mutant of a file."""
    return Outcome.of(mutants_of("certify/ties.py")[0], fate, "", 1.0)


def test_outcomes_come_back_but_for_a_line_that_was_cut_off(tmp_path: Path):
    path, one = tmp_path / "results.jsonl", outcome("survived")
    assert read(path) == {}
    one.write(path)
    path.write_bytes(path.read_bytes() + b'{"key": "half')
    assert read(path) == {one.key: one}


@pytest.mark.parametrize("explained", [True, False])
def test_the_table_lists_what_nobody_has_explained(monkeypatch: pytest.MonkeyPatch, explained: bool):
    one = outcome("survived")
    monkeypatch.setattr(picture, "known", lambda: {one.key: "looser"} if explained else {})
    text = table([one])
    assert (f"certify/ties.py:{one.line}" in text) == (not explained)
    assert f"| certify | 1 | 0 (0%) | {int(not explained)} | {int(explained)} | 0 | 1 |" in text


def test_a_change_leaves_the_rest_of_a_file_alone():
    text = (ROOT / "certify/ties.py").read_bytes()
    for each in mutants_of("certify/ties.py"):
        assert (
            each.change.applied(text)
            == text[: each.change.start] + each.change.new.encode() + text[each.change.end :]
        )
        assert mutant(each.file, each.where, text, each.change) == each
