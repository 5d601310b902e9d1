"""Balls around samples: ℓ∞ and ℓ2, and what sets share that bound each feature by itself.

What the sets share that bound each feature by itself.

The ℓ∞ ball.

The ℓ2 ball.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ...models.constants import nonnegative, settle
from ..bounds.signals.windows import Box
from .base import expand, lengths, normal, sum_up, uniform, unit
from .ranged import RangedSet, settle_range


class BoxSet(RangedSet):
    """A set that is the box of its `limits`."""

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the box inputs ± extent, within [lower, upper]."""
        return Box(*self._outward(inputs))

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Clip each feature."""
        return torch.clamp(candidates, *self.limits(inputs))

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Compare each feature with the limits, which are the set's own ends in this dtype."""
        low, high = self.limits(inputs)
        return ((candidates >= low) & (candidates <= high)).flatten(1).all(1)

    def ascent(self, gradient: Tensor) -> Tensor:
        """Return the sign."""
        return gradient.sign()

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each feature uniformly between its limits."""
        low, high = self.limits(inputs)
        share = uniform(inputs, generator)
        return (low * (1.0 - share) + high * share).clamp(low, high)


@dataclass(frozen=True)
class Ball(RangedSet):
    """All inputs within `epsilon` of a sample, in some norm, that also lie in [lower, upper].

    Args:
        epsilon: the radius ε ≥ 0, in the units of the inputs; one number (`PixelBox` takes one per feature).
        lower, upper: the range of valid inputs.

    Raises:
        TypeError: for anything but numbers.
        ValueError: for ε < 0, NaN, inf or numbers beyond float64, or lower > upper.
    """

    epsilon: float
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        settle(self, nonnegative, "epsilon")
        settle_range(self)

    @property
    def extent(self) -> float:
        """Return ε."""
        return self.epsilon

    @abstractmethod
    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return, per sample, the least float64 ε whose ball holds the candidate, (batch,); exactly."""


@dataclass(frozen=True)
class LInf(BoxSet, Ball):
    """{x̃ : ‖x̃ − x‖∞ ≤ ε, lower ≤ x̃ ≤ upper}.

    >>> LInf(8 / 255).norm
    'linf'
    """

    @property
    def norm(self) -> str:
        """Return "linf"."""
        return "linf"

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the greatest difference of a feature, rounded up."""
        one, other = candidates.double(), inputs.double()
        return sum_up(one, -other).maximum(sum_up(other, -one)).flatten(1).amax(1)


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
