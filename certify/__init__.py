"""Threat models, attacks, bounds and verifiers."""

from .attacks import FGSM, PGD, Attack, AttackResult, Ensemble, Gaussian, attack
from .bounds.propagation import LogitBounds
from .perturbations import L2, LInf, Perturbation
from .verdicts import SoundnessError, Verdict, reconcile
from .verify import bounds, verify

__all__ = [
    "FGSM",
    "L2",
    "PGD",
    "Attack",
    "AttackResult",
    "Ensemble",
    "Gaussian",
    "LInf",
    "LogitBounds",
    "Perturbation",
    "SoundnessError",
    "Verdict",
    "attack",
    "bounds",
    "reconcile",
    "verify",
]
