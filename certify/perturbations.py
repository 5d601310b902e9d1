"""Threat models: the sets of inputs around a sample that an adversary may choose from."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from .bounds.box import Box


@dataclass(frozen=True)
class Perturbation(ABC):
    """All inputs within `epsilon` of a sample, in some norm, that also lie in [lower, upper].

    Args:
        epsilon: the radius, ≥ 0.
        lower, upper: the range of valid inputs.

    Raises:
        ValueError: for ε < 0, NaN or inf, or lower > upper.
    """

    epsilon: float
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ValueError(f"epsilon: got {self.epsilon!r}, expected a finite number of at least 0")
        if not self.lower <= self.upper:
            raise ValueError(f"lower, upper: got {self.lower!r}, {self.upper!r}, expected lower ≤ upper")

    @property
    @abstractmethod
    def norm(self) -> str:
        """Return the name of the norm: "linf" or "l2"."""

    @abstractmethod
    def enclosure(self, inputs: Tensor) -> Box:
        """Return a float64 set that holds every allowed input: what a verifier starts from."""

    @abstractmethod
    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return allowed inputs near `candidates`, in the dtype of `inputs`: what an attack may return."""

    @abstractmethod
    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return, per sample, whether the candidate is allowed, (batch,) of bool."""

    @abstractmethod
    def ascent(self, gradient: Tensor) -> Tensor:
        """Return the direction of steepest ascent of length 1 in the norm, with the shape of `gradient`."""

    @abstractmethod
    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return one random allowed input per sample."""

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` lie in [lower, upper]."""
        low, high = float(inputs.min()), float(inputs.max())
        if low < self.lower or high > self.upper:
            got = f"values from {low:g} to {high:g}"
            raise ValueError(f"inputs: got {got}, expected within [{self.lower:g}, {self.upper:g}]")

    def _outward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return float64 ends of the box inputs ± ε within [lower, upper], rounded outward."""
        exact = inputs.double()
        if self.epsilon == 0:
            return exact, exact
        low = torch.nextafter(exact - self.epsilon, exact.new_tensor(-math.inf))
        high = torch.nextafter(exact + self.epsilon, exact.new_tensor(math.inf))
        return low.clamp_min(self.lower), high.clamp_max(self.upper)

    def limits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the box inputs ± ε within [lower, upper], rounded inward to inputs' dtype."""
        if self.epsilon == 0:
            return inputs, inputs
        exact = inputs.double()
        low = torch.nextafter(exact - self.epsilon, exact.new_tensor(math.inf)).clamp_min(self.lower)
        high = torch.nextafter(exact + self.epsilon, exact.new_tensor(-math.inf)).clamp_max(self.upper)
        return torch.minimum(_round_up(low, inputs), inputs), torch.maximum(-_round_up(-high, inputs), inputs)


def _round_up(exact: Tensor, like: Tensor) -> Tensor:
    rounded = exact.to(like.dtype)
    above = torch.nextafter(rounded, rounded.new_tensor(math.inf))
    return torch.where(rounded.double() < exact, above, rounded)


@dataclass(frozen=True)
class LInf(Perturbation):
    """{x̃ : ‖x̃ − x‖∞ ≤ ε, lower ≤ x̃ ≤ upper}.

    >>> LInf(8 / 255).norm
    'linf'
    """

    @property
    def norm(self) -> str:
        """Return "linf"."""
        return "linf"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the box inputs ± ε, within [lower, upper]."""
        return Box(*self._outward(inputs))

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Clip each coordinate."""
        return torch.clamp(candidates, *self.limits(inputs))

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Compare each coordinate with the limits."""
        low, high = self.limits(inputs)
        return ((candidates >= low) & (candidates <= high)).flatten(1).all(1)

    def ascent(self, gradient: Tensor) -> Tensor:
        """Return the sign."""
        return gradient.sign()

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each coordinate uniformly between its limits."""
        low, high = self.limits(inputs)
        return low + (high - low) * _rand(inputs, generator)


@dataclass(frozen=True)
class L2(Perturbation):
    """{x̃ : ‖x̃ − x‖₂ ≤ ε, lower ≤ x̃ ≤ upper}; the norm is over all of a sample's features (and steps)."""

    @property
    def norm(self) -> str:
        """Return "l2"."""
        return "l2"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the ball, together with the box that holds it."""
        return Box(
            *self._outward(inputs),
            center=inputs.double(),
            ball=torch.tensor(self.epsilon, dtype=torch.float64, device=inputs.device),
        )

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Scale onto the ball, then clip to [lower, upper], which only brings a point nearer to `inputs`.

        The scaling aims a relative 1e-6 (float32) inside the ball, so that rounding can't leave it.
        """
        slack = 1.0 - 16 * torch.finfo(inputs.dtype).eps
        step = candidates - inputs
        length = _norms(step)
        step = step * torch.where(length > self.epsilon * slack, self.epsilon * slack / length, 1.0)
        moved = (inputs + step).clamp(self.lower, self.upper)
        inside = self.contains(moved, inputs)
        return torch.where(_expand(inside, moved), moved, inputs)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Compare the distance, in float64, with ε, and each coordinate with [lower, upper]."""
        near = _norms(candidates.double() - inputs.double()).flatten() <= self.epsilon
        valid = (candidates >= self.lower) & (candidates <= self.upper)
        return near & valid.flatten(1).all(1)

    def ascent(self, gradient: Tensor) -> Tensor:
        """Return the gradient, normalised."""
        return gradient / _norms(gradient).clamp_min(torch.finfo(gradient.dtype).tiny)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a uniform direction and a length of ε·r^(1/n), r uniform: uniform in the ball before clipping."""
        noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype, device=generator.device)
        direction = self.ascent(noise.to(inputs.device))
        share = torch.rand(len(inputs), generator=generator, device=generator.device).to(inputs)
        length = self.epsilon * share ** (1.0 / inputs[0].numel())
        return self.project(inputs + _expand(length, inputs) * direction, inputs)


def _norms(step: Tensor) -> Tensor:
    return _expand(step.flatten(1).norm(dim=1), step)


def _expand(per_sample: Tensor, like: Tensor) -> Tensor:
    return per_sample.reshape(-1, *([1] * (like.dim() - 1)))


def _rand(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)
