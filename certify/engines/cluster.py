"""Batches decided by the machines of a ray cluster."""

import logging
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ...models.constants import at_least, settle
from .work import Batch, Engine, decide

ROUNDS = 4
"""Batches in flight for each processor of the cluster, where no number of workers is given."""


@dataclass(frozen=True)
class Ray(Engine):
    """Tasks of a ray cluster, each on one processor. The job travels once to each machine.

    Where there are more workers than batches, a task has several processors of its machine to share its search.

    Args:
        address: of the cluster, such as "auto" (from one of its machines), "ray://head:10001" or "10.0.0.1:6379";
            None for a connection that this process has already, or else processors of this machine.
        retries: how often a batch is decided again when its machine or process is lost.
    """

    address: str | None = None
    retries: int = 3
    name: str = "ray"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "retries")

    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        """Yield each batch's packed verdicts as they are finished."""
        ray = _imported()
        with _connected(ray, self.address):
            yield from self._run(ray, job, batches, workers)

    def _run(self, ray: Any, job: bytes, batches: Sequence[Batch], workers: int | None) -> Iterator[bytes]:
        task = ray.remote(num_cpus=1, max_retries=self.retries)(decide)
        shared = ray.put(job)
        most = workers or ROUNDS * max(1, int(ray.cluster_resources().get("CPU", 1)))
        machines = [node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"]]
        wanted = (workers or most // ROUNDS) // max(1, len(batches))
        share = max(1, min(wanted, int(max(machines, default=1))))
        task = task.options(num_cpus=share)
        waiting, flying = list(reversed(batches)), []
        try:
            while waiting or flying:
                while waiting and len(flying) < most:
                    flying.append(task.remote(shared, waiting.pop().pack(), share))
                ready, flying = ray.wait(flying)
                yield from (_content(ray, reference) for reference in ready)
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connect to a cluster for a while; leave a connection alone that is there already.

    Raises:
        ConnectionError: if there is no cluster at `address`, or it refuses this process.
    """
    if ray.is_initialized():
        yield
        return
    try:
        with _same_sigterm():
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if address is None else None,
            )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConnectionError(f"address: no ray cluster answers at {address!r}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Keep who handles SIGTERM: where ray starts a cluster, it takes that over and exits with status 1."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _content(ray: Any, reference: Any) -> bytes:
    """Return what a task returned, or raise what it raised.

    Raises:
        ChildProcessError: if its machine or process was lost once too often.
    """
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise ChildProcessError(f"engine: ray lost a batch for good: {reason}") from error


def _imported() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ImportError('engine: "ray" needs a package: pip install ray') from error
    return ray
