"""Data sets, objectives, training perturbations and the training loop."""

if __name__ == "training":
    raise ImportError("import spikecert.training, not training: by another name each class would be there twice")

from .controls import memory_controls
from .data import Dataset, Split, dataset, digit_events, own_dataset, pulses, regression_dataset
from .journal import Callback, EpochMetrics, TensorBoard, TrainingRun
from .loop import fit
from .objectives import (
    MSE,
    MSMPPD,
    SIBP,
    CertifiedEvents,
    CertifiedLoss,
    CertifiedMoves,
    CrossEntropy,
    GainPenalty,
    Huber,
    Loss,
    MarginOverGain,
    Objective,
    Ramp,
    Schedule,
)
from .perturbations import GaussianNoise, Perturber, PGDTraining, SingleStep
from .settings import Augmentation, EventAugmentation, LocalFields, Retraction, Settings
from .starts.firing_start import start_firing

__all__ = [
    "MSE",
    "MSMPPD",
    "SIBP",
    "Augmentation",
    "Callback",
    "CertifiedEvents",
    "CertifiedLoss",
    "CertifiedMoves",
    "CrossEntropy",
    "Dataset",
    "EpochMetrics",
    "EventAugmentation",
    "GainPenalty",
    "GaussianNoise",
    "Huber",
    "LocalFields",
    "Loss",
    "MarginOverGain",
    "Objective",
    "PGDTraining",
    "Perturber",
    "Ramp",
    "Retraction",
    "Schedule",
    "Settings",
    "SingleStep",
    "Split",
    "TensorBoard",
    "TrainingRun",
    "dataset",
    "digit_events",
    "fit",
    "memory_controls",
    "own_dataset",
    "pulses",
    "regression_dataset",
    "start_firing",
]
