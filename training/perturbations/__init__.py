"""Training perturbations, one a file."""

from .base import GaussianNoise, Perturber, PGDTraining, SingleStep, evaluation_mode

__all__ = ["GaussianNoise", "PGDTraining", "Perturber", "SingleStep", "evaluation_mode"]
