"""The file of kept answers: one line a question, so that a change of an answer is a change of its line."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikecert.files import write_atomically

VERSION = 1
"""Of the questions: another one is asked otherwise, and its answers are not compared."""
FILE = Path(__file__).parent / "kept" / "answers.json"
PARTS = ("weights", "poses", "answers")


class Unusable(Exception):
    """A file of answers that can't be used; the message says why in one line."""


@dataclass(frozen=True)
class Corpus:
    """Kept answers.

    Attributes:
        level: at which they were made.
        weights: the digest of each subject's weights and samples.
        poses: the size of each set, and the samples that are asked about.
        answers: of each question, by name.
    """

    level: str
    weights: Mapping[str, str]
    poses: Mapping[str, list[Any]]
    answers: Mapping[str, dict[str, Any]]

    @property
    def digest(self) -> str:
        """Return the digest of what is kept."""
        parts = [self.level, *(getattr(self, name) for name in PARTS)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def write(path: Path, corpus: Corpus) -> None:
    """Write a file, atomically."""
    head = {"version": VERSION, "level": corpus.level, "digest": corpus.digest}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for part in PARTS:
        entries = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in getattr(corpus, part).items()]
        lines.append(f'"{part}": {{\n' + ",\n".join(entries) + "\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read(path: Path, level: str) -> Corpus:
    """Return the answers of a file.

    Raises:
        Unusable: for one that is missing, broken, of another version or made at another level.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path.name}: can't be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        found = json.loads(text)
        version, made = found["version"], found["level"]
    except (ValueError, KeyError, TypeError):
        raise Unusable(f"{path.name}: is broken: it is no file of answers") from None
    if version != VERSION:
        raise Unusable(f"{path.name}: is of version {version!r}, expected {VERSION}: make it anew")
    if made != level:
        raise Unusable(f"{path.name}: was made at level {made!r}, expected {level!r}: make it anew")
    try:
        corpus = Corpus(made, *(dict(found[part]) for part in PARTS))
        told = found["digest"]
    except (ValueError, KeyError, TypeError):
        raise Unusable(f"{path.name}: is broken: a part is missing") from None
    if told != corpus.digest:
        raise Unusable(f"{path.name}: is broken: what it holds has digest {corpus.digest}, it says {told}")
    return corpus
