"""Settings of all tests: one torch thread (small networks wait on a second), and the same examples each day."""

import gc
from collections import Counter
from zlib import crc32

import pytest
import torch
from hypothesis import settings

from support.by_day import ALIKE, SHARE
from support.examples import DAILY, THOROUGH
from support.native import say_left_out

torch.set_num_threads(1)
settings.register_profile("by day", derandomize=True, deadline=None, max_examples=DAILY)
settings.register_profile("by night", deadline=None, max_examples=DAILY)
settings.load_profile("by night" if THOROUGH else "by day")


LONG = (
    "certify/branching/test_residual.py",
    "checking/test_soundness.py",
    "runs/test_beside.py",
    "radii/test_radius.py",
    "api/test_stopping.py",
    "certify/engines/test_local.py",
    "faults/test_kills.py",
    "training/test_processes.py",
    "reports/test_browser.py",
    "api/test_progress.py",
    "formats/test_command.py",
    "docs/test_snippets.py",
    "checking/test_trains.py",
    "checking/test_ties.py",
)
"""Files of few tests that take long: they start first, so that no process waits for one of them at the end."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Whatever the test before has set: a second thread waits longer than it helps."""
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of what is searched for cycles: a tenth of all time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a part of the tests be asked for: by night, each of several environments runs one."""
    parser.addoption("--one-in", type=int, default=1, help="run one test in so many, the same ones each time")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with long files; leave to the night what `by_day` says."""
    share = int(config.getoption("--one-in") or 1)
    items[:] = [item for item in items if crc32(item.nodeid.encode()) % share == 0]
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))
    cases = Counter[str]()
    for item in items if not THOROUGH else ():
        name = item.nodeid.partition("[")[0].removeprefix("tests/")
        if name in ALIKE:
            if cases[name] % SHARE:
                item.add_marker(pytest.mark.slow)
            cases[name] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out of the native kernel, and what the matrix was asked, summed up over all processes."""
    say_left_out(terminalreporter)
    counts = Counter[str]()
    for report in terminalreporter.stats.get("", ()):
        told = dict(getattr(report, "user_properties", ()))
        counts.update({name: int(told[name]) for name in told if name.startswith("matrix: ")})
    if counts:
        listed = ", ".join(f"{count} {name.removeprefix('matrix: ')}" for name, count in counts.items())
        terminalreporter.write_line(f"matrix: {listed}")
