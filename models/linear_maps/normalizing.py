"""Batch norms in evaluation mode, and Normalize, one of images as the first layer: perturbations act on pixels.

y = s·x + (b − s·mean) for each channel, s = w/√(var + eps).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import check_normal, real, reals
from ..elements.registry import COUNTER, Nonnegative, Real, Shapes, Size, weights
from .base import LinearMap, Products, exact, lowers

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
"""Mean and standard deviation of the training images of CIFAR-10, per channel."""
CIFAR100 = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
"""The same of CIFAR-100."""


class Normalize(nn.BatchNorm2d):
    """A fixed affine map of each channel: y = (x − mean)/std, the same in training and in evaluation.

    It is a batch norm that never learns: its statistics are buffers, so that bounds, gains, checkpoints and other
    programs treat it as they treat a batch norm in evaluation mode.

    Args:
        mean: of each channel.
        std: of each channel, above 0.

    Raises:
        TypeError, ValueError: for lists of unequal length, or numbers that are not finite or not above 0.

    >>> Normalize((0.5,), (0.25,))(torch.full((1, 1, 1, 1), 0.75)).item()
    1.0
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        mean, std = _checked(mean, std)
        super().__init__(len(mean), eps=0.0, affine=False)
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.copy_(torch.tensor(mean))
        self.running_var.copy_(torch.tensor(std).square())
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever the network's mode is."""
        return super().train(False)


def standard(channels: int) -> Normalize:
    """Return CIFAR-10's normalisation for three channels, and (x − ½)/½ for any other number."""
    mean, std = CIFAR10 if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    return Normalize(mean, std)


def _checked(mean: Sequence[float], std: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return both as floats; the squares of `std` are what the layer keeps."""
    mean, std = reals("mean", mean), reals("std", std)
    if not 0 < len(mean) == len(std):
        raise ValueError(f"std: got {len(std)} values, expected one for each of mean's {len(mean)}")
    if not all(value > 0 for value in std):
        raise ValueError(f"std: got {std}, expected finite numbers above 0")
    for value in std:
        check_normal("std squared", value * value or math.ulp(0.0), torch.get_default_dtype())
    return mean, std


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
        return _fitted(self.factor, x, self)

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

    @property
    def largest(self) -> float:
        """Return max(|s|, |w|, r), r = 1/√(var + eps): what an underflow may be multiplied by."""
        return self._sizes[0]

    @cached_property
    def _sizes(self) -> tuple[float, float, float]:
        """Return `largest`, max |mean| and max |b|."""
        exactly = self.to(torch.float64)
        root = 1.0 / (exactly.variance + self.eps).sqrt()
        parts = (exactly.factor, root, *(() if exactly.weight is None else (exactly.weight,)))
        mean, offset = exactly.mean, exact(exactly.offset, exactly.mean)
        return max(float(part.abs().max()) for part in parts), float(mean.abs().max()), float(offset.abs().max())

    def check_run(self) -> None:
        """Raise OverflowError where a part of s is subnormal in the run: there it may be anything.

        torch computes a batch norm in one of several forms, x·α + (b − mean·α) with α = fl(w·r), ((x −
        mean)·r)·w + b or (w·(x − mean))·r + b. Let η be the smallest normal number, fl(z) = z(1 + δ) + ε with
        |δ| ≤ u and |ε| ≤ η for each operation. If var, eps and w are 0 or normal, var + eps is normal and s is 0
        or at least 2η, no factor of r and no α underflows, so they have relative errors alone, and at most 12
        factors (1 + δ) follow each other. An ε arises in x, mean, b, a product or a sum, and only 1, s, w or r
        multiply it afterwards. So the run strays by at most γ₁₂·(|s||x| + |s||mean| + |b|) + 4η·(1 + |s| + |w| +
        r), which `terms` and `largest` pay. (If α or w were subnormal, their ε would be multiplied by x and by
        mean.) ∎
        """
        tiny, exactly = torch.finfo(self.variance.dtype).tiny, self.to(torch.float64)
        least = float(self.variance.min())
        if not (least >= 0.0 and least + self.eps >= tiny):
            raise OverflowError(f"a batch norm's variance of {least:.3g} + {self.eps:.3g} has no accurate root")
        weight = torch.ones_like(exactly.mean) if exactly.weight is None else exactly.weight
        whole = torch.where(weight == 0, 1.0, exactly.factor)
        parts = {"variance": exactly.variance, "weight": weight, "eps": torch.tensor(self.eps).double()}
        for name, part in parts.items():
            if bool(((part != 0) & (part.abs() < tiny)).any()):
                raise OverflowError(f"a batch norm's {name} is subnormal in {self.variance.dtype}")
        if bool((whole.abs() < 4 * tiny).any()):
            raise OverflowError(f"a batch norm's weight over its deviation underflows in {self.variance.dtype}")

    @property
    def ranged(self) -> Callable[[float], None]:
        """Return what checks all forms of the run."""
        return self._check_range

    def _check_range(self, reach: float) -> None:
        """Raise OverflowError where one of the forms of `check_run` may overflow for |x| up to `reach`."""
        steepest, mean, offset = self._sizes
        size = max(1.0, steepest) * (reach + mean) + offset
        if not size <= torch.finfo(self.variance.dtype).max / 16:
            raise OverflowError(f"a sum of products may reach {size:.3g}, beyond {self.variance.dtype}")

    def at_rank(self, rank: int) -> "LinearMap":
        """Return the map for vectors or for sequences; of images it is known anyway."""
        return replace(self, axes=rank) if self.axes != 3 and rank in (1, 2) else self

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
        return x * _fitted(self.factor, x, self)

    def absolute(self) -> "_Factor":
        """Return this map."""
        return self

    def squared(self, x: Tensor) -> Tensor:
        """Return f²·x."""
        return x * _fitted(self.factor, x, self).square()

    def __repr__(self) -> str:
        """Return the name of the layer that it came from, and its size."""
        return f"BatchNorm{'2d' if self.axes == 3 else '1d'}({len(self.factor)})"

    @property
    def terms(self) -> int:
        """Return 1."""
        return 1

    @property
    def depth(self) -> int:
        """Return the roundings in the factor and its product."""
        return 6


def _fitted(factor: Tensor, x: Tensor, layer: "ScaleMap | _Factor") -> Tensor:
    """Return the factors for x; of another number of axes, its channels are not where they seem."""
    if x.dim() != 1 + layer.axes:
        expected = "(batch, channels, height, width)" if layer.axes == 3 else "(batch, channels)"
        raise ValueError(f"inputs: {layer} was given {x.dim() - 1} axes, expected {expected}")
    return factor.to(x).reshape(-1, *([1] * (layer.axes - 1)))


def _statistics(channels: int) -> Shapes:
    return {"running_mean": (channels,), "running_var": (channels,), COUNTER: ()}


def _tensors(norm: Any) -> Shapes:
    """Return the statistics, the weight and the bias."""
    count = norm.num_features
    return _statistics(count) | (weights((count,), count, True) if norm.affine else {})


def _normalize(fields: Any) -> Normalize:
    """Return one of mean 0 and deviation 1, without a list of as many numbers."""
    layer = Normalize((0.0,), (1.0,))
    nn.BatchNorm2d.__init__(layer, fields.channels, eps=0.0, affine=False)
    return layer.eval()


@lowers(
    *(nn.BatchNorm1d, nn.BatchNorm2d),
    fields={"num_features": Size, "eps": Nonnegative, "momentum": Real | None, "affine": bool},
    tensors=_tensors,
)
@lowers(
    Normalize,
    fields={"channels": Size},
    said=lambda layer: {"channels": layer.num_features},
    tensors=lambda fields: _statistics(fields.channels),
    build=_normalize,
)
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
