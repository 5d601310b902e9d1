"""Batches decided by processes of this machine."""

import json
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..verdicts import SoundnessError
from .base import Engine
from .work import Batch, decide

CONTEXT = multiprocessing.get_context("spawn")
DECIDED, RAISED = b"+", b"-"
"""The first byte of an answer."""

ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (ValueError, TypeError, RuntimeError, OverflowError, MemoryError, ImportError, SoundnessError)
}
"""What a worker raises keeps its kind where that is one of these: nothing is pickled."""


@dataclass(frozen=True)
class Local(Engine):
    """Spawned processes, one torch thread each.

    If one dies (killed, out of memory) its batch goes to a new one; if that dies too, `run` gives up. As with all
    spawned processes, a script that calls this needs `if __name__ == "__main__":` around what it runs.
    """

    name: str = "local"

    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        """Yield each batch's packed verdicts as they are finished."""
        count = min(workers or os.cpu_count() or 1, len(batches))
        pool = _WorkerPool(job, deque(batches))
        try:
            pool.start(count)
            while pool.busy:
                yield from pool.finished()
        finally:
            pool.stop()


@dataclass
class _Worker:
    """A process, this end of its pipe, and what it is deciding."""

    process: BaseProcess
    connection: Connection
    batch: Batch

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class _WorkerPool:
    """Processes, each with one batch at a time, so that it is known whose batch is lost when one dies."""

    def __init__(self, job: bytes, waiting: deque[Batch]) -> None:
        self.job, self.waiting = job, waiting
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
            self._next(worker)
            yield _content(answer)

    def stop(self) -> None:
        """End all processes."""
        for worker in self.busy.values():
            worker.stop()
        self.busy.clear()

    def _begin(self) -> None:
        """Start a process on the next batch."""
        here, there = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_work, args=(there, self.job), daemon=True)
        process.start()
        there.close()  # so that `here` ends when the process does
        worker = _Worker(process, here, self.waiting.popleft())
        self.busy[here] = worker
        _send(worker)

    def _next(self, worker: _Worker) -> None:
        """Give a process its next batch, or let it go."""
        if not self.waiting:
            del self.busy[worker.connection]
            worker.stop()
            return
        worker.batch = self.waiting.popleft()
        _send(worker)

    def _replace(self, worker: _Worker) -> None:
        """Put a dead process's batch first in line for a new one.

        Raises:
            ChildProcessError: if it is the second death over this batch.
        """
        del self.busy[worker.connection]
        worker.process.join()
        code = worker.process.exitcode
        worker.stop()
        index = worker.batch.index
        self.deaths[index] += 1
        if self.deaths[index] > 1:
            raise ChildProcessError(
                f"engine: two processes died over batch {index} (the last with exit code {code})"
            )
        self.waiting.appendleft(worker.batch)
        self._begin()


def _send(worker: _Worker) -> None:
    """Hand over a batch; a process that is dead already shows when its answer is waited for."""
    try:
        worker.connection.send_bytes(worker.batch.pack())
    except OSError:
        return


def _content(answer: bytes) -> bytes:
    """Return the verdicts of an answer, or raise what it says was raised."""
    mark, content = answer[:1], answer[1:]
    if mark == DECIDED:
        return content
    name, message = json.loads(content)
    raise ERRORS[name](message)


def _work(connection: Connection, job: bytes) -> None:
    """Decide batches until the pipe ends: the body of a process. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            batch = connection.recv_bytes()
            connection.send_bytes(_answer(job, batch))
        except (EOFError, OSError):  # the parent is gone
            return


def _answer(job: bytes, batch: bytes) -> bytes:
    """Return a batch's verdicts, or the name and the message of what was raised."""
    try:
        return DECIDED + decide(job, batch)
    except Exception as error:  # it is raised again in the parent
        name = type(error).__name__
        told = [name, str(error)] if ERRORS.get(name) is type(error) else ["RuntimeError", f"{name}: {error}"]
        return RAISED + json.dumps(told).encode()
