"""Objectives, one a file; they add: a + b, and take weights: w * a. A weight may be a schedule."""

from .base import Loss, Objective, Scaled, Sum
from .certified_events import CertifiedEvents, CertifiedLoss
from .certified_moves import CertifiedMoves
from .gain_penalty import GainPenalty
from .margin_over_gain import MarginOverGain
from .ms_mppd import MSMPPD
from .plain_losses import MSE, CrossEntropy, Huber
from .s_ibp import SIBP
from .schedules import Ramp, Schedule

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
