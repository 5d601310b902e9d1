"""A change of one place in a file, and where that place is."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Bytes `start` to `end` of a text become `new`.

    Attributes:
        kind: by which rule.
    """

    kind: str
    start: int
    end: int
    new: str

    def applied(self, text: bytes) -> bytes:
        """Return the text with this change; all else stays as it is."""
        return text[: self.start] + self.new.encode() + text[self.end :]


@dataclass(frozen=True)
class Mutant:
    """A change of a file, said so that it is found again when lines move.

    Attributes:
        file: below the package.
        where: the function that holds the place, or what a person called the mutant.
        line: the number of its first line, and `source` that line.
        old: what becomes `change.new`.
    """

    file: str
    where: str
    line: int
    source: str
    old: str
    change: Change

    @property
    def key(self) -> str:
        """Return what tells it from all others, whatever its line's number is."""
        parts = (self.file, self.where, self.change.kind, self.source, self.old, self.change.new)
        return " | ".join(" ".join(part.split()) for part in parts)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.change.kind}: {flat(self.old)} → {flat(self.change.new)}"


def flat(text: str, most: int = 90) -> str:
    """Return a text in one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def mutant(file: str, where: str, text: bytes, change: Change) -> Mutant:
    """Return the mutant of a change of a file's text."""
    begin = text.rfind(b"\n", 0, change.start) + 1
    source = text[begin:].partition(b"\n")[0].decode().strip()
    old = text[change.start : change.end].decode()
    return Mutant(file, where, text.count(b"\n", 0, change.start) + 1, source, old, change)


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


PAIRS = (
    "lower upper",
    "low high",
    "lowest highest",
    "least most",
    "lesser greater",
    "shortest longest",
    "fewest most",
    "surely perhaps",
    "certain possible",
    "earliest latest",
    "first last",
    "start end",
    "below above",
    "down up",
    "floor ceil",
    "inward outward",
    "min max",
    "minimum maximum",
    "amin amax",
    "fmin fmax",
    "argmin argmax",
    "cummin cummax",
    "any all",
    "ge gt",
    "le lt",
)
"""Words of which one stands for an end and the other one for the opposite end."""
OPPOSITE = {one: other for pair in PAIRS for one, other in (pair.split(), pair.split()[::-1])}
KNOWN = words(
    "min max minimum maximum amin amax fmin fmax argmin argmax cummin cummax any all floor ceil clamp_min "
    "clamp_max ge gt le lt"
)
"""Names that Python, C or torch know, whether or not a file uses them."""
TIES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "is not": "is"} | {
    "in": "not in",
    "not in": "in",
}
"""What a comparison becomes."""
SLACKS = words("slack slacks error errors loose extra tie ties lost stray strays further")
"""Words for what pays for rounding."""


def opposite(name: str, names: frozenset[str]) -> str | None:
    """Return the name of the opposite end, if it is one of `names` or known to all."""
    parts = name.split("_")
    for i, word in enumerate(parts):
        other = "_".join((*parts[:i], OPPOSITE.get(word, ""), *parts[i + 1 :]))
        if word in OPPOSITE and (other in names or other in KNOWN):
            return other
    return None


def identifiers(text: bytes) -> frozenset[str]:
    """Return all names of a text."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", text.decode()))
