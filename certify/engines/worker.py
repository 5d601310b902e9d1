"""A process of this machine that decides batches, and what it and its parent say to each other."""

import json
import sys
from multiprocessing.connection import Connection

from ..verdicts import SoundnessError
from .work import decide

READY, DECIDED, RAISED = b"?", b"+", b"-"
"""The first byte of what a worker says: that it waits for the job, verdicts, or what was raised."""
SHARE = b"="
"""How a message starts that says how many processes may share the batch that is being decided."""

ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (ValueError, TypeError, RuntimeError, OverflowError, MemoryError, ImportError, SoundnessError)
}
"""What a worker raises keeps its kind where that is one of these: nothing is pickled."""


def main() -> None:
    """Decide batches until the pipe ends: the body of a process, which is told its end of the pipe."""
    connection = Connection(int(sys.argv[1]))
    team = _Team(connection)
    try:
        connection.send_bytes(READY)
        job = connection.recv_bytes()
        while True:
            message = connection.recv_bytes()
            if not team.hears(message):
                connection.send_bytes(_answer(job, message, team))
    except (EOFError, OSError):  # the parent is gone
        return


class _Team:
    """Says how many processes may work on a batch: what the parent said last."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._count = connection, 1

    def __call__(self) -> int:
        while self._connection.poll():  # while a batch is decided, nothing else comes
            self.hears(self._connection.recv_bytes())
        return self._count

    def hears(self, message: bytes) -> bool:
        """Take note of a message that says how many; return whether it does."""
        if message[:1] == SHARE:
            self._count = int(message[1:])
        return message[:1] == SHARE


def content(answer: bytes) -> bytes:
    """Return the verdicts of an answer, or raise what it says was raised."""
    mark, told = answer[:1], answer[1:]
    if mark == DECIDED:
        return told
    name, message = json.loads(told)
    raise ERRORS[name](message)


def _answer(job: bytes, batch: bytes, team: _Team) -> bytes:
    """Return a batch's verdicts, or the name and the message of what was raised."""
    try:
        return DECIDED + decide(job, batch, team)
    except Exception as error:  # it is raised again in the parent
        name = type(error).__name__
        told = [name, str(error)] if ERRORS.get(name) is type(error) else ["RuntimeError", f"{name}: {error}"]
        return RAISED + json.dumps(told).encode()
