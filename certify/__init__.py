"""Threat models, attacks, bounds and verifiers."""

if __name__ == "certify":
    raise ImportError("import spikecert.certify, not certify: by another name each class would be there twice")

from .attacks import APGD, FGSM, PGD, Attack, AttackResult, Ensemble, Gaussian, SpikeFlips, Square, attack
from .bounds.propagation import LogitBounds
from .engines import Fleet
from .network_sets.stuck import StuckNeurons
from .network_sets.tolerance import Tolerance
from .pairs.equivalence import Equivalence, equivalent
from .pairs.exact_twin import exact_twin
from .perturbations import L2, EventChange, EventRegion, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from .questions import Form, Property, abstains, inputs, moves_at_most, output, robust, sample, targeted, top_k
from .radii import Radius, certified_radius
from .ranges import OutputRange, output_range
from .smoothing import SmoothedVerdict, rate_certificate, rate_radius, smooth
from .verdicts import SoundnessError, Unfinished, Verdict, reconcile
from .verification import verify

__all__ = [
    "APGD",
    "FGSM",
    "L2",
    "PGD",
    "Attack",
    "AttackResult",
    "Ensemble",
    "Equivalence",
    "EventChange",
    "EventRegion",
    "Fleet",
    "Form",
    "Gaussian",
    "LInf",
    "LogitBounds",
    "OutputRange",
    "Perturbation",
    "PixelBox",
    "Property",
    "Radius",
    "SmoothedVerdict",
    "SoundnessError",
    "SpikeFlip",
    "SpikeFlips",
    "SpikeShift",
    "Square",
    "StuckNeurons",
    "Tolerance",
    "Unfinished",
    "Verdict",
    "abstains",
    "attack",
    "certified_radius",
    "equivalent",
    "exact_twin",
    "inputs",
    "moves_at_most",
    "output",
    "output_range",
    "rate_certificate",
    "rate_radius",
    "reconcile",
    "robust",
    "sample",
    "smooth",
    "targeted",
    "top_k",
    "verify",
]
