"""Ask the kernel about the corpus: as it is, with one number moved, and with a claim of more."""

import json
from collections.abc import Iterator
from math import inf, nextafter
from typing import Any, NamedTuple

from spikecert.checking import Refused
from spikecert.checking.kernel.certificates import check_certificate, claim_of
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.records import Fields
from support.kernel_corpus.kept import Kept
from support.kernel_corpus.tampering import LEAST, moved, numbers_of


class Moved(NamedTuple):
    """A certificate with one word changed: which line, what stands there now, and whether the kernel took it."""

    line: int
    record: str
    taken: bool


FAR = 1 << 64
"""So many least moves: only a number that bounds no run may go so far, as of a node without moves."""


def says_more(case: Kept) -> Iterator[Moved]:
    """Yield each record with one end or one constant of its own moved, and whether the kernel takes that there.

    The kernel's state is that behind the records before. What may also be moved far bounds no run: it is left out.
    """
    checker = _behind(case, 2)
    for index, line in enumerate(case.lines[2:], 2):
        word, *rest = line.split()
        if word in ("table", "graph", "potential", "pair"):
            whole = checker.nodes.spiking(int(rest[0])).whole is not None
            for number in numbers_of(line, checker.network.steps, whole):
                new = moved(line, number, number.step)
                taken = bool(number.step) and _takes(checker, word, new)
                if taken:
                    checker = _behind(case, index)
                    taken = not _takes(_behind(case, index), word, moved(line, number, number.step * FAR))
                if number.step:
                    yield Moved(index, new, taken)
        checker._take(word, Fields(rest))


def _behind(case: Kept, index: int) -> Checker:
    """Return the kernel's state before a line."""
    network = case.network
    checker = Checker.of(network, claim_of(case.lines[1], network))
    for line in case.lines[2:index]:
        word, *rest = line.split()
        checker._take(word, Fields(rest))
    return checker


def _takes(checker: Checker, word: str, record: str) -> bool:
    """Return whether a state takes a record; it is what it was unless it does."""
    leaf, before = checker.leaf, None
    if leaf is not None:
        leaf.descend(int(record.split()[1]))
        before = dict(leaf.open), dict(leaf.heard)
    try:
        checker._take(word, Fields(record.split()[1:]))
    except Refused:
        if leaf is not None and before is not None:
            leaf.open, leaf.heard = before
        return False
    return True


def refusal(case: Kept, lines: list[str]) -> str:
    """Return why the kernel refuses a certificate, "" where it takes it."""
    try:
        check_certificate(iter(lines), case.network)
    except Refused as error:
        return str(error)
    return ""


def claims_of_more(case: Kept) -> Iterator[tuple[str, list[str]]]:
    """Yield the certificate with claims that say more by the least that a claim can."""
    text = json.loads(case.lines[1])

    def told(what: str, **changed: Any) -> tuple[str, list[str]]:
        return what, [case.lines[0], json.dumps({**text, **changed}), *case.lines[2:]]

    for clause, rows in enumerate(text.get("property", ())):
        (row,) = rows
        constant = row["constant"]
        more = nextafter(constant, inf) if abs(constant) > LEAST else (constant > -LEAST) * LEAST
        new = [*text["property"]]
        new[clause] = [{**row, "constant": more}]
        if case.margins[str(clause)] is not None:
            yield told(f"clause {clause}", property=new)
