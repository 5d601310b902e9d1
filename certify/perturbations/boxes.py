"""What the sets share that bound each feature by itself."""

import torch
from torch import Tensor

from ..bounds.signals.box import Box
from .ranged import RangedSet
from .shapes import uniform


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
