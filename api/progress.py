"""Progress on standard error: bars, or where that is no terminal a plain line now and then."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .telling import plain, say

FORMS: dict[str, Callable[[float], str]] = {
    "loss": lambda value: f"{value:.4f}",
    "rmse": lambda value: f"{value:.4g}",
    "certified_rmse": lambda value: f"{value:.4g}",
    "bound": lambda value: f"{value:.4g}",
    "epsilon": lambda value: f"{value:.4g}",
    "asked": lambda value: f"{value:.0f} samples",
    "nodes": lambda value: f"{value:,.0f}",
    "open": lambda value: f"{value:,.0f}",
    "depth": lambda value: f"{value:.0f}",
    "memory": lambda value: f"{value / 2**20:,.0f} MiB",
    "left": lambda value: f"{value:.0f} s",
}
"""How figures that are no shares are written."""

SECONDS_APART = 30.0
"""Between two plain lines; what ends sooner writes none."""


class Bars:
    """A context in which `bars(label, done, total)` draws one bar for each label.

    `bars.figures(label, values)` writes the newest figures behind the bar and what is left of its time. Where
    standard error is no terminal, such as a log of a batch system, a plain line each `SECONDS_APART` says it.

    >>> with Bars() as bars:
    ...     bars("train", 1, 2)
    ...     bars.figures("train", {"loss": 0.5, "clean": 0.97})
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._lines = _PlainLines(console.is_terminal)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Draw the bar of `label` at `done` of `total` steps."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(plain(label), total=total, completed=done, figures="")
        self._progress.update(self._tasks[label], completed=done, total=total)
        self._lines.counted(label, done, total)

    def figures(self, label: str, values: Mapping[str, float]) -> None:
        """Write the newest figures of `label` behind its bar, which pulses until it has steps: see `in_words`."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(plain(label), total=None, figures="")
        self._progress.update(self._tasks[label], figures=plain(in_words(values)))
        self._lines.figured(label, values)


class _PlainLines:
    """Plain lines that tell of the newest step, none where bars do."""

    def __init__(self, silent: bool) -> None:
        self._silent, self._last = silent, time.monotonic()
        self._steps: dict[str, str] = {}

    def counted(self, label: str, done: int, total: int) -> None:
        """Note the steps of `label`."""
        self._steps[label] = f"{100 * done // max(total, 1)} %"
        self._told(label, {})

    def figured(self, label: str, values: Mapping[str, float]) -> None:
        """Note the figures of `label`."""
        self._told(label, values)

    def _told(self, label: str, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if self._silent or now - self._last < SECONDS_APART:
            return
        self._last = now
        parts = (self._steps.get(label, ""), in_words(values))
        say(f"{plain(label)}: {', '.join(filter(None, parts))}")


def in_words(values: Mapping[str, float]) -> str:
    """Return figures as text: those of `FORMS` as they are, others, such as accuracies, as shares of 100.

    >>> in_words({"loss": 0.51234, "clean": 0.975})
    'loss 0.5123, clean 97.5 %'
    >>> in_words({"bound": -0.25, "nodes": 1200.0, "memory": 2.0**28})
    'bound -0.25, nodes 1,200, memory 256 MiB'
    """
    return ", ".join(
        f"{name} {FORMS[name](value)}" if name in FORMS else f"{name} {100 * value:.1f} %"
        for name, value in values.items()
    )
