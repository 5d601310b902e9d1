"""Objectives, one a file; they add: a + b."""

from .base import Loss, Objective, Sum
from .certified_loss import CertifiedLoss
from .cross_entropy import CrossEntropy
from .ms_mppd import MSMPPD

__all__ = ["MSMPPD", "CertifiedLoss", "CrossEntropy", "Loss", "Objective", "Sum"]
