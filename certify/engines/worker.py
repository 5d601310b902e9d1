"""A process of this machine that decides batches, and what it and its parent say to each other."""

import json
import sys
from multiprocessing.connection import Connection

from ..verdicts import SoundnessError
from .work import decide

READY, DECIDED, RAISED = b"?", b"+", b"-"
"""The first byte of what a worker says: that it waits for the job, verdicts, or what was raised."""

ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (ValueError, TypeError, RuntimeError, OverflowError, MemoryError, ImportError, SoundnessError)
}
"""What a worker raises keeps its kind where that is one of these: nothing is pickled."""


def main() -> None:
    """Decide batches until the pipe ends: the body of a process, which is told its end of the pipe."""
    connection = Connection(int(sys.argv[1]))
    try:
        connection.send_bytes(READY)
        job = connection.recv_bytes()
        while True:
            connection.send_bytes(_answer(job, connection.recv_bytes()))
    except (EOFError, OSError):  # the parent is gone
        return


def content(answer: bytes) -> bytes:
    """Return the verdicts of an answer, or raise what it says was raised."""
    mark, told = answer[:1], answer[1:]
    if mark == DECIDED:
        return told
    name, message = json.loads(told)
    raise ERRORS[name](message)


def _answer(job: bytes, batch: bytes) -> bytes:
    """Return a batch's verdicts, or the name and the message of what was raised."""
    try:
        return DECIDED + decide(job, batch)
    except Exception as error:  # it is raised again in the parent
        name = type(error).__name__
        told = [name, str(error)] if ERRORS.get(name) is type(error) else ["RuntimeError", f"{name}: {error}"]
        return RAISED + json.dumps(told).encode()
