"""Batch norms in evaluation mode, and Normalize: y = s·x + (b − s·mean) for each channel, s = w/√(var + eps)."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import real
from ..normalization import Normalize
from .base import LinearMap, NoPlainModule, Products, exact, lowers


@dataclass(frozen=True, eq=False)
class ScaleMap(LinearMap):
    """The running statistics, weight and bias of a batch norm, for inputs of `axes` axes, channels first."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    offset: Tensor | None
    eps: float
    axes: int

    @cached_property
    def factor(self) -> Tensor:
        """Return s, (channels,)."""
        weight = torch.ones_like(self.mean) if self.weight is None else self.weight
        return weight / (self.variance + self.eps).sqrt()

    @cached_property
    def _shift(self) -> Tensor:
        return self.factor * self.mean

    def _column(self, channels: Tensor) -> Tensor:
        return channels.reshape(-1, *([1] * (self.axes - 1))) if channels.numel() > 1 else channels

    def _factor_of(self, x: Tensor) -> Tensor:
        """Return s for x, (batch, channels, ...): of another number of axes, channels are not where they seem."""
        if x.dim() != 1 + self.axes:
            expected = "(batch, channels, height, width)" if self.axes == 3 else "(batch, channels)"
            raise ValueError(f"inputs: {self} was given {x.dim() - 1} axes, expected {expected}")
        return self.factor.to(x).reshape(-1, *([1] * (self.axes - 1)))

    def linear(self, x: Tensor) -> Tensor:
        """Return s·x."""
        return x * self._factor_of(x)

    def apply(self, x: Tensor) -> Tensor:
        """Return the batch norm as the run computes it."""
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.offset, eps=self.eps)

    def absolute(self) -> "LinearMap":
        """Return |s|."""
        return _Factor(self.factor.abs(), self.axes)

    def squared(self, x: Tensor) -> Tensor:
        """Return s²·x."""
        return x * self._factor_of(x).square()

    def power(self, order: int) -> "LinearMap":
        """Return the map of |s|'s powers."""
        return _Factor(self.factor.abs() ** order, self.axes)

    def mixes(self, before: int) -> int:
        """Return what was known before: channels do not mix."""
        return before

    @property
    def bias(self) -> Tensor:
        """Return b − s·mean, (channels, 1, ...)."""
        return self._column(exact(self.offset, self.mean) - self._shift)

    @property
    def bias_magnitude(self) -> Tensor:
        """Return |b| + |s·mean|."""
        return self._column(exact(self.offset, self.mean).abs() + self._shift.abs())

    @property
    def terms(self) -> int:
        """Return the roundings of one output: of s, of what it multiplies, and of the sums."""
        return 12

    @property
    def depth(self) -> int:
        """Return the roundings in the factor (a sum, a root, a division, their input) and its product."""
        return 6

    @property
    def products(self) -> Products | None:
        """Return x ↦ s·x, one term each."""
        return lambda x: self.linear(x).unsqueeze(-1)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return statistics, weight and bias."""
        given = (self.mean, self.variance, self.weight, self.offset)
        return tuple(tensor for tensor in given if tensor is not None)

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Self:
        """Return a detached copy."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.detach().to(device, dtype)

        return replace(
            self,
            mean=moved(self.mean),
            variance=moved(self.variance),
            weight=moved(self.weight),
            offset=moved(self.offset),
        )

    def check_run(self) -> None:
        """Raise OverflowError where the run's s is not normal: its root, or its product, may be anything."""
        least = float(self.variance.min())
        if not (least >= 0.0 and least + self.eps >= torch.finfo(self.variance.dtype).tiny):
            raise OverflowError(f"a batch norm's variance of {least:.3g} + {self.eps:.3g} has no accurate root")
        exactly = self.to(torch.float64)
        reach = float(exactly.factor.abs().max())
        if not reach <= torch.finfo(self.variance.dtype).max / 8:  # the run multiplies it out before it meets x
            raise OverflowError(f"a sum of products may reach {reach:.3g}, beyond {self.variance.dtype}")

    def at_rank(self, rank: int) -> "LinearMap":
        """Return the map for vectors or for sequences; of images it is known anyway."""
        return replace(self, axes=rank) if self.axes != 3 and rank in (1, 2) else self

    def module(self, channels: int) -> nn.Module:
        """Return a diagonal Linear for vectors, a depthwise Conv2d of 1×1 for images."""
        exactly = self.to(torch.float64)
        shift = exactly.bias.flatten().expand(len(exactly.factor)).clone()
        if self.axes == 1:
            linear = nn.Linear(channels, channels, dtype=torch.float64)
            linear.weight.data, linear.bias.data = torch.diag(exactly.factor), shift
            return linear
        if self.axes == 2:
            raise NoPlainModule(f"layer: got {self} of sequences, expected one of vectors or images for lirpa")
        conv = nn.Conv2d(channels, channels, 1, groups=channels, dtype=torch.float64)
        conv.weight.data = exactly.factor.reshape(-1, 1, 1, 1).clone()
        assert conv.bias is not None
        conv.bias.data = shift
        return conv

    def __repr__(self) -> str:
        """Return name and size."""
        return f"BatchNorm{'2d' if self.axes == 3 else '1d'}({len(self.mean)})"


@dataclass(frozen=True, eq=False)
class _Factor(LinearMap):
    """x ↦ f·x for a factor f ≥ 0 of each channel."""

    factor: Tensor
    axes: int

    def linear(self, x: Tensor) -> Tensor:
        """Return f·x."""
        return x * self.factor.to(x).reshape(-1, *([1] * (x.dim() - 2)))

    def absolute(self) -> "_Factor":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return f²·x."""
        return x * self.factor.square().to(x).reshape(-1, *([1] * (x.dim() - 2)))

    @property
    def terms(self) -> int:
        """Return 1."""
        return 1

    @property
    def depth(self) -> int:
        """Return the roundings in the factor and its product."""
        return 6


@lowers(nn.BatchNorm1d, nn.BatchNorm2d, Normalize)
def scale(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> ScaleMap:
    """Return the map of a batch norm in evaluation mode.

    Raises:
        ValueError: for one without running statistics.
    """
    if layer.running_mean is None or layer.running_var is None:
        expected = "track_running_stats=True: without running statistics it has no fixed affine map"
        raise ValueError(f"network: got {layer}, expected {expected}")
    axes = 1 if isinstance(layer, nn.BatchNorm1d) else 3
    return ScaleMap(layer.running_mean, layer.running_var, layer.weight, layer.bias, real("eps", layer.eps), axes)
