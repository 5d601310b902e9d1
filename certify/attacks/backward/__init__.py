"""Gradients of spikes for attacks: what stands in the backward pass where a spike has no derivative."""

from .adaptive import AdaptiveArctan
from .base import Backward
from .potentials import PotentialDependent
from .rates import RateGradient
from .sharpness import AdaptiveSharpness
from .views import AttackView, attack_view

__all__ = [
    "AdaptiveArctan",
    "AdaptiveSharpness",
    "AttackView",
    "Backward",
    "PotentialDependent",
    "RateGradient",
    "attack_view",
]
