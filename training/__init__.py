"""Data sets, objectives, training perturbations and the training loop."""

from .data import Dataset, Split, dataset, digit_events
from .history import EpochMetrics, TrainingRun
from .loop import fit
from .objectives import MSMPPD, CertifiedLoss, CrossEntropy, Loss, Objective
from .perturbations import GaussianNoise, Perturbation, SingleStep

__all__ = [
    "MSMPPD",
    "CertifiedLoss",
    "CrossEntropy",
    "Dataset",
    "EpochMetrics",
    "GaussianNoise",
    "Loss",
    "Objective",
    "Perturbation",
    "SingleStep",
    "Split",
    "TrainingRun",
    "dataset",
    "digit_events",
    "fit",
]
