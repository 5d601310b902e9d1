"""Data sets, objectives, training perturbations and the training loop."""

if __name__ == "training":
    raise ImportError("import spikecert.training, not training: by another name each class would be there twice")

from .augmentation import Augmentation
from .data import Dataset, Split, dataset, digit_events, own_dataset
from .firing_start import start_firing
from .history import EpochMetrics, TrainingRun
from .local_fields import LocalFields
from .loop import fit
from .objectives import (
    MSMPPD,
    SIBP,
    CertifiedEvents,
    CertifiedLoss,
    CrossEntropy,
    GainPenalty,
    Loss,
    MarginOverGain,
    Objective,
    Ramp,
    Schedule,
)
from .perturbations import GaussianNoise, Perturber, PGDTraining, SingleStep
from .retraction import Retraction

__all__ = [
    "MSMPPD",
    "SIBP",
    "Augmentation",
    "CertifiedEvents",
    "CertifiedLoss",
    "CrossEntropy",
    "Dataset",
    "EpochMetrics",
    "GainPenalty",
    "GaussianNoise",
    "LocalFields",
    "Loss",
    "MarginOverGain",
    "Objective",
    "PGDTraining",
    "Perturber",
    "Ramp",
    "Retraction",
    "Schedule",
    "SingleStep",
    "Split",
    "TrainingRun",
    "dataset",
    "digit_events",
    "fit",
    "own_dataset",
    "start_firing",
]
