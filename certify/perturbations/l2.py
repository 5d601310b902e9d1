"""The ℓ2 ball."""

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ..bounds.signals.box import Box
from .balls import Ball
from .shapes import expand, lengths, normal, unit

UNIT = 2.0**-53
"""The unit roundoff of float64."""


@dataclass(frozen=True)
class L2(Ball):
    """{x̃ : ‖x̃ − x‖₂ ≤ ε, lower ≤ x̃ ≤ upper}; the norm is over all of a sample's features (and steps).

    >>> L2(0.5).norm
    'l2'
    """

    @property
    def norm(self) -> str:
        """Return "l2"."""
        return "l2"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the ball, together with the box that holds it."""
        ball = torch.tensor(self.extent, dtype=torch.float64, device=inputs.device)
        return Box(*self._outward(inputs), center=inputs.double(), ball=ball)

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Scale onto the ball, round each feature toward `inputs`, then clip to [lower, upper].

        The last two only bring a point nearer to `inputs`; the scaling, in float64, aims so little inside the
        ball that its own rounding can't leave it. What fails `contains` all the same becomes the sample itself.
        """
        step = candidates.double() - inputs.double()
        length = lengths(step)
        inside = self.extent * (1.0 - 4.0 * (inputs.shape[1:].numel() + 8) * UNIT)
        moved = self.clipped(_toward(inputs, step * torch.where(length > inside, inside / length, 1.0)))
        return torch.where(expand(self.contains(moved, inputs), moved), moved, inputs)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Compare the distance with ε, in rational numbers where float64 can't tell."""
        distance = lengths(candidates.double() - inputs.double()).flatten()
        error = distance * 2.0 * (inputs.shape[1:].numel() + 8) * UNIT + inputs.shape[1:].numel() * 1e-160
        near = distance + error <= self.extent
        unclear = ~near & ~((distance - error > self.extent) & distance.isfinite()) & ~distance.isnan()
        for index in unclear.nonzero().flatten().tolist():
            near[index] = _within(candidates[index], inputs[index], self.extent)
        return near & self._valid(candidates)

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the Euclidean length, rounded up, from a sum of squares in rational numbers."""
        lengths = [_root_up(_squared(*pair)) for pair in zip(candidates, inputs, strict=True)]
        return torch.tensor(lengths, dtype=torch.float64, device=inputs.device)

    def ascent(self, gradient: Tensor) -> Tensor:
        """Return the gradient, normalised."""
        return unit(gradient)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a uniform direction and a length of ε·r^(1/n), r uniform: uniform in the ball before clipping."""
        direction = unit(normal(inputs, generator))
        share = torch.rand(len(inputs), generator=generator, device=generator.device).to(inputs)
        length = self.extent * share ** (1.0 / inputs.shape[1:].numel())
        return self.project(inputs + expand(length, inputs) * direction, inputs)


def _toward(inputs: Tensor, step: Tensor) -> Tensor:
    """Return inputs + step in inputs' dtype, rounded toward `inputs`."""
    moved = (inputs.double() + step).to(inputs.dtype)
    beyond = (moved.double() - inputs.double()).abs() > step.abs()
    return torch.where(beyond, torch.nextafter(moved, inputs), moved)


def _within(candidate: Tensor, sample: Tensor, epsilon: float) -> bool:
    """Return whether ‖candidate − sample‖₂ ≤ ε, in rational arithmetic."""
    if not bool(torch.isfinite(candidate).all()):
        return False
    return _squared(candidate, sample) <= Fraction(epsilon) ** 2


def _squared(candidate: Tensor, sample: Tensor) -> Fraction:
    """Return ‖candidate − sample‖₂², exactly."""
    pairs = zip(candidate.flatten().tolist(), sample.flatten().tolist(), strict=True)
    return sum(((Fraction(one) - Fraction(other)) ** 2 for one, other in pairs), Fraction())


def _root_up(square: Fraction) -> float:
    """Return the least float64 whose square is at least `square`."""
    root = math.nextafter(math.sqrt(square), 0.0)
    while Fraction(root) ** 2 < square:
        root = math.nextafter(root, math.inf)
    return root
