"""Training perturbations, one a file."""

from .base import Perturber, evaluation_mode
from .gaussian import GaussianNoise
from .pgd import PGDTraining
from .single_step import SingleStep

__all__ = ["GaussianNoise", "PGDTraining", "Perturber", "SingleStep", "evaluation_mode"]
