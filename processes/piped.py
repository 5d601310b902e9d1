"""Processes at the other end of a pipe."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .children import command, environment

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
