"""Threat models over real-valued inputs with a range of valid values."""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from ...models.constants import check_normal, real
from .base import Perturbation
from .rounding import round_down, round_up, sum_down, sum_up


class RangedSet(Perturbation):
    """A convex set around each sample, cut with [lower, upper]; what gradient attacks walk in."""

    lower: float
    upper: float

    @property
    @abstractmethod
    def extent(self) -> float | Tensor:
        """Return how far the set reaches along each axis: ε, or one radius per feature."""

    @abstractmethod
    def ascent(self, gradient: Tensor) -> Tensor:
        """Return the direction of steepest ascent of length 1 in the norm: times `extent`, it spans the set."""

    def limits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the box inputs ± extent within [lower, upper], rounded inward to inputs' dtype."""
        exact, extent = inputs.double(), self._extent64(inputs)
        low = sum_up(exact, -extent).clamp_min(self.lower)
        high = sum_down(exact, extent).clamp_max(self.upper)
        return round_up(low, inputs.dtype), round_down(high, inputs.dtype)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` lie in [lower, upper], and radii are normal numbers of their dtype."""
        self._check_radii(inputs.dtype)
        low, high = (float(end) for end in inputs.detach().aminmax())
        if low < self.lower or high > self.upper:
            got = f"values from {low:g} to {high:g}"
            raise ValueError(f"inputs: got {got}, expected within [{self.lower:g}, {self.upper:g}]")

    def _check_radii(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a radius too small for a normal number of the dtype; a great one is cut anyway."""
        extent = self.extent
        name = "radius" if isinstance(extent, Tensor) else "epsilon"
        sizes = torch.as_tensor(extent, dtype=torch.float64)
        for least in sizes[sizes > 0].sort().values[:1].tolist():
            check_normal(name, min(least, torch.finfo(dtype).max), dtype)

    def _outward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return float64 ends of the box inputs ± extent within [lower, upper], rounded outward."""
        exact, extent = inputs.double(), self._extent64(inputs)
        return sum_down(exact, -extent).clamp_min(self.lower), sum_up(exact, extent).clamp_max(self.upper)

    def _clipped(self, candidates: Tensor) -> Tensor:
        """Clip to [lower, upper], whose ends are rounded inward to the candidates' dtype."""
        ends = candidates.new_tensor([self.lower, self.upper], dtype=torch.float64)
        low, high = round_up(ends[0], candidates.dtype), round_down(ends[1], candidates.dtype)
        return candidates.clamp(low, high)

    def _valid(self, candidates: Tensor) -> Tensor:
        """Return, per sample, whether all features lie in [lower, upper]."""
        exact = candidates.double()
        return ((exact >= self.lower) & (exact <= self.upper)).flatten(1).all(1)

    def _extent64(self, inputs: Tensor) -> float | Tensor:
        extent = self.extent
        return extent.to(inputs.device) if isinstance(extent, Tensor) else extent


def settle_range(owner: RangedSet) -> None:
    """Convert both ends of a set's range to floats, ±inf among them.

    Raises:
        TypeError, ValueError: unless lower ≤ upper are numbers that leave a valid value between them.
    """
    lower, upper = (real(name, getattr(owner, name), finite=False) for name in ("lower", "upper"))
    if not lower <= upper or lower == math.inf or upper == -math.inf:
        raise ValueError(f"lower, upper: got {lower!r}, {upper!r}, expected lower ≤ upper")
    object.__setattr__(owner, "lower", lower)
    object.__setattr__(owner, "upper", upper)
