"""What a run writes down for people: history.csv, history.svg, and scalars where TensorBoard is installed."""

import csv
import importlib.util
import io
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from ..files import FileKind, write_atomically
from .history import EpochMetrics
from .picture import picture

HISTORY = "history.csv"
PICTURE = "history.svg"
TOLD = FileKind("folder", "the history of a run", most=2**24)
TENSORBOARD = "tensorboard"
"""The folder that `tensorboard --logdir` is given."""


class Journal:
    """A context that keeps the files of `folder` in step with a run's history.

    Args:
        folder: of the run; None writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._board: Any = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, history: tuple[EpochMetrics, ...]) -> None:
        """Write the history whose last epoch is new."""
        if self._folder is None:
            return
        write_atomically(self._folder / HISTORY, as_csv(history).encode())
        write_atomically(self._folder / PICTURE, picture(history).encode())
        if self._board is None and importlib.util.find_spec("tensorboard") is not None:
            self._board = _board(self._folder / TENSORBOARD, history[-1].epoch)
        if self._board is not None:
            for name, value in _figures(history[-1]):
                self._board.add_scalar(name, value, history[-1].epoch)
            self._board.flush()


def as_csv(history: Iterable[EpochMetrics]) -> str:
    """Return the history as CSV, one line an epoch; what an epoch does not have is left empty.

    >>> print(as_csv([EpochMetrics(1, 0.5, {"clean": 0.4}, 0.9, None, 0.1, 2.0)]).splitlines()[1])
    1,0.5,0.4,0.9,,0.1,2.0
    """
    told = list(history)
    rows = [{"epoch": metrics.epoch, **dict(_figures(metrics))} for metrics in told]
    terms = dict.fromkeys(name for row in rows for name in row if name.startswith("terms/"))
    measured = dict.fromkeys(name for metrics in told for name in metrics.measured)
    heads = ("epoch", "loss", *terms, *measured, "learning_rate", "seconds")
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _figures(metrics: EpochMetrics) -> list[tuple[str, float]]:
    """Return the numbers of an epoch under the names that CSV and TensorBoard know them by."""
    rest = {"learning_rate": metrics.learning_rate, "seconds": metrics.seconds}
    own = ({"loss": metrics.loss} | metrics.measured | rest).items()
    terms = [(f"terms/{name}", value) for name, value in metrics.terms.items()]
    return [(name, value) for name, value in (*own, *terms) if value is not None]


def _board(folder: Path, first: int) -> Any:
    """Return a writer; what other files of the folder say of `first` and later epochs no longer counts."""
    from torch.utils.tensorboard import SummaryWriter  # imported here: it is an optional package's

    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
        time.sleep(0.05)  # files are read by the second in their names: two of one second would be in no order
    return SummaryWriter(str(folder), purge_step=first)


def epochs_of(folder: Path) -> int:
    """Return how many epochs the history in a run's folder tells."""
    path = folder / HISTORY
    return max(0, TOLD.text(path).count("\n") - 1) if path.exists() else 0
