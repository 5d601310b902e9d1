"""What an engine does: have batches decided elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence

from .work import Batch


class Engine(ABC):
    """Has batches decided by `work.decide` in other processes; which engine it is changes no result."""

    name: str

    @abstractmethod
    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        """Yield each batch's packed verdicts, each exactly once, as they are finished: `certify_set` compares.

        A batch whose process or machine was lost is decided again.

        Args:
            job: a packed `Job`.
            batches: what to decide.
            workers: how many batches at once; None for what there is.

        Raises:
            ChildProcessError: if a batch can't be decided because whoever does dies.
            Exception: what deciding a batch raises.
        """
