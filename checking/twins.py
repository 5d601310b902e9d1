"""Two accepted proofs of one question, about two builds of a network: the builds give one class there.

That needs no rule of its own: the first proof says that its network gives class y at each input of a set, the
second says it of the other network, and set and class are the same in both. Which networks these are is said by
their hashes.
"""

from dataclasses import dataclass
from pathlib import Path

from ..files.text import printable
from .claims import Statement
from .refusal import Refused

SIDES = ("a", "b")
"""The folders of both builds' proofs: files of one name belong together."""


@dataclass(frozen=True)
class TwinStatement:
    """Two networks give class `a.label` for every input of one set.

    Attributes:
        a, b: what was proven of each.
    """

    a: Statement
    b: Statement

    def __post_init__(self) -> None:
        if self.a.prop is not None or self.b.prop is not None:
            raise Refused("a proof is about a property: that both builds have one says nothing of their classes")
        if self.a.question != self.b.question:
            raise Refused(_unlike(self.a, self.b))


def twin_files(folder: Path, proofs: list[Path]) -> list[tuple[str, Path | None, Path | None]]:
    """Return pairs of files by their names; None where one lacks its twin.

    Args:
        folder: that holds one folder for each build, see `SIDES`.
        proofs: all of both.
    """
    found: dict[str, dict[str, Path]] = {}
    for proof in proofs:
        found.setdefault(proof.name, {})[proof.parent.name] = proof
    return [(name, *(found[name].get(side) for side in SIDES)) for name in sorted(found)]  # type: ignore[misc]


def _unlike(a: Statement, b: Statement) -> str:
    """Return in which of their parts two questions differ."""
    if a.point != b.point:
        return "the proofs are about different samples"
    if a.label != b.label:
        return f"the proofs are about classes {a.label} and {b.label}, not about one"
    if a.whole != b.whole:
        return "one proof is about the whole inputs of a chip, the other one about real ones"
    if a.norm != b.norm:
        return f"the proofs are about sets in {printable(a.norm)} and {printable(b.norm)}, not about one"
    return "the proofs are about different sets of inputs around one sample"
