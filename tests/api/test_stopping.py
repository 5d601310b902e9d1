"""What signals do to the command line: a first one, a second one, and one to who handles it already."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spikecert import cli
from spikecert.stopping import SIGNALS, Stopping
from support.listening import listen

BUSY = """
import hashlib, sys, threading
from spikecert.stopping import Stopping
stopping = Stopping()
try:
    with stopping:
        threading.Timer(0.3, lambda: print("here", flush=True)).start()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
except KeyboardInterrupt:
    sys.exit(stopping.status)
"""
"""Half an hour of C within one instruction of Python, which has begun when the thread tells of it."""


IN_TEXT = """
import typer
from spikecert import cli
def command(*_, **__):
    exec("import time; print('here', flush=True); time.sleep(60)")
typer.main.get_command = lambda _: type("Command", (), {"main": command})
cli.program()
"""
"""A module that Python would say Ctrl-C has ended, whatever it was."""


@contextmanager
def busy(
    *how: str, program: Sequence[str] = ("-c", BUSY), folder: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    command = [*how, sys.executable, *program]
    pipe = subprocess.PIPE
    rest = {"text": True, "start_new_session": True, "cwd": folder, "preexec_fn": listen}
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, **rest)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def ends(process: subprocess.Popen[str], within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize(("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP)])
def test_a_second_signal_ends_what_computes_on(first: signal.Signals, second: signal.Signals) -> None:
    with busy() as process:
        process.send_signal(first)
        time.sleep(0.4)
        process.send_signal(second)
        assert ends(process, within=10)
        assert process.returncode == 128 + first
        assert process.stderr is not None
        assert process.stderr.read() == "spikecert: interrupted; what was finished is kept\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_the_status_is_that_of_the_signal(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "in_text.py").write_text(IN_TEXT)
    with busy(program=("-m", "in_text"), folder=tmp_path) as process:
        process.send_signal(number)
        assert ends(process, within=10)
        assert process.returncode == 128 + number


def test_two_at_once_are_one() -> None:
    """`timeout` sends its signal to the process, and to its group as well."""
    with busy() as process:
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGHUP)
        assert not ends(process, within=1.6)


def test_what_nohup_ignores_is_ignored() -> None:
    with busy("nohup") as process:
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.4)
        assert not ends(process, within=1.2)


class Interrupting:
    """An attribute of a class, in whose making Ctrl-C comes: Python 3.11 calls that a RuntimeError."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_while_a_class_is_made_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(*_: object, **__: object) -> None:
        type("Made", (), {"field": Interrupting()})

    monkeypatch.setattr("typer.main.get_command", lambda _: type("Command", (), {"main": command}))
    assert cli.main(["anything"]) == 130


def test_an_error_that_names_an_interrupt_is_one_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of pydantic for Ctrl-C while a model is made: they have no cause."""

    def command(arguments: list[str], **_: object) -> None:
        raise LookupError(arguments[0])

    monkeypatch.setattr("typer.main.get_command", lambda _: type("Command", (), {"main": command}))
    assert cli.main(['Error building "literal" validator:\n  KeyboardInterrupt: ']) == 130
    with pytest.raises(LookupError):
        cli.main(["another"])


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.fixture
def heard() -> Iterator[None]:
    """Take signals as a program in a terminal does: nohup and background jobs ignore some."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heard")
def test_a_program_keeps_its_own_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What calls `main` and handles a signal goes on handling it, meanwhile and after."""
    seen, before = [], signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    own, during = handlers(), []

    def command(*_: object, **__: object) -> int:
        during.extend(handlers())
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setattr("typer.main.get_command", lambda _: type("Command", (), {"main": command}))
    try:
        assert cli.main(["anything"]) == 0
        assert handlers() == own
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
    assert during[1] == own[1]
    assert during[0] != own[0]


def test_each_signal_has_its_status_and_is_handled_as_before_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spikecert.stopping.DEFAULTS", handlers())  # whatever those of this process are
    own = handlers()
    for number in SIGNALS:
        with pytest.raises(KeyboardInterrupt), Stopping() as stopping:
            os.kill(os.getpid(), number)
        assert stopping.status == 128 + number
    assert handlers() == own
