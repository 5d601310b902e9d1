"""Balls around samples: ℓ∞ and ℓ2, and what sets share that bound each feature by itself.

What the sets share that bound each feature by itself.

The ℓ∞ ball.

The ℓ2 ball.

Threat models over real-valued inputs with a range of valid values.

A box with a radius for each feature.

Whole vectors around a whole vector: what networks of whole numbers take in place of a ball of reals.
"""

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from ...models.constants import check_normal, nonnegative, real, settle
from ...models.linear_maps.averaging import WholeInput
from ..bounds.signals.windows import Box
from .base import (
    EventSet,
    Members,
    Perturbation,
    expand,
    lengths,
    normal,
    round_down,
    round_up,
    sum_down,
    sum_up,
    uniform,
    unit,
)


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


@dataclass(frozen=True, eq=False)
class PixelBox(BoxSet):
    """{x̃ : |x̃_i − x_i| ≤ radius_i for each feature i, lower ≤ x̃ ≤ upper}.

    Two boxes are equal iff their numbers are.

    Args:
        radius: ≥ 0, with the shape of one sample (or one that broadcasts to it); copied, as float64.
        lower, upper: the range of valid inputs; a tensor has an end for each entry of the radius.

    Raises:
        TypeError: for a radius that is no tensor of real numbers.
        ValueError: for a radius below 0, NaN or inf, or lower > upper anywhere.

    >>> PixelBox(torch.tensor([0.1, 0.0])).contains(torch.tensor([[0.55, 0.5]]), torch.tensor([[0.5, 0.5]]))
    tensor([True])
    """

    radius: Tensor
    lower: float | Tensor = 0.0
    upper: float | Tensor = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.radius, Tensor) or self.radius.dtype == torch.bool or self.radius.is_complex():
            got = getattr(self.radius, "dtype", type(self.radius).__name__)
            raise TypeError(f"radius: got {got}, expected a tensor of real numbers")
        radius = self.radius.detach().double().clone()
        if not bool((torch.isfinite(radius) & (radius >= 0)).all()):
            raise ValueError("radius: got a negative number, NaN or inf, expected finite numbers of at least 0")
        object.__setattr__(self, "radius", radius)
        self._settle_ends()

    @property
    def norm(self) -> str:
        """Return "box"."""
        return "box"

    @property
    def extent(self) -> Tensor:
        """Return the radii, float64."""
        return self.radius

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` lie in [lower, upper] and the radii fit one sample."""
        features = tuple(inputs.shape[1:])
        for name in ("lower", "upper", "radius"):
            shape = tuple(torch.as_tensor(getattr(self, name)).shape)
            if _broadcast(shape, features) != features:
                raise ValueError(f"{name}: got shape {shape}, expected one sample's {features}")
        super().check(inputs)

    def _settle_ends(self) -> None:
        """Convert both ends to floats, or to float64 tensors of the radius's shape.

        Raises:
            TypeError, ValueError: for ends that are no numbers, NaN, or leave no valid value between them.
        """
        ends = {name: getattr(self, name) for name in ("lower", "upper")}
        if not any(isinstance(end, Tensor) and end.dim() > 0 for end in ends.values()):
            settle_range(self)
            return
        for name, end in ends.items():
            object.__setattr__(self, name, self._settled(name, end))
        lower, upper = (torch.as_tensor(getattr(self, name), dtype=torch.float64) for name in ends)
        if not bool(((lower <= upper) & (lower < torch.inf) & (upper > -torch.inf)).all()):
            raise ValueError("lower, upper: got lower > upper, expected lower ≤ upper of each feature")

    def _settled(self, name: str, end: object) -> float | Tensor:
        if not isinstance(end, Tensor) or end.dim() == 0:
            return real(name, end, finite=False)
        if end.dtype == torch.bool or end.is_complex():
            raise TypeError(f"{name}: got {end.dtype}, expected real numbers")
        if end.shape != self.radius.shape:
            shapes = tuple(end.shape), tuple(self.radius.shape)
            raise ValueError(f"{name}: got shape {shapes[0]}, expected the radius's {shapes[1]}")
        if bool(end.isnan().any()):
            raise ValueError(f"{name}: got NaN, expected numbers")
        return end.detach().double().clone()

    def _key(self) -> tuple[object, ...]:
        tensors = (torch.as_tensor(value, dtype=torch.float64) for value in (self.radius, self.lower, self.upper))
        return tuple((tuple(tensor.shape), tuple(tensor.flatten().tolist())) for tensor in tensors)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, PixelBox) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return tuple(torch.broadcast_shapes(first, second))
    except RuntimeError:
        return None


DEFAULT_ENDS = (0.0, 1.0)
"""The range of valid inputs where a ball says none; a chip's own then takes its place."""


@dataclass(frozen=True)
class WholeLInf(LInf):
    """{x̃ whole : ‖x̃ − x‖∞ ≤ ε, lower ≤ x̃ ≤ upper} for whole x: its box of reals has these as its corners.

    `settled_set` makes it of an `LInf` for networks that take whole numbers; ends and ε are cut to whole numbers.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, cut in (("epsilon", math.floor), ("lower", math.ceil), ("upper", math.floor)):
            object.__setattr__(self, name, float(cut(getattr(self, name))))
        if self.lower > self.upper:
            raise ValueError("lower, upper: got a range without a whole number, expected one")

    def limits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of each feature: differences of whole numbers are exact."""
        return (inputs - self.epsilon).clamp_min(self.lower), (inputs + self.epsilon).clamp_max(self.upper)

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the box."""
        return Box(*self.limits(inputs.double()))

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Round, and clip each feature."""
        return super().project(candidates.nan_to_num(0.0).round(), inputs)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Compare each feature with the ends, and with its nearest whole number."""
        return super().contains(candidates, inputs) & (candidates == candidates.round()).flatten(1).all(1)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each feature from the whole numbers between its ends."""
        low, high = self.limits(inputs)
        return (low + (uniform(inputs, generator) * (high - low + 1.0)).floor()).minimum(high)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are whole numbers within the ends."""
        super().check(inputs)
        if not bool((inputs == inputs.round()).all()):
            raise ValueError("inputs: got numbers that are not whole, expected what the chip takes")

    def members(self, sample: Tensor) -> Members:
        """Return all whole vectors, the last feature's turning over first."""
        low, high = (end.flatten().tolist() for end in self.limits(sample.double()))
        choices = [range(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)]

        def batches(size: int) -> Iterator[Tensor]:
            """Yield the members."""
            vectors = itertools.product(*choices)
            while group := tuple(itertools.islice(vectors, size)):
                points = torch.tensor(group, dtype=torch.float64, device=sample.device)
                yield points.view(-1, *sample.shape)

        return Members(math.prod(len(each) for each in choices), batches)


def takes_whole(network: Any) -> WholeInput | None:
    """Return the layer by which a network takes whole numbers alone, or None."""
    layers = getattr(network, "layers", None)
    first = layers[0] if isinstance(layers, nn.ModuleList) and len(layers) else None
    return first if isinstance(first, WholeInput) else None


def settled_set(network: Any, perturbation: Perturbation) -> Perturbation:
    """Return the set that is meant: of a network of whole numbers the whole vectors of an ℓ∞ ball.

    Its ends [0, 1], the default of balls, stand for what the chip takes; others are cut with that.

    Raises:
        ValueError: for a set whose members are not whole.
    """
    layer = takes_whole(network)
    if layer is None or not isinstance(perturbation, Perturbation) or isinstance(perturbation, EventSet):
        return perturbation
    if type(perturbation) not in (LInf, WholeLInf):
        got = type(perturbation).__name__
        raise ValueError(f"perturbation: got {got}, expected LInf or events for a network of whole numbers")
    assert isinstance(perturbation, LInf)
    return settled_ball(perturbation, layer)


def settled_ball(ball: LInf, layer: WholeInput) -> WholeLInf:
    """Return the whole vectors of a ball that a layer takes."""
    ends = ball.lower, ball.upper
    low, high = (layer.least, layer.most) if ends == DEFAULT_ENDS else ends
    return WholeLInf(ball.epsilon, max(low, layer.least), min(high, layer.most))
