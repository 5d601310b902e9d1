"""What is free, as the system says it, or nothing at all."""

import os
from pathlib import Path

import pytest

from spikecert.processes import memory


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
