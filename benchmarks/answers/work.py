"""Verifiers that are bounded by work, and never by time: nodes, members, entries of programs."""

from dataclasses import replace
from typing import Any

from spikecert.certify.verifiers import VERIFIERS, Complete, Enumeration, Milp, MoveSplitting, Verifier
from spikecert.certify.verifiers.inputs import InputSplitting
from spikecert.certify.verifiers.ladder import Ladder

BYTES = 2**22
"""What a search's nodes may take of a sample of a small network: bytes of a node times nodes."""
ENTRIES = 2**16
"""What linear programs may: entries of a program times nodes."""
MEMBERS = 2**28
"""What a listed set may, in products."""
BOXES = 2**9
"""How many boxes of inputs may be bounded."""


def within(verifier: Verifier, work: float = 1.0) -> Verifier:
    """Return a verifier, and all that it asks, bounded by work; `work` times the usual bounds."""
    found: Any = verifier
    if isinstance(found, Ladder):
        return replace(found, rungs=tuple(within(rung, work) for rung in found.rungs))
    if isinstance(found, Complete):
        changes: dict[str, Any] = {"search": replace(found.search, patience=int(BYTES * work))}
        for name in ("enumeration", "programs"):
            part = getattr(found, name)
            changes[name] = None if part is None else within(part, work)
        return replace(found, **changes)
    if isinstance(found, MoveSplitting):
        return replace(found, patience=int(MEMBERS * work), enumeration=within(found.enumeration, work))
    if isinstance(found, Enumeration):
        return replace(found, patience=int(MEMBERS * work))
    if isinstance(found, Milp):
        return replace(found, patience=int(ENTRIES * work))
    return replace(found, most=BOXES) if isinstance(found, InputSplitting) else found


def bounded(name: str, work: float = 1.0) -> Verifier:
    """Return the verifier of a name, bounded by work."""
    return within(VERIFIERS[name](), work)
