"""The table of elements: each cell is tried on a tiny network, and says what came of it."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikecert import LInf, SpikingNetwork, attack, convert, gain, load, save, verify
from spikecert.certify.proofs import Prover
from spikecert.certify.proofs.proving import Unproven
from spikecert.checking import Refused, check
from support.element_rows import REFUSALS, ROWS
from support.elements import LIBRARIES, Row

VERIFIERS = ("interval", "trains", "linear", "complete", "milp")
COLUMNS = ("element", *LIBRARIES, *VERIFIERS, "gains", "attacks", "proofs", "save")
YES, NO, NONE = "yes", "no", "–"
REASON = ("element", "libraries", "reason")
EPSILON = 1e-4
"""A radius at which a bound of a tiny network proves most samples, if it knows the network."""


def tried(row: Row) -> tuple[str, ...]:
    """Return the cells of a row: "yes", "no", "unknown", or "–" where a library has no such element."""
    cells, network = [], None
    for library in LIBRARIES:
        found = _converted(row, library) if library in row.makers else None
        network = network or found
        cells.append(NONE if library not in row.makers else NO if found is None else YES)
    if network is None:
        return (row.name, *cells, *[NO] * (len(COLUMNS) - 1 - len(cells)))
    inputs = row.sample()
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    readers = (*[_verifies(name) for name in VERIFIERS], _gains, _attacks, _proves, _saves)
    return (row.name, *cells, *(_cell(reader, network, inputs, labels) for reader in readers))


def refusal(row: Row) -> tuple[str, str, str]:
    """Return element, libraries and the reason that the first of them is refused for; "" for one that comes in."""
    reasons = []
    for library in row.makers:
        try:
            convert(row.source(library), row.sample(), **row.arguments())
            reasons.append("")
        except (ValueError, TypeError) as error:
            reasons.append(re.sub(r"\w+\.py:\d+", "mine.py:42", str(error)))
    return row.name, ", ".join(row.makers), "" if "" in reasons else reasons[0]


def written() -> str:
    """Return what comes in, and what is refused, as Markdown."""
    return f"{line(COLUMNS)}{line(('---',) * len(COLUMNS))}{''.join(map(line, map(tried, ROWS)))}\n" + (
        f"{line(REASON)}{line(('---',) * len(REASON))}{''.join(map(line, map(refusal, REFUSALS)))}"
    )


def line(cells: tuple[str, ...]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |\n"


def _converted(row: Row, library: str) -> SpikingNetwork | None:
    try:
        made = [convert(source, row.sample(), **row.arguments()) for source in row.sources(library)]
    except (ValueError, TypeError):
        return None
    return made[0].network if all(each.check.matches and each.check.rates[0] > 0 for each in made) else None


Reader = Callable[[SpikingNetwork, Tensor, Tensor], str]


def _cell(reader: Reader, network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> str:
    """Return what a reader says, "no" where it refuses."""
    try:
        return reader(network, inputs, labels)
    except (ValueError, TypeError, NotImplementedError, Unproven, Refused):
        return NO


def _verifies(name: str) -> Reader:
    def reader(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> str:
        """Return "yes" where any sample is proven at a tiny radius."""
        found = verify(network, inputs, labels, LInf(EPSILON), name, timeout=5.0)
        return YES if any(verdict.status == "verified" for verdict in found) else "unknown"

    return reader


def _gains(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> str:
    return YES if gain(network, input_shape=tuple(inputs.shape[1:])).check() else "unknown"


def _attacks(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> str:
    return YES if attack(network, inputs, labels, LInf(0.1)) is not None else NO


def _proves(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> str:
    """Return "yes" where the checker accepts a proof of any sample."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "network.safetensors"
        save(network, path)
        prover: Any = Prover.of(network)
        refused: Exception | None = None
        for sample, label in zip(inputs, labels.tolist(), strict=True):
            try:
                proof = prover.prove(sample, label, LInf(EPSILON))
                proof.save(Path(name) / "0.proof")
                return YES if check(Path(name) / "0.proof", path).label == label else NO
            except (ValueError, Unproven, Refused) as error:
                refused = error
        assert refused is not None
        raise refused


def _saves(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> str:
    """Return "yes" where a file holds the same network."""
    with tempfile.TemporaryDirectory() as name:
        save(network, Path(name) / "network.safetensors")
        again = load(Path(name) / "network.safetensors")
    return YES if torch.equal(again(inputs), network(inputs)) else NO
