"""A process that bounds parts of a search for another one, and what the two say to each other."""

import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue

import torch

from ..nodes.nodes import Nodes
from ..question import MarginQuestion
from .crew import bounded_here
from .sharing import pack_timed, unpack_part, unpack_question

READY, ASKED, GIVEN, DONE, FAILED = b"?", b"q", b"p", b"+", b"-"
"""The first byte of a message: the process is there; a question; a part; what came of it; that nothing did."""


def main() -> None:
    """Bound parts until the pipe ends: the body of a process, which is told its end of the pipe."""
    torch.set_num_threads(1)
    serve(Connection(int(sys.argv[1])))


def serve(connection: Connection) -> None:
    """Answer what comes, until the other end is gone."""
    asked = None
    messages: SimpleQueue[bytes] = SimpleQueue()
    answers: SimpleQueue[bytes] = SimpleQueue()
    talk = threading.Thread(target=_tell, args=(connection, answers), daemon=True)
    threading.Thread(target=_listen, args=(connection, messages), daemon=True).start()
    talk.start()
    answers.put(READY)
    while message := messages.get():
        if message[:1] == ASKED:
            asked = _taken_up(message[1:])
        else:
            answers.put(_answer(asked, message[1:]))
    answers.put(b"")
    talk.join()


def _tell(connection: Connection, answers: "SimpleQueue[bytes]") -> None:
    """Say what comes. The other end may be at work and not listen: meanwhile the next part is begun."""
    try:
        while answer := answers.get():
            connection.send_bytes(answer)
    except OSError:  # the parent is gone
        return


def _listen(connection: Connection, messages: "SimpleQueue[bytes]") -> None:
    """Take messages as they come, so that who sends one never waits for who sends another; b"" is the end."""
    try:
        while True:
            messages.put(connection.recv_bytes())
    except (EOFError, OSError):
        messages.put(b"")


def _taken_up(content: bytes) -> tuple[MarginQuestion, Nodes] | None:
    """Return a question and nodes of its kind; None where it can't be taken up here."""
    try:
        question = unpack_question(content)
        like = question.roots()
    except Exception:  # whoever asked does the work: it has the same to say there
        return None
    return None if like is None else (question, like)


@torch.no_grad()
def _answer(asked: tuple[MarginQuestion, Nodes] | None, content: bytes) -> bytes:
    if asked is None:
        return FAILED
    question, like = asked
    try:
        return DONE + pack_timed(bounded_here(question, unpack_part(content, like)))
    except Exception:  # as above
        return FAILED
