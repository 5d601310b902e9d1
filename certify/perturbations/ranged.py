"""Threat models over real-valued inputs with a range of valid values."""

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ...models.constants import check_normal, real
from .base import Perturbation, round_down, round_up, sum_down, sum_up


class RangedSet(Perturbation):
    """A convex set around each sample, cut with [lower, upper]; what gradient attacks walk in."""

    lower: Any
    upper: Any
    """Ends of the range: numbers, or tensors with one for each feature (`PixelBox` alone)."""

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
        least, most = self._ends(inputs)
        low = sum_up(exact, -extent).clamp_min(least)
        high = sum_down(exact, extent).clamp_max(most)
        return round_up(low, inputs.dtype), round_down(high, inputs.dtype)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` lie in [lower, upper], and radii are normal numbers of their dtype."""
        self._check_radii(inputs.dtype)
        low, high = (float(end) for end in inputs.detach().aminmax())
        least, most = self._ends(inputs)
        if isinstance(least, Tensor) or isinstance(most, Tensor):
            outside = ((inputs.double() < least) | (inputs.double() > most)).nonzero()
            if len(outside):
                place = tuple(outside[0].tolist())
                got = f"{float(inputs[place]):g} at feature {place[1:]} of sample {place[0]}"
                ends = [float(torch.as_tensor(end).expand_as(inputs)[place]) for end in (least, most)]
                raise ValueError(f"inputs: got {got}, expected within [{ends[0]:g}, {ends[1]:g}]")
        elif low < least or high > most:
            got = f"values from {low:g} to {high:g}"
            raise ValueError(f"inputs: got {got}, expected within [{least:g}, {most:g}]")

    def _check_radii(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a radius too small for a normal number of the dtype; a great one is cut anyway."""
        extent = self.extent
        if isinstance(extent, Tensor):
            name, sizes = "radius", extent[extent > 0].double().sort().values[:1].tolist()
        else:
            name, sizes = "epsilon", [extent]
        for least in sizes:
            if least > 0:
                check_normal(name, min(least, torch.finfo(dtype).max), dtype)

    def _outward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return float64 ends of the box inputs ± extent within [lower, upper], rounded outward."""
        exact, extent = inputs.double(), self._extent64(inputs)
        least, most = self._ends(inputs)
        return sum_down(exact, -extent).clamp_min(least), sum_up(exact, extent).clamp_max(most)

    def clipped(self, candidates: Tensor) -> Tensor:
        """Clip to [lower, upper], whose ends are rounded inward to the candidates' dtype."""
        least, most = (
            torch.as_tensor(end, dtype=torch.float64, device=candidates.device) for end in self._ends(candidates)
        )
        return candidates.clamp(round_up(least, candidates.dtype), round_down(most, candidates.dtype))

    def _valid(self, candidates: Tensor) -> Tensor:
        """Return, per sample, whether all features lie in [lower, upper]."""
        exact = candidates.double()
        least, most = self._ends(candidates)
        return ((exact >= least) & (exact <= most)).flatten(1).all(1)

    def _ends(self, inputs: Tensor) -> tuple[Any, Any]:
        """Return the ends of the range where the inputs are: numbers, or one for each feature."""
        both = self.lower, self.upper
        least, most = (end.to(inputs.device) if isinstance(end, Tensor) else end for end in both)
        return least, most

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
