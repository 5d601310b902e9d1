"""Tests against a mutant, in a process that is forked from one that has imported what all tests import.

Such a process costs a tenth of a second; torch, SciPy, SymPy, CVXPY and hypothesis cost ten. It has limits of its
own in CPU time and memory, and all that it started ends with it. Examples are derandomised and not shrunk, so that
a run repeats itself.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.layout import ROOT

WARM = (
    *("torch", "torch.fx", "numpy", "scipy.optimize", "scipy.sparse", "sympy", "cvxpy", "highspy", "pydantic"),
    *("sklearn.linear_model", "safetensors.torch", "hypothesis.strategies", "pytest"),
)
MEMORY = 8 * 2**30
"""What a process may take."""
PATIENCE = 12
"""Seconds that pass, at most, for each second of CPU time: tests that wait would never end."""
HANGS = 30.0
"""CPU seconds after which a test that does not end, though it passes otherwise, is said to hang."""


@dataclass(frozen=True)
class Ended:
    """How tests ended.

    Attributes:
        failed: the first test that failed, with how; "" if none did.
        done: whether all ran that were asked for, up to the one that failed.
        seconds: CPU time.
        said: the end of what pytest wrote, where it could not run.
    """

    failed: str
    done: bool
    seconds: float
    said: str = ""


def warm_up() -> None:
    """Import what costs time and is no part of the package."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in WARM:
        importlib.import_module(name)
    if any(name.split(".")[0] == "spikecert" for name in sys.modules):
        raise RuntimeError("the package is imported already: its copies would not be")


def run_tests(folder: Path, tests: Sequence[str], limit: float) -> Ended:
    """Run tests with the package in a folder until one fails, within `limit` CPU seconds."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            _test(folder, tests, limit, writing)
        except BaseException:
            traceback.print_exc()
        finally:  # a fork never goes on with what its parent does
            os._exit(1)
    os.close(writing)
    status, seconds = _wait(process, limit)
    with os.fdopen(reading, "rb") as pipe:
        notes = [json.loads(line) for line in pipe.read().splitlines()]
    return judged(notes, status, seconds, folder)


def _wait(process: int, limit: float) -> tuple[int, float]:
    """Wait for a process, for no longer than its patience; end what it started; return its status and CPU time."""
    deadline = time.monotonic() + PATIENCE * limit + 30
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    with suppress(ProcessLookupError):  # what it started may have ended by itself
        os.killpg(process, signal.SIGKILL)
    return status, usage.ru_utime + usage.ru_stime


def judged(notes: list[dict[str, Any]], status: int, seconds: float, folder: Path) -> Ended:
    """Return what became of tests by what their process told, and how it ended."""
    failed = next((note["failed"] for note in notes if "failed" in note), "")
    code = next((note["code"] for note in notes if "code" in note), None)
    if failed or code == 0:
        return Ended(failed, True, seconds)
    if code is not None:
        return Ended("", False, seconds, (folder / "said").read_text(errors="replace")[-3000:])
    last = next((note for note in reversed(notes) if "started" in note), None)
    cause = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if last is not None and cause in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGILL):
        return Ended(f"{last['started']} (crashed)", True, seconds)
    if last is not None and seconds - last["at"] > HANGS:
        return Ended(f"{last['started']} (hung)", True, seconds)
    said = (folder / "said").read_text(errors="replace")[-3000:] if os.WIFEXITED(status) else ""
    return Ended("", False, seconds, said)


class Notes:
    """A plugin of pytest that tells what runs, and what failed first; it takes examples as they were drawn."""

    def __init__(self, folder: Path, pipe: int) -> None:
        self.folder, self.pipe, self.told = folder, pipe, False

    def tell(self, **note: Any) -> None:
        """Write a note."""
        os.write(self.pipe, json.dumps(note).encode() + b"\n")

    def pytest_collection(self) -> None:
        """Take examples of one seed, unshrunk, once tests/conftest.py has said how many."""
        from hypothesis import Phase, settings

        import spikecert

        assert str(spikecert.__file__).startswith(str(self.folder)), spikecert.__file__
        phases = (Phase.explicit, Phase.generate)
        profile = settings.get_current_profile_name()
        settings.register_profile(
            "mutants", settings.get_profile(profile), derandomize=True, database=None, phases=phases
        )
        settings.load_profile("mutants")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which test begins, and when."""
        self.tell(started=nodeid, at=time.process_time())

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Say which test failed first."""
        if report.failed and not self.told:
            self.told = True
            self.tell(failed=report.nodeid)

    pytest_collectreport = pytest_runtest_logreport


def _test(folder: Path, tests: Sequence[str], limit: float, pipe: int) -> None:
    """Run pytest in this process, and end it."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    streams = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(streams, 1)
    os.dup2(streams, 2)
    os.chdir(ROOT)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    import pytest

    notes = Notes(folder, pipe)
    settings = ["-x", "-q", "--assert=plain", "--tb=line", "--timeout=150"]
    settings += [word for name in ("cacheprovider", "xdist", "cov") for word in ("-p", f"no:{name}")]
    code = pytest.main([*settings, *tests], plugins=[notes])
    notes.tell(code=int(code))
    sys.stdout.flush()
    os._exit(0)
