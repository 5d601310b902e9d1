"""Batches decided by processes of this machine.

A process of this machine that decides batches, and what it and its parent say to each other.
"""

import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from ... import processes
from ..verdicts import SoundnessError
from .work import Batch, Engine, decide

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


@dataclass(frozen=True)
class Local(Engine):
    """Processes of one torch thread each, which end when this one does, killed or not.

    Where there are more workers than batches left, those that decide one start others that share its search.

    If one dies (killed, out of memory) its batch goes to a new one; if that dies too, `run` gives up. On Linux
    they also end with the thread that started them, so let one thread take all batches.
    """

    name: str = "local"

    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        """Yield each batch's packed verdicts as they are finished."""
        count = workers or os.cpu_count() or 1
        pool = _WorkerPool(job, deque(batches), count)
        try:
            pool.start(min(count, len(batches)))
            while pool.busy:
                yield from pool.finished()
        finally:
            pool.stop()


@dataclass
class _Worker:
    """A process, this end of its pipe, what it is deciding, and whether it said that it waits for the job."""

    process: subprocess.Popen[bytes]
    connection: Connection
    batch: Batch
    share: int = 1
    ready: bool = False

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


class _WorkerPool:
    """Processes, each with one batch at a time, so that it is known whose batch is lost when one dies.

    Args:
        job: a packed `Job`.
        waiting: what to decide.
        most: processes that may work, those that share a search included.
    """

    def __init__(self, job: bytes, waiting: deque[Batch], most: int) -> None:
        self.job, self.waiting, self.most = job, waiting, most
        self.busy: dict[Connection, _Worker] = {}
        self.deaths: Counter[int] = Counter()

    def start(self, count: int) -> None:
        """Start so many processes."""
        for _ in range(count):
            self._begin()

    def finished(self) -> Iterator[bytes]:
        """Wait for at least one process, and yield what was finished."""
        for ready in wait(list(self.busy)):
            assert isinstance(ready, Connection)
            worker = self.busy[ready]
            try:
                answer = ready.recv_bytes()
            except (EOFError, OSError):
                self._replace(worker)
                continue
            if answer == READY:
                _send(worker, self.job, worker.batch.pack())
                worker.ready = True
                self._spread()
                continue
            self._next(worker)
            yield content(answer)

    def stop(self) -> None:
        """End all processes."""
        for worker in self.busy.values():
            worker.stop()
        self.busy.clear()

    def _begin(self) -> None:
        """Start a process on the next batch."""
        here, there = Pipe()
        process = processes.start("spikecert.certify.engines.local", there)
        worker = _Worker(process, here, self.waiting.popleft())
        self.busy[here] = worker

    def _next(self, worker: _Worker) -> None:
        """Give a process its next batch, or let it go."""
        if not self.waiting:
            del self.busy[worker.connection]
            worker.stop()
            self._spread()
            return
        worker.batch = self.waiting.popleft()
        _send(worker, worker.batch.pack())

    def _spread(self) -> None:
        """Tell processes that decide a batch how many may share it: not those that wait for the job first."""
        share = 1 if self.waiting or not self.busy else self.most // len(self.busy)
        for worker in self.busy.values():
            if worker.ready and share != worker.share:
                worker.share = share
                _send(worker, SHARE + str(share).encode())

    def _replace(self, worker: _Worker) -> None:
        """Put a dead process's batch first in line for a new one.

        Raises:
            ChildProcessError: if it is the second death over this batch.
        """
        del self.busy[worker.connection]
        code = worker.process.wait()
        worker.stop()
        index = worker.batch.index
        self.deaths[index] += 1
        if self.deaths[index] > 1:
            raise ChildProcessError(
                f"engine: two processes died over batch {index} (the last with exit code {code})"
            )
        self.waiting.appendleft(worker.batch)
        self._begin()


def _send(worker: _Worker, *messages: bytes) -> None:
    """Hand something over; a process that is dead already shows when its answer is waited for."""
    try:
        for message in messages:
            worker.connection.send_bytes(message)
    except OSError:
        return
