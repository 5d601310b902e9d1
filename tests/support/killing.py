"""Kill a command at random moments, again and again, and look at what it leaves."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from spikecert.models.files.storage import read_tensors
from support.listening import listen
from support.processes import marked, soon

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDED = (0, 1)
"""Status of what came to its end: all is well, or a sample was falsified."""
GONE = 2.0
"""Seconds in which all processes must have ended once the first has."""
GRACE = 120.0
"""Seconds in which a report of what was finished must be there after a signal, on a busy machine."""


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes:
        arguments: of the command line, for a folder that it writes to.
        kept: what is finished there: names, and what may not change of each any more.
        result: what must be as in a run that nothing disturbed.
        check: looks at a finished folder besides; raises where something is wrong.
        start: the share of an undisturbed run at which kills begin.
    """

    arguments: Callable[[Path], list[str]]
    kept: Callable[[Path], dict[str, Any]]
    result: Callable[[Path], Any]
    check: Callable[[Path], None] = lambda _: None
    start: float = 0.0


@dataclass
class Killing:
    """A job, the folder of all that it leaves, and what happened to it so far."""

    job: Job
    folder: Path
    happened: Counter[str] = field(default_factory=Counter)

    def run(self, kills: int, seed: int = 0) -> None:
        """Kill at so many random moments; compare what each folder holds in the end with an undisturbed run's."""
        start = time.monotonic()
        assert self.ends(self.folder / "alone")
        seconds, expected = time.monotonic() - start, self.job.result(self.folder / "alone")
        draws, rounds = random.Random(seed), 0
        while self.happened["killed"] < kills:
            out, rounds = self.folder / f"round-{rounds}", rounds + 1
            while self.happened["killed"] < kills:
                moment, how = draws.uniform(self.job.start, 1.0) * seconds, draws.choice(SIGNALS)
                if self.ends(out, how, moment):
                    break
            self.compare(out, expected)

    def compare(self, out: Path, expected: Any) -> None:
        """Raise unless a last run in peace leaves what is expected, whole, and nothing else."""
        assert self.ends(out)
        assert self.job.result(out) == expected
        self.job.check(out)
        assert leftovers(self.folder) == []

    def ends(
        self, out: Path, how: signal.Signals | None = None, moment: float | Callable[[], bool] = 600.0
    ) -> bool:
        """Run the command; return whether it came to its end before the moment of the signal."""
        process = self._start(out)
        start = time.monotonic()
        come = moment if callable(moment) else (lambda: time.monotonic() - start > moment)
        assert soon(lambda: process.poll() is not None or come(), 600), "it does not end by itself"
        if process.poll() is None:
            assert how is not None, "it does not end by itself"
            self._kill(process, out, how)
        said = process.communicate()[0].decode()
        assert soon(lambda: not marked(self._mark), GONE), f"processes are left: {marked(self._mark)}"
        look_at(out)
        self.happened[f"status {process.returncode}"] += 1
        killed = () if how is None else (-how, 128 + how)  # by the system where Python had hardly started
        assert process.returncode in (*ENDED, *killed), said
        assert "Traceback" not in said or (process.returncode == -signal.SIGINT and "in main" not in said), said
        return process.returncode in ENDED

    def _kill(self, process: "subprocess.Popen[bytes]", out: Path, how: signal.Signals) -> None:
        """Send a signal; what was finished by then must be there and as it was when all is over."""
        before = self.job.kept(out)
        process.send_signal(how)
        process.wait(GRACE)
        after = self.job.kept(out)
        if process.returncode not in ENDED:
            self.happened.update(("killed", how.name))
            assert {name: after.get(name) for name in before} == before, f"{how.name} lost something"

    def _start(self, out: Path) -> "subprocess.Popen[bytes]":
        temporary = self.folder / "temporary"
        temporary.mkdir(parents=True, exist_ok=True)
        name, value = self._mark.split("=")
        return subprocess.Popen(
            [sys.executable, "-m", "spikecert", *self.job.arguments(out)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, name: value, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
            preexec_fn=listen,
        )

    @property
    def _mark(self) -> str:
        return f"SPIKECERT_MARK={self.folder}"


def files(folder: Path) -> list[Path]:
    """Return the files within a folder that are no temporary ones."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def look_at(folder: Path) -> None:
    """Raise for a file that is not whole; TensorBoard's, which are appended to, may end anywhere."""
    for path in files(folder):
        content = path.read_bytes()
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix in {".safetensors", ".proof"}:
            with safe_open(path, framework="pt") as file:
                form = file.metadata()["format"]
            read_tensors(path, form)  # compares the hash
        elif path.suffix in {".html", ".svg"}:
            assert content.rstrip().endswith(f"</{path.suffix[1:]}>".encode()), path
        elif path.suffix in {".csv", ".md", ".tex"}:
            assert content.endswith(b"\n"), path
        else:
            assert path.parent.name == "tensorboard", path


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files within a folder, also those of a system's temporary folder that lies in it.

    Torch makes a folder for its compiler there, one for each user, which stays empty.
    """
    hidden = {path for path in folder.rglob("*") if path.name.startswith(".")}
    others = {path for path in (folder / "temporary").rglob("*") if not path.name.startswith("torchinductor_")}
    return sorted(hidden | others)
