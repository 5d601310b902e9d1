"""Processes end with the one that started them, also in the midst of a computation that never looks up.

What is free, as the system says it, or nothing at all.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spikecert.processes import command, environment, memory
from support.processes import marked, soon

COMPUTING = """
import ctypes
print("here", flush=True)
ctypes.PyDLL(None).sleep(600)
"""
"""One call of C, in which no thread of Python runs."""
STARTING = """
import os, subprocess, sys
from spikecert.processes import command
subprocess.run(command(sys.argv[1]))
"""
BY_A_THREAD = """
import os, sys
sys.platform = "another"
from spikecert.processes import bind
bind(os.getppid())
import hashlib
print("here", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""
"""One call that lets other threads run."""
STARTING_ANOTHER = """
import subprocess, sys
subprocess.run([sys.executable, sys.argv[1]])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize(("parent", "child"), [(STARTING, COMPUTING), (STARTING_ANOTHER, BY_A_THREAD)])
def test_a_child_ends_with_its_parent(tmp_path: Path, parent: str, child: str, how: signal.Signals) -> None:
    mark = f"SPIKECERT_MARK={tmp_path}"
    (tmp_path / "child.py").write_text(child)
    started = subprocess.Popen(
        [sys.executable, "-c", parent, str(tmp_path / "child.py")],
        stdout=subprocess.PIPE,
        env={**environment(), **dict([mark.split("=")])},
    )
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"here\n"
        assert len(marked(mark)) == 2
        started.send_signal(how)
        assert soon(lambda: not marked(mark), 1.0)


def test_a_child_whose_parent_is_gone_already_computes_nothing(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("print('here')")
    own = command(str(tmp_path / "child.py"))
    other = [part if part != str(os.getpid()) else "1" for part in own]
    done = [subprocess.run(words, capture_output=True, check=False) for words in (own, other)]
    assert [(process.returncode, process.stdout) for process in done] == [(0, b"here\n"), (1, b"")]


def test_a_child_is_told_its_arguments_and_finds_the_same_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "told.py").write_text("import sys\ndef main():\n    print(sys.argv)\n")
    done = subprocess.run(command("told", "a", "b c"), env=environment(), capture_output=True, check=True)
    assert done.stdout == b"['told', 'a', 'b c']\n"
    alone = subprocess.run(command("told", alone=True), env=environment(), capture_output=True, check=False)
    assert alone.returncode == 1
    assert b"No module named 'told'" in alone.stderr


def test_some_memory_is_free() -> None:
    free = memory.free_memory()
    assert free is None or free > 2**20


def test_it_is_read_from_what_linux_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:       24 kB\nMemAvailable:   17 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", told)
    assert memory.free_memory() == 17 * 1024


def test_nothing_is_said_where_no_system_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(os, "sysconf_names", {})
    assert memory.free_memory() is None
