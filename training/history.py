"""What a training run leaves behind: metrics of each epoch, and the network that validation picked."""

from collections.abc import Mapping
from dataclasses import dataclass

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
