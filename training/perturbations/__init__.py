"""Training perturbations, one a file."""

from .base import Perturbation, evaluation_mode
from .gaussian import GaussianNoise
from .single_step import SingleStep

__all__ = ["GaussianNoise", "Perturbation", "SingleStep", "evaluation_mode"]
