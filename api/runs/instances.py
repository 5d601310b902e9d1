"""Questions of the verification competition: an instances.csv, decided line by line, and answers kept."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from spikecert.asking.values import choice, read, real, text
from spikecert.files import FileKind, write_atomically
from spikecert.formats import competition_result, read_vnnlib, verify_property
from spikecert.formats.vnnlib import PROPERTY
from spikecert.models import SpikingNetwork, network_hash
from spikecert.models.deadline import Progress

from .building import checked_device
from .sources import network_of

MOST_LINES, LONGEST = 100_000, 1e9
"""Lines of a file, and seconds of a line."""
INSTANCES = FileKind("instances", "a file of lines network,property,seconds", most=2**24)
KEPT = FileKind("kept", "an answer to an instance", most=2**20)
RESULTS = "results.csv"
RESUMED = "kept"
"""The folder of answers, below that of results."""


@dataclass(frozen=True)
class Line:
    """One instance: a network and a property, as the file names them, and how long it may take.

    Attributes:
        place: of the line, from 0.
        network, prop: as written; relative ones start from the file's folder.
        timeout: seconds.
    """

    place: int
    network: str
    prop: str
    timeout: float


@dataclass(frozen=True)
class InstanceAnswer:
    """What is known of an instance, and who said it; of an error why."""

    result: Annotated[str, choice("holds", "violated", "timeout", "unknown", "error")]
    verifier: Annotated[str, text(least=0)]
    seconds: Annotated[float, real("a number from 0 on", 0.0)]
    reason: Annotated[str, text(least=0)]


def read_instances(path: Path) -> list[Line]:
    """Return the lines of an instances.csv.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: in one line that names the line, for what is none.
    """
    found: list[Line] = []
    rows = csv.reader(io.StringIO(INSTANCES.text(path), newline=""))
    for number, row in enumerate(_rows(rows, path), start=1):
        if number > MOST_LINES:
            raise ValueError(
                f"instances: got more than {MOST_LINES} lines in {path.name}, expected at most so many"
            )
        if not row:
            continue
        told = f"instances: line {number} of {path.name}: got {','.join(row)[:100]!r}"
        if len(row) != 3 or not (row[0].strip() and row[1].strip()):
            raise ValueError(f"{told}, expected network,property,seconds")
        found.append(Line(len(found), row[0].strip(), row[1].strip(), _seconds(row[2], told)))
    if not found:
        raise ValueError(f"instances: got no line in {path.name}, expected network,property,seconds")
    return found


def _rows(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ValueError(f"instances: {path.name} is no table with commas: {error}") from error


def _seconds(written: str, told: str) -> float:
    try:
        value = float(written)
    except ValueError:
        value = -1.0
    if not 0 < value <= LONGEST:
        raise ValueError(f"{told}, expected a positive number of seconds behind the second comma")
    return value


@dataclass(frozen=True)
class InstanceBatch:
    """Instances, and how they are decided.

    Attributes:
        path: of the file.
        verifier, seed, device: as in `spikecert vnnlib`.
        timeout: seconds that no instance may pass, whatever its line says; None: its line's.
        out: the folder of results, in which a killed run finds what it decided; None: nothing is kept.
    """

    path: Path
    verifier: str
    timeout: float | None
    seed: int
    device: str
    out: Path | None

    @cached_property
    def lines(self) -> list[Line]:
        """The instances."""
        return read_instances(self.path)

    def limit(self, line: Line) -> float:
        """Return the seconds that an instance may take."""
        return line.timeout if self.timeout is None else min(line.timeout, self.timeout)

    def decide(self, lines: Sequence[Line], progress: Progress) -> Iterator[tuple[Line, InstanceAnswer]]:
        """Yield each line with its answer, what was answered before from the folder.

        What can't be read is an answer, too, and not kept: the file may be there the next time.
        """
        name, network = "", None
        for done, line in enumerate(lines):
            try:
                if network is None or name != line.network:
                    name, network = (
                        line.network,
                        network_of(self._place(line.network)).to(checked_device(self.device)),
                    )
                yield line, self._answer(line, network)
            except (ValueError, TypeError, OSError) as error:
                yield line, InstanceAnswer("error", "", 0.0, " ".join(str(error).split())[:500])
            progress("instances", done + 1, len(lines))

    def _place(self, name: str) -> Path:
        return Path(name) if name.startswith("zoo:") else self.path.parent / name

    def _answer(self, line: Line, network: SpikingNetwork) -> InstanceAnswer:
        prop, kept = self._place(line.prop), None
        if self.out is not None:
            kept = self.out / RESUMED / f"{self._key(line, network, PROPERTY.content(prop))}.json"
            if (before := _kept(kept)) is not None:
                return before
        asked = read_vnnlib(prop)
        verdict = verify_property(network, asked, self.verifier, self.limit(line), seed=self.seed)
        found = InstanceAnswer(verdict.status, verdict.verifier, verdict.seconds, verdict.reason)
        if self.out is not None and kept is not None:
            write_atomically(self.out / f"{line.place:05d}.txt", competition_result(verdict, prop=asked).encode())
            write_atomically(kept, json.dumps(asdict(found)).encode())
        return found

    def _key(self, line: Line, network: SpikingNetwork, prop: bytes) -> str:
        """Return what tells an instance from others: all that its answer depends on, and its place."""
        told: list[Any] = [line.place, network_hash(network), hashlib.sha256(prop).hexdigest()]
        told += [self.verifier, self.limit(line), self.seed, self.device]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]

    @property
    def finished(self) -> int:
        """Return how many answers are kept."""
        return 0 if self.out is None else len(list((self.out / RESUMED).glob("*.json")))


def _kept(path: Path) -> InstanceAnswer | None:
    """Return an answer that is kept; None where there is none, or what is there says none."""
    try:
        found: InstanceAnswer = read(InstanceAnswer, KEPT.json(path))
    except (ValueError, OSError):
        return None
    return found


def write_results(out: Path, answers: Sequence[tuple[Line, InstanceAnswer]]) -> Path:
    """Write results.csv: network, property, result, seconds, who decided, and why."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("network", "property", "result", "seconds", "verifier", "reason"))
    for line, found in answers:
        writer.writerow(
            (line.network, line.prop, found.result, f"{found.seconds:.4f}", found.verifier, found.reason)
        )
    write_atomically(out / RESULTS, table.getvalue().encode())
    return out / RESULTS
