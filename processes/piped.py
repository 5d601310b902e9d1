"""Processes that end when the one that started them does, and such at the other end of a pipe.

Processes that end when the one that started them does, whatever ended it and whatever they compute.

This file is also a program, which runs another: `python piped.py PARENT PROGRAM ARGUMENT…` binds its process to
PARENT before anything slow is imported, then calls `main` of the module PROGRAM, or runs the script of that path.
So it imports little, and nothing of this library.
"""

import ctypes
import importlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when the thread that started it ends."""
PATIENCE = 0.2
"""Seconds between two looks at who the parent is."""


def command(program: str, *arguments: str, alone: bool = False) -> list[str]:
    """Return the command of a Python process that ends with this one.

    Args:
        program: a module with a function `main`, or the path of a script.
        arguments: what it finds in `sys.argv[1:]`.
        alone: run without the user's paths and variables, as `python -I`.
    """
    how = "-I" if alone else "-P"  # neither puts this file's folder among those that modules are looked for in
    return [sys.executable, how, __file__, str(os.getpid()), program, *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which a process finds the same modules as this one."""
    places = [place or os.getcwd() for place in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def bind(parent: int) -> None:
    """End this process as soon as `parent`, which started it, has ended.

    On Linux the kernel ends it. Elsewhere a thread does, as soon as what runs lets go of Python's lock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_without(parent)  # it may have ended before
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        time.sleep(PATIENCE)
        _end_without(parent)


def _end_without(parent: int) -> None:
    """End this process if it has another parent now: an orphan is given one."""
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Bind this process and run the program."""
    _, parent, program, *arguments = sys.argv
    bind(int(parent))
    sys.argv = [program, *arguments]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        importlib.import_module(program).main()


if TYPE_CHECKING:
    from multiprocessing.connection import Connection  # who only checks proofs starts without it

OF_THE_TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""What a terminal sends to every process that runs in it. Workers leave it to their parent, who ends them."""


def start(
    program: str, there: "Connection", files: Sequence[int] = (), told: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program at its end of a pipe, which is closed here, so that the other ends when the program does.

    Args:
        program: a module with a function `main`, which finds the number of its end in `sys.argv[1]`.
        there: its end.
        files: open ones that it inherits, by the same numbers.
        told: what its environment says besides.
    """
    with there, _blocked(OF_THE_TERMINAL):
        return subprocess.Popen(
            command(program, str(there.fileno())),
            env={**environment(), **(told or {})},
            stdin=subprocess.DEVNULL,
            pass_fds=(there.fileno(), *files),
        )


@contextmanager
def _blocked(signals: set[signal.Signals]) -> Iterator[None]:
    """Hold back signals: a process that is started meanwhile never sees them, from its first instruction on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


if __name__ == "__main__":
    main()
