"""Several training runs that differ in their seed alone: which, and their mean and spread."""

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikecert.training import TrainingRun

FIGURES = ("clean_accuracy", "robust_accuracy", "rmse", "certified_rmse", "certified_share", "seconds")


def chosen_seeds(text: str | None, seed: int) -> tuple[int, ...]:
    """Return the seeds that "0,1,2" names, each once; the one `seed` for None.

    Raises:
        ValueError: for a text that is no list of whole numbers from 0 on.

    >>> chosen_seeds("0,2,1,2", 7), chosen_seeds(None, 7)
    ((0, 2, 1), (7,))
    """
    if text is None:
        return (seed,)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"seeds: got {text!r}, expected whole numbers from 0 on, such as 0,1,2")
    return tuple(dict.fromkeys(map(int, parts)))


@dataclass(frozen=True)
class Summary:
    """What the runs of several seeds found.

    Attributes:
        runs: from seed to network, picked epoch and its accuracies on the validation split.
        mean: over the seeds, of each figure that every run has.
        spread: the sample standard deviation over the seeds; None for one seed.
    """

    runs: Mapping[int, Mapping[str, Any]]
    mean: Mapping[str, float]
    spread: Mapping[str, float | None]

    def content(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


def summary(runs: Mapping[int, "TrainingRun"], path: Callable[[int], Path]) -> Summary:
    """Return mean and spread of several runs; `path` says where each seed's network is."""
    rows = {seed: {**content(run, path(seed)), **_picked(run)} for seed, run in runs.items()}
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows.values()] for name in FIGURES}
    whole = {name: values for name, values in columns.items() if None not in values}
    spread = {name: statistics.stdev(v) if len(v) > 1 else None for name, v in whole.items()}
    return Summary(rows, {name: statistics.fmean(values) for name, values in whole.items()}, spread)


def _picked(run: "TrainingRun") -> dict[str, float | None]:
    return run.best.measured


def write_summary(means: Summary, folder: Path) -> None:
    """Write seeds.json."""
    from spikecert.files import write_atomically

    write_atomically(folder / "seeds.json", json.dumps(means.content(), indent=1, allow_nan=False).encode())


def content(run: "TrainingRun", path: Path) -> dict[str, Any]:
    """Return one run as JSON-ready data."""
    from spikecert.models import network_hash

    history = [{"epoch": epoch.epoch, "loss": epoch.loss, **epoch.measured} for epoch in run.history]
    return {
        "network": str(path),
        "sha256": network_hash(run.network),
        "best_epoch": run.best_epoch,
        "seconds": run.seconds,
        "history": history,
    }


HEADS = {
    "clean_accuracy": "clean",
    "robust_accuracy": "robust",
    "rmse": "RMSE",
    "certified_rmse": "RMSE, certified",
    "certified_share": "moves at most δ",
}
"""What tables call the figures of an epoch."""


def shown(name: str, value: float | None) -> str:
    """Return a figure as text: errors in their units, all others as shares of 100."""
    return f"{value:.4g}" if value is not None and name.endswith("rmse") else percent(value)


def percent(share: float | None) -> str:
    """Return a share as per cent, a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"
