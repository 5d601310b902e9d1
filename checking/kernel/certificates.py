"""Read a certificate, a stream of lines: its format, its claim (JSON), and its records."""

import json
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...files import regular_lines
from ...files.texts import read_json
from ..claims import Claim, Statement, described, read_array, read_claim
from ..network.model import Network
from ..refusal import Refused
from ..work import EACH, allowance, grant, limited
from .checking import Checker
from .numbers import GRID

FORMAT, ROWS_FORMAT = "spikecert.proof/2", "spikecert.proof/2.1"
"""Of a proof of a class, and of one of a property's rows, which older versions do not know."""
SUFFIXES = (".certificate", ".proof2")
MOST_BYTES, MOST_LINE = 2**36, 2**24
"""The largest file that is read, and its longest line: no more than that is held at once."""


def check_file(path: Path, network: Network, work: float = 1.0) -> Statement:
    """Return what a certificate's file proves of a network. Raise as `check_certificate` does."""
    try:
        return check_certificate(lines_of(path), network, work)
    except Refused as error:
        raise Refused(f"{path.name}: {error}") from error


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a certificate's file.

    Raises:
        Refused: for a file that can't be read.
        ValueError: for one that is no text, or has longer lines than are read.
    """
    try:
        with regular_lines(path, MOST_BYTES, MOST_LINE) as lines:
            yield from lines
    except OSError as error:
        raise Refused(f"can't be read: {error.strerror}") from error


def check_certificate(lines: Iterable[str], network: Network, work: float = 1.0) -> Statement:
    """Return what a certificate proves of a network.

    Args:
        lines: of the certificate, one after the other.
        network: as read from its model file.
        work: how many times the usual limit of work (work.py) the check may take.

    Raises:
        Refused: for anything but a complete certificate, saying why.
    """
    with limited(allowance(network.size, work)):
        return check_lines(lines, network, work)


def check_lines(lines: Iterable[str], network: Network, work: float | None = None) -> Statement:
    """Return what `check_certificate` does, within the work that is allowed already.

    Each byte allows `work` times its own more; None: lines are made meanwhile, and nobody knows their numbers.
    """
    try:
        return _checked(iter(lines), network, work)
    except Refused:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise Refused(f"lacks a part, or has one of another kind: {error}") from error


def _checked(lines: Iterator[str], network: Network, work: float | None) -> Statement:
    form = next(lines, "").strip()
    if form not in (FORMAT, ROWS_FORMAT):
        raise Refused(f"is no certificate of format {FORMAT}")
    line = next(lines, "")
    grant(int(EACH * len(line) * (work or 0)))
    claim = claim_of(line, network)
    if form != format_of(claim.text):
        raise Refused(f"is of format {form}, expected {format_of(claim.text)} for such a claim")
    checker = Checker.of(network, claim)
    checker.check(lines, work)
    found = [margin for margin in checker.margins.values() if margin is not None]
    if not found:
        raise Refused("no leaf holds an input: the set is empty")
    margin, most = Fraction(min(found), 1 << GRID) * checker.nodes.graph.unit, checker.goal.most
    return claim.stated(margin if most is None else min(margin, Fraction(most)), checker.leaves)


def claim_of(line: str, network: Network) -> Claim:
    """Return what the second line of a certificate claims of a network.

    Raises:
        Refused: for no set of inputs that is known, or another network.
    """
    text: dict[str, Any] = read_json(line)
    arrays = {name: read_array(given) for name, given in text.pop("arrays").items()}
    return read_claim(text, arrays, network)


def format_of(text: Mapping[str, Any]) -> str:
    """Return the format of a certificate with such a claim."""
    return ROWS_FORMAT if "property" in text else FORMAT


def opening(text: dict[str, Any], arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """Yield the first lines of a certificate."""
    yield format_of(text)
    yield json.dumps({**text, "arrays": {name: described(array) for name, array in arrays.items()}})
