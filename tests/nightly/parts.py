"""A part of the night: a command, how long it may take, and what it said."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

QUESTIONS = re.compile(r"\b(\d+) (?:of \d+ )?(?:questions? )?non-trivial", re.IGNORECASE)
"""How a part says of how many questions neither side was plain: "120 of 300 questions non-trivial"."""
COUNTS = re.compile(r"\b(\d+) (passed|failed|errors?|survived|killed|lost)\b")
FAILED = re.compile(r"^(?:FAILED|ERROR|SURVIVED|LOST|---) .*$", re.MULTILINE)
LAST = 40
"""Lines of a log that the page shows of a part that failed."""
MOST = 4 * 2**20
"""Bytes of a log that are read: its last ones."""


@dataclass(frozen=True)
class Part:
    """One command.

    Attributes:
        name: a word, by which it is asked for alone.
        asks: in a line, what it finds out.
        command: its arguments; "{seed}" and "{out}" stand for the night's seed and folder.
        minutes: when it is ended, with all that it started.
        environment: variables besides those that are there.
        folder: where it runs, below the root of the tree.
    """

    name: str
    asks: str
    command: tuple[str, ...]
    minutes: float
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."


@dataclass(frozen=True)
class Outcome:
    """What came of a part.

    Attributes:
        part: the part.
        status: its exit status; None where it was ended for its time, or did not start.
        seconds: how long it ran.
        log: the file of what it said.
        said: the end of that.
    """

    part: Part
    status: int | None
    seconds: float
    log: Path
    said: str

    @property
    def good(self) -> bool:
        """Return whether it ran to its end and found nothing."""
        return self.status == 0

    @property
    def told(self) -> str:
        """Return in a few words how it ended."""
        if self.status is None:
            return f"ended after {self.seconds / 60:.1f} of {self.part.minutes:g} minutes"
        return "ok" if self.good else f"failed, status {self.status}"

    @property
    def questions(self) -> int:
        """Return how many non-trivial questions it says that it asked."""
        return sum(int(found) for found in QUESTIONS.findall(self.said))

    @property
    def counts(self) -> str:
        """Return its last words that are counts, as "12 passed, 1 failed"."""
        lines = [line for line in self.said.splitlines() if COUNTS.search(line)]
        return ", ".join(" ".join(found) for found in COUNTS.findall(lines[-1])) if lines else ""

    @property
    def failures(self) -> list[str]:
        """Return the lines that name what failed."""
        return FAILED.findall(self.said)

    @property
    def tail(self) -> str:
        """Return its last lines."""
        return "\n".join(self.said.splitlines()[-LAST:])


def run(part: Part, root: Path, out: Path, seed: int) -> Outcome:
    """Run a part, to its end or its time; whatever becomes of it, return that."""
    log, started = out / f"{part.name}.log", time.monotonic()
    command = [word.replace("{seed}", str(seed)).replace("{out}", str(out)) for word in part.command]
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command,
                cwd=root / part.folder,
                env={**os.environ, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            file.write(f"{command[0]}: {error}\n".encode())
            status = None
        else:
            status = _waited(process, 60 * part.minutes)
    return Outcome(part, status, time.monotonic() - started, log, _end_of(log))


def _waited(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the status of a process, None where its time was up; end its group in any case."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # none of them is left
            process.poll()
        process.wait()


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MOST))
        return file.read().decode("utf-8", errors="replace")
