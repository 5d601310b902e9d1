"""Batches decided by processes of this machine."""

import os
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from ... import processes
from .base import Engine
from .work import Batch
from .worker import READY, content

OF_THE_TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""What a terminal sends to every process that runs in it. Workers leave it to their parent, who ends them."""


@dataclass(frozen=True)
class Local(Engine):
    """Processes of one torch thread each, which end when this one does, killed or not.

    If one dies (killed, out of memory) its batch goes to a new one; if that dies too, `run` gives up. On Linux
    they also end with the thread that started them, so let one thread take all batches.
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

    process: subprocess.Popen[bytes]
    connection: Connection
    batch: Batch

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()
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
            if answer == READY:
                _send(worker, self.job, worker.batch.pack())
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
        worker = _Worker(_process(there), here, self.waiting.popleft())
        self.busy[here] = worker

    def _next(self, worker: _Worker) -> None:
        """Give a process its next batch, or let it go."""
        if not self.waiting:
            del self.busy[worker.connection]
            worker.stop()
            return
        worker.batch = self.waiting.popleft()
        _send(worker, worker.batch.pack())

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


def _process(there: Connection) -> subprocess.Popen[bytes]:
    """Start a worker at its end of a pipe, which is closed here, so that the other ends when the worker does."""
    command = processes.command("spikecert.certify.engines.worker", str(there.fileno()))
    with there, _blocked(OF_THE_TERMINAL):
        return subprocess.Popen(
            command, env=processes.environment(), stdin=subprocess.DEVNULL, pass_fds=(there.fileno(),)
        )


@contextmanager
def _blocked(signals: set[signal.Signals]) -> Iterator[None]:
    """Hold back signals: a process that is started meanwhile never sees them, from its first instruction on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(worker: _Worker, *messages: bytes) -> None:
    """Hand something over; a process that is dead already shows when its answer is waited for."""
    try:
        for message in messages:
            worker.connection.send_bytes(message)
    except OSError:
        return
