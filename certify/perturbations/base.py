"""What every threat model answers, and what sets of events and sets that can be listed do.

One number per sample against whole samples.

Sums of two floating-point numbers, rounded in a given direction.

A set of inputs that can be listed.

Which entries of an event recording may change: a block of them, or a mask.

Threat models over events: which of them may change.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ...models.constants import whole
from ...models.networks import SpikingNetwork
from ..bounds.signals.windows import Box


@dataclass(frozen=True)
class MemberChanges:
    """What n members of a set change of a recording: k entries each, of which some may be one twice.

    Attributes:
        entries: which, flat over steps and features, (n, k), int64.
        by: how much, (n, k), float64.
    """

    entries: Tensor
    by: Tensor

    def at(self, rows: Tensor | slice) -> "MemberChanges":
        """Return those of some members."""
        return MemberChanges(self.entries[rows], self.by[rows])

    def applied(self, sample: Tensor) -> Tensor:
        """Return the members, (n, ...), float64."""
        found = sample.double().flatten().repeat(len(self.entries), 1)
        return found.scatter_add_(1, self.entries, self.by).view(-1, *sample.shape)


@dataclass(frozen=True)
class Members:
    """All inputs around one sample, or one of each kind that a network can tell apart.

    Attributes:
        count: how many there are.
        batches: of at most as many as it is given: float64, (n, ...), in a fixed order.
    """

    count: int
    batches: Callable[[int], Iterator[Tensor]]


@dataclass(frozen=True)
class ChangedMembers(Members):
    """Recordings, told by what each changes of one.

    Attributes:
        changes: the members, as `batches` yields them.
        free: which features may, flat, of bool.
    """

    changes: Callable[[int], Iterator[MemberChanges]]
    free: Tensor

    @staticmethod
    def of(
        count: int, sample: Tensor, changes: Callable[[int], Iterator[MemberChanges]], free: Tensor
    ) -> "ChangedMembers":
        """Return the members that changes make of a recording."""
        return ChangedMembers(count, lambda size: (each.applied(sample) for each in changes(size)), changes, free)


class Perturbation(ABC):
    """The set of inputs around a sample that an adversary may choose from.

    A concrete set must keep one promise in both directions: `enclosure` holds every allowed input (rounded
    outward: what is verified holds for the whole set), and `project` and `sample` return allowed inputs only
    (rounded inward: what falsifies lies in the set, exactly). Sets are frozen and hashable.
    """

    @property
    @abstractmethod
    def norm(self) -> str:
        """Return the name of the distance: "linf", "l2", "box" (a radius per feature), "l0" (flips) or "shift"."""

    @abstractmethod
    def enclosure(self, inputs: Tensor) -> Box:
        """Return a float64 set that holds every allowed input: what a verifier starts from."""

    @abstractmethod
    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return allowed inputs near `candidates`, in the dtype of `inputs`: what an attack may return."""

    @abstractmethod
    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return, per sample, whether the candidate is allowed, (batch,) of bool; decided exactly."""

    @abstractmethod
    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return one random allowed input per sample."""

    @abstractmethod
    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are valid samples of this threat model."""

    def suits(self, network: SpikingNetwork) -> None:
        """Raise ValueError for a network whose inputs are not what this threat model is about."""
        return

    def members(self, sample: Tensor) -> Members | None:
        """Return all allowed inputs around one sample (...), or None where they can't be listed.

        Raises:
            OverflowError: where events change in too many ways.
        """
        return None

    def few_members(self, sample: Tensor) -> Members | None:
        """Return the same, None for too many ways, too."""
        try:
            return self.members(sample)
        except OverflowError:
            return None

    def alone(self) -> "tuple[Perturbation, ...]":
        """Return the subsets in which one event has changed at most: (self,) where that is all of it."""
        return ()


def check_perturbation(perturbation: object) -> None:
    """Raise TypeError for what is no set of inputs, such as a set of networks."""
    if not isinstance(perturbation, Perturbation):
        expected = "LInf, L2, PixelBox, SpikeFlip, SpikeShift or EventChange"
        raise TypeError(f"perturbation: got {type(perturbation).__name__}, expected {expected}")


def expand(per_sample: Tensor, like: Tensor) -> Tensor:
    """Return (batch,) as (batch, 1, ..., 1), to broadcast against `like`."""
    return per_sample.reshape(-1, *([1] * (like.dim() - 1)))


def lengths(steps: Tensor) -> Tensor:
    """Return each sample's Euclidean length, (batch, 1, ..., 1)."""
    return expand(steps.flatten(1).norm(dim=1), steps)


def unit(steps: Tensor) -> Tensor:
    """Return each sample's step scaled to length 1; a step of 0 stays 0.

    The greatest entry is divided out first, so that squares of tiny numbers don't vanish.
    """
    tiny = torch.finfo(steps.dtype).tiny
    scaled = steps / expand(steps.abs().flatten(1).amax(1).clamp_min(tiny), steps)
    return scaled / lengths(scaled).clamp_min(tiny)


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return numbers in [0, 1) with the shape, dtype and device of `like`."""
    drawn = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers with the shape, dtype and device of `like`."""
    drawn = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def sum_up(first: Tensor, second: Tensor | float) -> Tensor:
    """Return the least float64 number that is at least first + second, exactly."""
    total, error = _two_sum(first, second)
    return torch.where((error > 0) | (total == -math.inf), _next(total, math.inf), total)


def sum_down(first: Tensor, second: Tensor | float) -> Tensor:
    """Return the greatest float64 number that is at most first + second, exactly."""
    total, error = _two_sum(first, second)
    return torch.where((error < 0) | (total == math.inf), _next(total, -math.inf), total)


def round_up(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the least numbers of `dtype` that are at least `exact`."""
    rounded = exact.to(dtype)
    return torch.where(rounded.double() < exact, _next(rounded, math.inf), rounded)


def round_down(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the greatest numbers of `dtype` that are at most `exact`."""
    return -round_up(-exact, dtype)


def _two_sum(first: Tensor, second: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return the rounded sum and its error: rounded + error = first + second, exactly (Knuth, 1969)."""
    total = first + second
    part = total - first
    return total, (first - (total - part)) + (second - part)


def _next(value: Tensor, towards: float) -> Tensor:
    return torch.nextafter(value, value.new_tensor(towards))


Interval = tuple[int, int]

AXES = {"steps": 0, "polarities": -3, "rows": -2, "columns": -1}
"""The axis of a recording (T, polarities, rows, columns) that each interval is about."""


@dataclass(frozen=True)
class EventRegion:
    """A block of a recording (T, polarities, rows, columns): along each axis all, or those from first to last − 1.

    A recording without pixels, (T, features), has steps and columns only.

    Args:
        steps, polarities, rows, columns: (first, last) with 0 ≤ first < last, or None for all.

    Raises:
        TypeError: for ends that are no integers.
        ValueError: for an interval that holds nothing.

    >>> EventRegion(steps=(0, 2), polarities=(1, 2)).mask((3, 2, 1, 1)).flatten().tolist()
    [False, True, False, True, False, False]
    """

    steps: Interval | None = None
    polarities: Interval | None = None
    rows: Interval | None = None
    columns: Interval | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            interval = getattr(self, field.name)
            if interval is not None:
                object.__setattr__(self, field.name, _interval(field.name, interval))

    def mask(self, shape: tuple[int, ...]) -> Tensor:
        """Return which entries of a recording of this shape lie in the block, of bool.

        Raises:
            ValueError: for a recording that lacks an axis, or ends before the block does.
        """
        if len(shape) < 2:
            raise ValueError(f"where: got a region for samples of shape {shape}, expected recordings (T, ...)")
        inside = torch.ones(shape, dtype=torch.bool)
        for name, axis in AXES.items():
            if (interval := getattr(self, name)) is not None:
                inside &= _along(name, interval, axis, shape)
        return inside


def _interval(name: str, interval: object) -> Interval:
    """Return an interval of plain integers."""
    if not isinstance(interval, tuple | list) or len(interval) != 2:
        raise TypeError(f"{name}: got {interval!r}, expected two integers (first, last)")
    first, last = (whole(name, end) for end in interval)
    if not 0 <= first < last:
        raise ValueError(f"{name}: got {(first, last)}, expected 0 ≤ first < last")
    return first, last


def _along(name: str, interval: Interval, axis: int, shape: tuple[int, ...]) -> Tensor:
    """Return what lies in an interval of one axis, as a mask that broadcasts to `shape`."""
    first, last = interval
    if axis != 0 and len(shape) <= -axis:
        raise ValueError(f"{name}: got recordings of shape {shape}, expected (T, polarities, rows, columns)")
    if last > shape[axis]:
        raise ValueError(f"{name}: got {interval}, expected at most the recording's {shape[axis]} {name}")
    places = torch.arange(shape[axis])
    inside = (places >= first) & (places < last)
    return inside.view(-1, *([1] * (len(shape) - 1 if axis == 0 else -axis - 1)))


class EventSet(Perturbation):
    """Changes of events, all of them or those of a region or a mask. Two sets are equal iff their numbers are."""

    where: EventRegion | Tensor | None

    def allowed(self, inputs: Tensor) -> Tensor:
        """Return which entries may change, broadcastable to `inputs`, of bool.

        Raises:
            ValueError: for a region or a mask that does not fit one sample.
        """
        features = tuple(inputs.shape[1:])
        where = self.where.mask(features) if isinstance(self.where, EventRegion) else self.where
        if where is None:
            return torch.ones((), dtype=torch.bool, device=inputs.device)
        if tuple(where.shape) != features:
            raise ValueError(f"where: got a mask of shape {tuple(where.shape)}, expected one sample's {features}")
        return where.to(inputs.device)

    def _key(self) -> tuple[object, ...]:
        values = (getattr(self, field.name) for field in fields(self))  # pyright: ignore[reportArgumentType]
        return tuple(_plain(value) for value in values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))


def settle_where(owner: EventSet) -> None:
    """Copy a mask; a region is plain already.

    Raises:
        TypeError: for anything else.
    """
    where = owner.where
    if isinstance(where, Tensor) and where.dtype == torch.bool:
        where = where.detach().clone()
    elif where is not None and not isinstance(where, EventRegion):
        got = getattr(where, "dtype", type(where).__name__)
        raise TypeError(f"where: got {got}, expected an EventRegion or a mask, a tensor of bool")
    object.__setattr__(owner, "where", where)


def _plain(value: object) -> object:
    return (tuple(value.shape), tuple(value.flatten().tolist())) if isinstance(value, Tensor) else value
