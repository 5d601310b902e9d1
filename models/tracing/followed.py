"""Signals as a trace has them: which axis is batch, which is time, what each step is, never guessed by size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from math import prod

import torch
from torch import Tensor

from ..conversion.refusal import ConversionRefused
from .polynomials import Polynomial, exact, tensor_of

BATCH, TIME, FEATURE, ALONE, SPREAD = "batch", "time", "feature", "alone", "spread"
"""ALONE has been put in, and has one entry; SPREAD has the numbers of one step, times a constant each."""
MERGED = ("time batch", "batch time")
"""Axes that hold time and batch together, in this order."""
ROWS = f"{BATCH} {FEATURE}"
"""What an axis begins with that holds samples and all of their features together."""


@dataclass(frozen=True)
class FollowedSignal:
    """A signal.

    Attributes:
        axes: what each is: BATCH, TIME, FEATURE, ALONE, SPREAD, one of MERGED, or ROWS and as many more features.
        steps: one polynomial a step of time, or an entry of SPREAD, one where there is no such axis.
        features: sizes of the features' axes, those in ROWS first.
    """

    axes: tuple[str, ...]
    steps: tuple[Polynomial, ...]
    features: tuple[int, ...]

    @property
    def timed(self) -> int | None:
        """Return the axis of time, None where there is none."""
        return self.axes.index(TIME) if TIME in self.axes else None

    def sizes(self, batch: int) -> tuple[int, ...]:
        """Return the size of each axis."""
        features, count = iter(self.features), len(self.steps)
        known = {BATCH: batch, TIME: count, SPREAD: count, ALONE: 1, **dict.fromkeys(MERGED, count * batch)}
        known |= {
            axis: batch * prod(next(features) for _ in axis.split()[1:])
            for axis in self.axes
            if axis.startswith(ROWS)
        }
        return tuple(next(features) if axis == FEATURE else known[axis] for axis in self.axes)

    @property
    def plain(self) -> bool:
        """Return whether it has no axis that only a few operations go with."""
        return not any(axis == SPREAD or axis.startswith(ROWS) for axis in self.axes)

    def with_steps(self, steps: list[Polynomial]) -> FollowedSignal:
        """Return other values laid out in the same way."""
        return replace(self, steps=tuple(steps))

    def at(self, axis: int, step: int) -> FollowedSignal:
        """Return one step of an axis of time."""
        return FollowedSignal(self.axes[:axis] + self.axes[axis + 1 :], (self.steps[step],), self.features)


def constant(value: float | bool | Tensor, like: FollowedSignal, dtype: torch.dtype) -> FollowedSignal:
    """Return a constant, laid out as a signal that it stands beside.

    Raises:
        ConversionRefused: for one that is not the same for all samples.
    """
    tensor = tensor_of(value)
    if tensor.numel() and not bool((tensor != tensor.flatten()[0]).any()):
        return like.with_steps([Polynomial.of(exact(tensor.flatten()[0], dtype))] * len(like.steps))
    axes = list(like.axes)[len(like.axes) - tensor.dim() :] if tensor.dim() <= len(like.axes) else None
    if axes is None:
        raise ConversionRefused(f"has a constant of shape {tuple(tensor.shape)} beside a signal of fewer axes")
    for place, axis in enumerate(axes):
        if axis in (BATCH, *MERGED) or axis.startswith(ROWS):
            if bool((tensor != tensor.narrow(place, 0, 1)).any()):
                raise ConversionRefused("has a constant that is not the same for all samples")
            tensor = tensor.narrow(place, 0, 1)
    parts = [tensor] * len(like.steps)
    if TIME in axes and tensor.shape[axes.index(TIME)] == len(like.steps):
        parts = [tensor.narrow(axes.index(TIME), step, 1) for step in range(len(like.steps))]
    others = [place for place, axis in enumerate(axes) if axis != FEATURE]
    return like.with_steps([Polynomial.of(exact(part.squeeze(others), dtype)) for part in parts])


def laid_alike(one: FollowedSignal, other: FollowedSignal) -> tuple[FollowedSignal, FollowedSignal]:
    """Return two signals with the axes of both, as torch broadcasts them.

    Raises:
        ConversionRefused: where axes of different kinds, or features of different sizes, meet.
    """
    if one.axes == other.axes and one.features == other.features and len(one.steps) == len(other.steps):
        return one, other
    pairs = [*zip_longest(reversed(one.axes), reversed(other.axes), fillvalue=ALONE)]
    axes = tuple(reversed([_met(*pair) for pair in pairs]))
    if {TIME, SPREAD} <= set(axes):
        raise ConversionRefused("has signals that are spread along another axis than time")
    count = max(len(one.steps), len(other.steps))
    features = max(one.features, other.features, key=prod)
    return tuple(_stretched(each, axes, features, count) for each in (one, other))  # pyright: ignore[reportReturnType]


def _met(one: str, other: str) -> str:
    if one == other or other == ALONE:
        return one
    if one == ALONE:
        return other
    if {one, other} == {TIME, SPREAD}:
        return TIME
    raise ConversionRefused(f"has signals of which {one} and {other} meet")


def _stretched(
    signal: FollowedSignal, axes: tuple[str, ...], features: tuple[int, ...], count: int
) -> FollowedSignal:
    if signal.features != features and any(each.rest.terms for each in signal.steps):
        raise ConversionRefused(f"stretches features {signal.features} to {features}")
    if len(signal.steps) not in (1, count):
        raise ConversionRefused(f"has signals of {len(signal.steps)} and of {count} steps")
    return FollowedSignal(axes, signal.steps * (count // len(signal.steps)), features)


def regrouped(
    signal: FollowedSignal, shape: tuple[int, ...], batch: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return axes and features of a signal whose numbers are read in another shape.

    Axes of one entry come and go; of the others each that is made holds a group of those before, in their order.

    Raises:
        ConversionRefused: where features and samples, or time and batch, get mixed.
    """
    before = [pair for pair in zip(signal.axes, signal.sizes(batch), strict=True) if pair[1] != 1]
    wanted, names = [size for size in shape if size != 1], list[tuple[str, tuple[int, ...]]]()
    while before or wanted:
        taken, made = [before.pop(0)] if before else [], [wanted.pop(0)] if wanted else []
        while prod(size for _, size in taken) != prod(made):
            short, full = (wanted, made) if prod(made) < prod(size for _, size in taken) else (before, taken)
            if not short:
                raise ConversionRefused("reads a signal in another shape that can't be followed")
            full.append(short.pop(0))  # pyright: ignore[reportArgumentType]
        names += _named(taken, made, signal, batch)
    known = iter(names)
    axes = [(ALONE, ()) if size == 1 else next(known) for size in shape]
    if any(axis.startswith(ROWS) and FEATURE in dict(axes[:place]) for place, (axis, _) in enumerate(axes)):
        raise ConversionRefused("reads samples behind features in another shape")
    return tuple(axis for axis, _ in axes), tuple(size for _, sizes in axes for size in sizes)


def _named(
    taken: list[tuple[str, int]], sizes: list[int], signal: FollowedSignal, batch: int
) -> list[tuple[str, tuple[int, ...]]]:
    """Return what the axes are that a group of axes becomes, and the features in each."""
    kinds = [axis for axis, _ in taken]
    if all(kind == FEATURE for kind in kinds):
        return [(FEATURE, (size,)) for size in sizes]
    whole = " ".join(kinds)
    apart, merged = whole.split(), whole.startswith(ROWS) and TIME not in whole
    inner = signal.features[: len(apart) - 1] if len(kinds) == 1 else tuple(size for _, size in taken[1:])
    if len(sizes) == 1 and (len(kinds) == 1 or whole in MERGED or merged):
        return [(whole, inner if merged else ())]
    if merged and sizes[0] == batch:
        return [(BATCH, ()), *((FEATURE, (size,)) for size in sizes[1:])]
    if whole in MERGED and sizes == [{TIME: len(signal.steps), BATCH: batch}[each] for each in apart]:
        return [(each, ()) for each in apart]
    raise ConversionRefused(f"reads {' and '.join(kinds)} in the shape {tuple(sizes)}, which mixes them")


def settled(signal: FollowedSignal) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the axes in front of the features, and these, with axes of one entry as what they stand for."""
    places = [place for place, axis in enumerate(signal.axes) if axis in (BATCH, *MERGED)]
    first = max([*places, *(place for place, axis in enumerate(signal.axes) if axis == TIME)], default=-1) + 1
    lead = tuple(axis for axis in signal.axes[:first] if axis != ALONE)
    if FEATURE in lead or not places:
        raise ConversionRefused("has batch or time behind features")
    sizes = iter(signal.features)
    return lead, tuple(1 if axis == ALONE else next(sizes) for axis in signal.axes[first:])
