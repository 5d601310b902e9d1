"""Threat models, attacks, bounds and verifiers."""

if __name__ == "certify":
    raise ImportError("import spikecert.certify, not certify: by another name each class would be there twice")

from .attacks import APGD, FGSM, PGD, Attack, AttackResult, Ensemble, Gaussian, SpikeFlips, Square, attack
from .bounds.propagation import LogitBounds
from .engines import Fleet, certify_set
from .perturbations import L2, EventChange, EventRegion, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from .radii.radius import Radius, certified_radius
from .smoothing import SmoothedVerdict, rate_certificate, rate_radius, smooth
from .unfinished import Unfinished
from .verdicts import SoundnessError, Verdict, reconcile
from .verification import verify

__all__ = [
    "APGD",
    "FGSM",
    "L2",
    "PGD",
    "Attack",
    "AttackResult",
    "Ensemble",
    "EventChange",
    "EventRegion",
    "Fleet",
    "Gaussian",
    "LInf",
    "LogitBounds",
    "Perturbation",
    "PixelBox",
    "Radius",
    "SmoothedVerdict",
    "SoundnessError",
    "SpikeFlip",
    "SpikeFlips",
    "SpikeShift",
    "Square",
    "Unfinished",
    "Verdict",
    "attack",
    "certified_radius",
    "certify_set",
    "rate_certificate",
    "rate_radius",
    "reconcile",
    "smooth",
    "verify",
]
