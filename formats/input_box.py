"""A property's box as a threat model."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from ..certify.perturbations.boxes import BoxSet
from ..certify.perturbations.rounding import round_down, round_up


@dataclass(frozen=True)
class InputBox(BoxSet):
    """{x : low_i ≤ x_i ≤ high_i}, wherever the sample is, with ends that are exact fractions.

    Candidates lie in the box exactly: `limits` are rounded inward. Where no number of the network's dtype lies
    between two ends, the nearest one to their middle stands for them; the enclosure holds it too.

    Args:
        lows, highs: one each per input, in row-major order.
        shape: of one sample.

    Raises:
        ValueError: for ends that do not fit the shape, or beyond float64.
    """

    lows: tuple[Fraction, ...]
    highs: tuple[Fraction, ...]
    shape: tuple[int, ...]
    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        if not len(self.lows) == len(self.highs) == math.prod(self.shape):
            raise ValueError(f"shape: got {self.shape}, expected {len(self.lows)} inputs")
        if any(abs(end) > Fraction(2) ** 1000 for end in (*self.lows, *self.highs)):
            raise ValueError("lows, highs: got an end beyond float64")

    @property
    def norm(self) -> str:
        """Return the name that verdicts and messages have for such a set, "box"."""
        return "box"

    @property
    def extent(self) -> Tensor:
        """Return half of each width, float64."""
        low, high = self._sides
        return (high - low) / 2

    def middle(self, dtype: torch.dtype) -> Tensor:
        """Return the middle of the box, moved into it, as one sample."""
        low, high = self._inner(dtype)
        return ((low.double() + high.double()) / 2).to(dtype).clamp(low, high)

    def limits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends, rounded inward to inputs' dtype."""
        low, high = self._inner(inputs.dtype)
        return low.to(inputs.device).expand_as(inputs), high.to(inputs.device).expand_as(inputs)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless the samples have this shape and lie in the box."""
        if tuple(inputs.shape[1:]) != self.shape:
            raise ValueError(f"inputs: got shape {tuple(inputs.shape[1:])}, expected {self.shape}")
        if not bool(self.contains(inputs, inputs).all()):
            raise ValueError("inputs: got a sample outside of the box")

    def _outward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return float64 ends that hold both the box and what stands for it in inputs' dtype."""
        low, high = (end.expand_as(inputs).to(inputs.device) for end in self._sides)
        inner = self.limits(inputs)
        return low.minimum(inner[0].double()), high.maximum(inner[1].double())

    def _inner(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return what stands for the ends in a dtype: attacks ask for it at every step."""
        if dtype not in self._known:
            self._known[dtype] = self._rounded_inward(dtype)
        low, high = self._known[dtype]
        return low.clone(), high.clone()

    @cached_property
    def _known(self) -> dict[torch.dtype, tuple[Tensor, Tensor]]:
        return {}

    def _rounded_inward(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        ends = (_float(self.lows, math.inf), _float(self.highs, -math.inf))
        low, high = round_up(ends[0], dtype), round_down(ends[1], dtype)
        pairs = zip(self.lows, self.highs, strict=True)
        middle = torch.tensor([float((one + other) / 2) for one, other in pairs], dtype=torch.float64).to(dtype)
        between = low <= high
        found = torch.where(between, low, middle), torch.where(between, high, middle)
        return found[0].reshape(self.shape), found[1].reshape(self.shape)

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor]:
        low, high = _float(self.lows, -math.inf), _float(self.highs, math.inf)
        return low.reshape(self.shape), high.reshape(self.shape)


def _float(values: tuple[Fraction, ...], towards: float) -> Tensor:
    """Return float64 numbers, each rounded towards −inf or inf."""
    return torch.tensor([_rounded(value, towards) for value in values], dtype=torch.float64)


def _rounded(value: Fraction, towards: float) -> float:
    near = float(value)
    beyond = Fraction(near) >= value if towards > 0 else Fraction(near) <= value
    return near if beyond else math.nextafter(near, towards)
