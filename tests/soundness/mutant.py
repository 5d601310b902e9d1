"""A way to break a bound."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `file`, `old` (found exactly once) becomes `new`."""

    what: str
    file: str
    old: str
    new: str
