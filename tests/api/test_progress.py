"""What commands say while they work: bars on a terminal, plain lines now and then elsewhere."""

import pytest
from rich.console import Console

from spikecert import progress
from spikecert.progress import Bars


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_what_ends_soon_writes_nothing(clock, capsys):
    with Bars() as bars:
        for done in range(100):
            bars("certify net", done, 100)
            bars.figures("certify net", {"nodes": 1.0})
            clock.now += progress.SECONDS_APART / 101
    assert capsys.readouterr().err == ""


def test_a_long_run_writes_a_line_for_each_while(clock, capsys):
    with Bars() as bars:
        bars("radius net", 3, 10)
        for nodes in range(1, 5):
            clock.now += progress.SECONDS_APART / 2
            bars.figures("radius net", {"epsilon": 0.25, "asked": 7.0, "nodes": 1000.0 * nodes, "bound": -0.5})
        clock.now += progress.SECONDS_APART
        bars("gains\x1b[2J", 0, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "radius net: 30 %, epsilon 0.25, asked 7 samples, nodes 2,000, bound -0.5",
        "radius net: 30 %, epsilon 0.25, asked 7 samples, nodes 4,000, bound -0.5",
        "gains\\x1b[2J: 0 %",
    ]


def test_a_terminal_has_bars_and_no_lines(clock, capsys, monkeypatch):
    monkeypatch.setattr(Console, "is_terminal", True)
    with Bars() as bars:
        bars("radius net", 3, 10)
        clock.now += 10 * progress.SECONDS_APART
        bars.figures("radius net", {"nodes": 5.0})
        bars("radius net", 10, 10)
    assert "radius net: " not in capsys.readouterr().err
