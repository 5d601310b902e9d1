"""Objectives, one a file; they add: a + b, and take weights: w * a. A weight may be a schedule."""

from .base import Loss, Objective, Ramp, Scaled, Schedule, Sum
from .certified_moves import CertifiedEvents, CertifiedLoss, CertifiedMoves
from .gain_penalty import GainPenalty, MarginOverGain
from .ms_mppd import MSMPPD
from .plain_losses import MSE, CrossEntropy, Huber
from .s_ibp import SIBP

__all__ = [
    "MSE",
    "MSMPPD",
    "SIBP",
    "CertifiedEvents",
    "CertifiedLoss",
    "CertifiedMoves",
    "CrossEntropy",
    "GainPenalty",
    "Huber",
    "Loss",
    "MarginOverGain",
    "Objective",
    "Ramp",
    "Scaled",
    "Schedule",
    "Sum",
]
