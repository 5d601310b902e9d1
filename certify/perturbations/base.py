"""What every threat model answers."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..bounds.signals.box import Box
from .events.members import Members


class Perturbation(ABC):
    """The set of inputs around a sample that an adversary may choose from.

    A concrete set must keep one promise in both directions: `enclosure` holds every allowed input (rounded
    outward: what is verified holds for the whole set), and `project` and `sample` return allowed inputs only
    (rounded inward: what falsifies lies in the set, exactly). Sets are frozen and hashable.
    """

    @property
    @abstractmethod
    def norm(self) -> str:
        """Return the name of the distance: "linf", "l2", "box" (a radius per feature), "l0" (flips) or "shift"."""

    @abstractmethod
    def enclosure(self, inputs: Tensor) -> Box:
        """Return a float64 set that holds every allowed input: what a verifier starts from."""

    @abstractmethod
    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return allowed inputs near `candidates`, in the dtype of `inputs`: what an attack may return."""

    @abstractmethod
    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return, per sample, whether the candidate is allowed, (batch,) of bool; decided exactly."""

    @abstractmethod
    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return one random allowed input per sample."""

    @abstractmethod
    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are valid samples of this threat model."""

    def suits(self, network: SpikingNetwork) -> None:
        """Raise ValueError for a network whose inputs are not what this threat model is about."""
        return

    def members(self, sample: Tensor) -> Members | None:
        """Return all allowed inputs around one sample (...), or None where they can't be listed."""
        return None


def check_perturbation(perturbation: object) -> None:
    """Raise TypeError for what is no set of inputs, such as a set of networks."""
    if not isinstance(perturbation, Perturbation):
        expected = "LInf, L2, PixelBox, SpikeFlip, SpikeShift or EventChange"
        raise TypeError(f"perturbation: got {type(perturbation).__name__}, expected {expected}")
