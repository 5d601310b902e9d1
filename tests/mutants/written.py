"""Mutants that people wrote: what no rule makes, a list of texts (`written.toml`).

A file's name heads what is changed in it. Each line has a name, the text that is there once, and what it becomes.
"""

import tomllib
from pathlib import Path

from support.layout import ROOT

from .places import Change, Mutant, mutant

LIST = Path(__file__).with_name("written.toml")


def entries() -> dict[str, dict[str, list[str]]]:
    """Return the list: files, names, old and new texts."""
    return tomllib.loads(LIST.read_text("utf-8"))


def written(files: list[str] | None = None) -> list[Mutant]:
    """Return the mutants of some files, or all.

    Raises:
        LookupError: unless a mutant's old text is there exactly once.
    """
    chosen = {file: names for file, names in entries().items() if files is None or file in files}
    return [_placed(file, name, *texts) for file, names in chosen.items() for name, texts in names.items()]


def _placed(file: str, name: str, old: str, new: str) -> Mutant:
    """Return a mutant where its text is."""
    text = (ROOT / file).read_bytes()
    if (count := text.count(old.encode())) != 1:
        raise LookupError(f"{name}: {file} holds {count} × {old!r}, expected 1")
    start = text.index(old.encode())
    return mutant(file, name, text, Change("written", start, start + len(old.encode()), new))
