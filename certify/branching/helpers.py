"""A search by several processes of this machine: they bound its nodes, this one keeps the frontier."""

import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType

from ... import processes
from ...kernels.loading import inheritance
from .crew import Crew, Portion, Timed, bounded_here
from .helper import ASKED, DONE, GIVEN, READY
from .nodes import Nodes
from .question import MarginQuestion
from .sharing import pack_part, pack_question, shareable, unpack_timed

AFTER = 2.0
"""Seconds of search after which processes are started: an easy sample is decided before one is there."""
AHEAD = 2
"""Parts that a process has at most: one under work, and the next."""
MOST_DEATHS = 3
"""So many processes are replaced; then those that are left do the work, and in the end this one does."""


@dataclass(eq=False)
class _Given:
    """A part, and what came of it, once something did."""

    part: Portion
    timed: Timed | None = None
    to: "_Helper | None" = None


@dataclass(eq=False)
class _Helper:
    """A process, this end of its pipe, whether it is there, and what it was given and has not answered."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    ready: bool = False
    parts: deque[_Given] = field(default_factory=deque)

    def send(self, message: bytes) -> None:
        """Say something; a process that is dead shows when its answer is waited for."""
        try:
            self.connection.send_bytes(message)
        except OSError:
            return

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


class Helpers(Crew):
    """Processes of one torch thread each. What one that dies was given goes to others, or is bounded here.

    Args:
        count: says how many processes may work now; below 2 this one works alone.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count, self._helpers, self._deaths = count, list[_Helper](), 0
        self._given, self._message = deque[_Given](), None

    def __enter__(self) -> "Helpers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for helper in self._helpers:
            helper.stop()
        self._helpers.clear()

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return how many processes may work."""
        return max(1, self._count())

    def ask(self, question: MarginQuestion) -> None:
        """Take up a question. A process that still has parts of another one ends: nobody waits for these."""
        for helper in [helper for helper in self._helpers if helper.parts]:
            self._helpers.remove(helper)
            helper.stop()
        self._question, self._begun, self._given = question, time.perf_counter(), deque()
        like = question.roots()
        assert like is not None
        self._like: Nodes = like
        self._message = ASKED + pack_question(question) if self.size > 1 and shareable(question) else None
        for helper in self._helpers:
            self._tell(helper)

    @property
    def room(self) -> bool:
        """Return whether a process has less than `AHEAD` parts; without processes, whether nothing is given."""
        self._staff()
        self._listen(0.0)
        free = any(helper.ready and len(helper.parts) < AHEAD for helper in self._helpers)
        return free or not self._given

    def give(self, part: Portion) -> None:
        """Give a part to the process that has least to do; keep it where none is there."""
        given = _Given(part)
        self._given.append(given)
        self._hand(given)

    def next(self, deadline: float | None) -> Timed | None:
        """Return the oldest part once it is bounded, if need be here; None if the deadline comes first."""
        oldest = self._given[0]
        while oldest.timed is None and oldest.to is not None:
            left = None if deadline is None else deadline - time.perf_counter()
            if left is not None and left <= 0:
                return None
            self._listen(left)
        self._given.popleft()
        return bounded_here(self._question, oldest.part) if oldest.timed is None else oldest.timed

    def _staff(self) -> None:
        """Start the processes that are missing, once the search has taken a while."""
        late = time.perf_counter() - self._begun > AFTER
        wanted = self._count() if late and self._message is not None and self._deaths < MOST_DEATHS else 0
        for _ in range(wanted - len(self._helpers) if wanted > 1 else 0):
            here, there = Pipe()
            process = processes.start("spikecert.certify.branching.helper", there, *inheritance())
            self._helpers.append(_Helper(process, here))

    def _tell(self, helper: _Helper) -> None:
        if helper.ready and self._message is not None:
            helper.send(self._message)

    def _hand(self, given: _Given) -> None:
        """Give a part to a process, if one is there."""
        free = [helper for helper in self._helpers if helper.ready and len(helper.parts) < AHEAD]
        if self._message is None or not free:
            return
        helper = min(free, key=lambda helper: len(helper.parts))
        given.to = helper
        helper.parts.append(given)
        helper.send(GIVEN + pack_part(given.part))

    def _listen(self, seconds: float | None) -> None:
        """Wait for so long, or until a process says something, and take it."""
        said = wait([helper.connection for helper in self._helpers], seconds) if self._helpers else []
        for helper in [helper for helper in self._helpers if helper.connection in said]:
            try:
                self._heard(helper, helper.connection.recv_bytes())
            except (EOFError, OSError):
                self._bury(helper)

    def _heard(self, helper: _Helper, message: bytes) -> None:
        if message == READY:
            helper.ready = True
            self._tell(helper)
            return
        given = helper.parts.popleft()
        given.to = None  # what failed there is bounded here, and says why
        if message[:1] == DONE:
            given.timed = unpack_timed(message[1:], self._like)

    def _bury(self, helper: _Helper) -> None:
        """Give to others what a dead process had."""
        self._helpers.remove(helper)
        self._deaths += 1
        helper.stop()
        for given in helper.parts:
            given.to = None
            self._hand(given)
