"""What a run tells: callbacks, history.csv, history.svg, and scalars where TensorBoard is installed.

A run as a picture: loss, accuracies or errors, and ε over epochs, as SVG that any browser shows.

What a training run leaves behind: metrics of each epoch, and the network that validation picked.
"""

import csv
import importlib.util
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..files import FileKind, write_atomically
from ..models.networks import SpikingNetwork


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch. Loss and terms are means over training batches, all else is of the validation split.

    Attributes:
        epoch: from 1.
        loss: the objective's total.
        terms: the objective's named terms, without their weights; of each the mean over the batches that had it.
        clean_accuracy: in [0, 1]; None where targets are real.
        robust_accuracy: as the objective measures it, or None: under the training perturbation (an upper bound
            of the true one), or certified (a lower bound).
        learning_rate: of the epoch's last step.
        seconds: wall time of training and validation.
        rmse: for real targets the root of the mean squared error, in their units.
        certified_rmse: the same at most, each output at its worst over the objective's ball; or None.
        certified_share: of samples that are proven to move by at most the objective's δ; or None.
    """

    epoch: int
    loss: float
    terms: Mapping[str, float]
    clean_accuracy: float | None
    robust_accuracy: float | None
    learning_rate: float
    seconds: float
    rmse: float | None = None
    certified_rmse: float | None = None
    certified_share: float | None = None

    @property
    def measured(self) -> dict[str, float | None]:
        """Return what was measured on the validation split, by name."""
        if self.rmse is None:
            return {"clean_accuracy": self.clean_accuracy, "robust_accuracy": self.robust_accuracy}
        names = ("rmse", "certified_rmse", "certified_share")
        return {name: getattr(self, name) for name in names}

    @property
    def score(self) -> tuple[float, float]:
        """Return what the model is picked by, the greater the better: what is robust if that is known, then clean.

        Errors count by their negatives.
        """
        if self.rmse is not None:
            worst = self.rmse if self.certified_rmse is None else self.certified_rmse
            return (-worst, -self.rmse)
        clean = 0.0 if self.clean_accuracy is None else self.clean_accuracy
        return (clean if self.robust_accuracy is None else self.robust_accuracy, clean)


@dataclass(frozen=True)
class TrainingRun:
    """The result of `fit`.

    Attributes:
        network: in evaluation mode, with the weights of `best_epoch`.
        history: the metrics of every epoch, also of those before a resume.
        seconds: wall time in all, also before a resume.
        best_epoch: the epoch, from 1, that the validation split picked (the first of equals).
        last: the network of the last epoch, in evaluation mode; `network` itself where that epoch was picked.
    """

    network: SpikingNetwork
    history: tuple[EpochMetrics, ...]
    seconds: float
    best_epoch: int
    last: SpikingNetwork

    @property
    def best(self) -> EpochMetrics:
        """Return the metrics of the picked epoch."""
        return self.history[self.best_epoch - 1]


def best_epoch(history: tuple[EpochMetrics, ...]) -> int:
    """Return the epoch with the greatest score, the first of equals; of nothing proven only if none has more."""
    proven = any(metrics.certified_rmse is not None for metrics in history)
    return max(history, key=lambda one: (not proven or one.certified_rmse is not None, *one.score)).epoch


WIDTH, HEIGHT = 720, 250
PANELS = ((56, 326), (410, 690))
"""The left and right ends of both panels."""
TOP, BOTTOM = 34, 204
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Colours that colour-blind readers tell apart; lines differ in their dashes, too."""


@dataclass(frozen=True)
class Curve:
    """One line of the picture: a value for each epoch, or None, and what stands for the panel's upper end."""

    name: str
    values: tuple[float | None, ...]
    top: float
    panel: int
    colour: str
    dashes: str = ""


def picture(history: Sequence[EpochMetrics]) -> str:
    """Return the SVG: on the left the loss, on the right clean and robust accuracy and, where it is told, ε."""
    curves = _curves(history)
    real = history[-1].rmse is not None
    ends = ("validation, RMSE", f"{curves[1].top:.3g}") if real else ("validation, %", "100")
    parts = [*_panel(0, "loss", f"{curves[0].top:.3g}"), *_panel(1, *ends)]
    parts += [_drawn(curve) for curve in curves]
    parts += [
        _text(PANELS[1][0] + 90 * place, 20, curve.name, curve.colour) for place, curve in enumerate(curves[1:])
    ]
    parts.append(_text(PANELS[0][0], HEIGHT - 8, f"epochs 1 to {len(history)}", GREY))
    last = history[-1]
    clean = f"RMSE {last.rmse:.4g}" if real else f"clean {100 * (last.clean_accuracy or 0.0):.1f} %"
    told = f"loss {last.loss:.4g}, {clean} after {len(history)} epochs"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    style = 'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    return f'{head} aria-label="{escape(told)}" {style}{"".join(parts)}</svg>\n'


def _curves(history: Sequence[EpochMetrics]) -> list[Curve]:
    losses = tuple(metrics.loss for metrics in history)
    clean = tuple(metrics.clean_accuracy for metrics in history)
    robust = tuple(metrics.robust_accuracy for metrics in history)
    sizes = tuple(metrics.terms.get("epsilon") for metrics in history)
    errors = tuple(metrics.rmse for metrics in history)
    found = [Curve("loss", losses, _greatest(losses), 0, GREY)]
    if any(error is not None for error in errors):
        worst = tuple(metrics.certified_rmse for metrics in history)
        top = max(_greatest(errors), _greatest([value for value in worst if value is not None]))
        found += [Curve("RMSE", errors, top, 1, BLUE), Curve("certified", worst, top, 1, ORANGE, "7 3")]
    else:
        found += [Curve("clean", clean, 1.0, 1, BLUE), Curve("robust", robust, 1.0, 1, ORANGE, "7 3")]
    if any(sizes):
        found.append(Curve(f"ε up to {_greatest(sizes):.3g}", sizes, _greatest(sizes), 1, GREY, "2 3"))
    return found


def _greatest(values: Sequence[float | None]) -> float:
    """Return the greatest value above 0, or 1."""
    return max((value for value in values if value is not None and value > 0.0), default=1.0)


def _panel(place: int, name: str, top: str) -> list[str]:
    left, right = PANELS[place]
    frame = f'<path d="M{left} {TOP}V{BOTTOM}H{right}" fill="none" stroke="{GREY}"/>'
    ends = [_text(left - 44, TOP + 10, top, GREY), _text(left - 16, BOTTOM, "0", GREY)]
    return [frame, *ends, _text(left, BOTTOM + 18, name, "#222")]


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}">{escape(text)}</text>'


def _drawn(curve: Curve) -> str:
    """Return a line through the values that there are, and a point at each."""
    left, right = PANELS[curve.panel]
    step = (right - left) / max(1, len(curve.values) - 1)
    points = [
        (left + step * place, BOTTOM - (BOTTOM - TOP) * min(max(value / curve.top, 0.0), 1.0))
        for place, value in enumerate(curve.values)
        if value is not None
    ]
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f'fill="none" stroke="{curve.colour}" stroke-width="2" stroke-dasharray="{curve.dashes}"'
    dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{curve.colour}"/>' for x, y in points)
    return f'<polyline points="{told}" {style}/>{"".join(dots)}'


HISTORY = "history.csv"
PICTURE = "history.svg"
TOLD = FileKind("folder", "the history of a run", most=2**24)
TENSORBOARD = "tensorboard"
"""The folder that `tensorboard --logdir` is given."""


@runtime_checkable
class Callback(Protocol):
    """What `fit(callbacks=)` tells of a run, in the first process alone. An error of it ends the run.

    >>> class Losses:
    ...     def on_epoch(self, network, history):
    ...         print(history[-1].loss)
    ...
    ...     def on_end(self):
    ...         print("done")
    >>> isinstance(Losses(), Callback)
    True
    """

    def on_epoch(self, network: SpikingNetwork, history: tuple[EpochMetrics, ...]) -> None:
        """Take the network as it is after an epoch, not to be changed, and the metrics of all, the newest last."""

    def on_end(self) -> None:
        """Take note that the run is over, however it ended."""


@dataclass(frozen=True)
class HistoryFiles:
    """A callback that keeps history.csv and history.svg of `folder` in step with a run."""

    folder: Path

    def on_epoch(self, network: SpikingNetwork, history: tuple[EpochMetrics, ...]) -> None:
        """Write both files anew."""
        write_atomically(self.folder / HISTORY, as_csv(history).encode())
        write_atomically(self.folder / PICTURE, picture(history).encode())

    def on_end(self) -> None:
        """Leave the files as they are."""


class TensorBoard:
    """A callback that tells TensorBoard each epoch's figures, under `folder`.

    Raises:
        ModuleNotFoundError: at the first epoch, without tensorboard.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._board: Any = None

    def on_epoch(self, network: SpikingNetwork, history: tuple[EpochMetrics, ...]) -> None:
        """Add the newest epoch."""
        newest = history[-1]
        if self._board is None:
            self._board = _board(self._folder, newest.epoch)
        for name, value in figures_of(newest):
            self._board.add_scalar(name, value, newest.epoch)
        self._board.flush()

    def on_end(self) -> None:
        """Close the file."""
        if self._board is not None:
            self._board.close()


def of_folder(folder: Path) -> tuple[Callback, ...]:
    """Return what tells of a run in its folder: files, and TensorBoard where it is installed."""
    found = importlib.util.find_spec("tensorboard") is not None
    return (HistoryFiles(folder), *([TensorBoard(folder / TENSORBOARD)] if found else []))


def as_csv(history: Iterable[EpochMetrics]) -> str:
    """Return the history as CSV, one line an epoch; what an epoch does not have is left empty.

    >>> print(as_csv([EpochMetrics(1, 0.5, {"clean": 0.4}, 0.9, None, 0.1, 2.0)]).splitlines()[1])
    1,0.5,0.4,0.9,,0.1,2.0
    """
    told = list(history)
    rows = [{"epoch": metrics.epoch, **dict(figures_of(metrics))} for metrics in told]
    terms = dict.fromkeys(name for row in rows for name in row if name.startswith("terms/"))
    measured = dict.fromkeys(name for metrics in told for name in metrics.measured)
    heads = ("epoch", "loss", *terms, *measured, "learning_rate", "seconds")
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def figures_of(metrics: EpochMetrics) -> list[tuple[str, float]]:
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
