"""Operations that move numbers: steps are taken apart and put together, features only change their shape."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...conversion.refusal import ConversionRefused
from ..followed import ALONE, FEATURE, MERGED, TIME, FollowedSignal, constant, regrouped
from ..polynomials import (
    ONE,
    UNIT,
    ZERO,
    FeatureMap,
    Fractions,
    Image,
    Polynomial,
    collapsed,
    exact,
    image,
    number_tensor,
    unfolded,
)
from ..tracing import name_of
from ..watching import line_of
from .calls import INSTEAD, TracedCall, reads
from .products import picking, placing, rearranging, scaling


@reads("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_reshape_alias")
def reshaped(call: TracedCall) -> FollowedSignal:
    """Return the signal in another shape."""
    signal = call.args[0]
    if call.name == "unsqueeze":
        place = call.args[1] % len(call.shape)
        return replace(signal, axes=(*signal.axes[:place], ALONE, *signal.axes[place:]))
    try:
        axes, features = regrouped(signal, call.shape, call.batch)
    except ConversionRefused:
        if any(name_of(user) == "bmm" for user in call.node.users):  # how torch multiplies stacks of matrices
            call.refuse(INSTEAD["bmm"])
        raise
    return FollowedSignal(
        axes, tuple(viewed(step, signal.features, features, call) for step in signal.steps), features
    )


def viewed(signal: Polynomial, before: tuple[int, ...], after: tuple[int, ...], call: TracedCall) -> Polynomial:
    """Return features in another shape, spikes among them as signals without a shape of their own."""
    if before == after:
        return signal
    found = Polynomial({})
    for (spikes, graded), number in signal.terms.items():
        term, first = Polynomial({(spikes, graded): number}), before
        if (spikes, graded) == ONE and isinstance(number, Fractions):
            whole = np.broadcast_to(number.array, before).reshape(after)
            term = Polynomial.of(collapsed(whole))
        elif (spikes, graded) != ONE:
            if isinstance(number, Fractions):
                by = scaling(number, before, call.result.dtype, line_of(call.node))
                graded = Image(by, unfolded(Polynomial({(spikes, graded): UNIT})))
                term, spikes, number = Polynomial.graded(graded), frozenset(), UNIT
            if isinstance(graded, Image) and not spikes and graded.map.key[0] == "view":
                term, first = graded.signal * number, graded.map.key[1]
            term = term if first == after else image(view_map(first, after, line_of(call.node)), term)
        found = found + term
    return found


def view_map(before: tuple[int, ...], after: tuple[int, ...], place: str) -> FeatureMap:
    """Return the map of features to another shape."""

    def made() -> list[nn.Module]:
        """Return Flatten, and what gives the new shape."""
        flat: list[nn.Module] = [nn.Flatten()] if len(before) > 1 else []
        return flat if len(after) == 1 else [*flat, nn.Unflatten(1, after)]

    return FeatureMap(("view", before, after), made, True, place)


@reads("expand", "repeat", "expand_as", "broadcast_to")
def repeated(call: TracedCall) -> FollowedSignal:
    """Return the signal at each of several steps: an axis that was put in becomes time."""
    signal = call.args[0]
    axes = (ALONE,) * (len(call.shape) - len(signal.axes)) + signal.axes
    before = FollowedSignal(axes, signal.steps, signal.features).sizes(call.batch)
    new = [place for place, (one, other) in enumerate(zip(before, call.shape, strict=True)) if one != other]
    if not new:
        return replace(signal, axes=axes)
    if len(new) > 1 or axes[new[0]] not in (ALONE, TIME) or len(signal.steps) > 1:
        call.refuse(f"repeats {axes[new[0]]} entries; expected a new axis of time")
    axes = (*axes[: new[0]], TIME, *axes[new[0] + 1 :])
    return FollowedSignal(axes, signal.steps * call.shape[new[0]], signal.features)


@reads("permute", "transpose", "t", "movedim", "swapaxes")
def permuted(call: TracedCall) -> FollowedSignal:
    """Return the signal with its axes in another order, features in theirs."""
    signal, count = call.args[0], len(call.shape)
    order = list(range(count))
    if call.name == "permute":
        order = [place % count for place in call.args[1]]
    elif count > 1:
        one, other = (0, 1) if call.name == "t" else (place % count for place in call.args[1:3])
        order[one], order[other] = order[other], order[one]
    features = [place for place in order if signal.axes[place] == FEATURE]
    moved = replace(signal, axes=tuple(signal.axes[place] for place in order))
    if features == sorted(features):
        return moved
    own = sorted(features)
    return rearranged(call, moved, lambda units: units.permute(0, *(1 + own.index(place) for place in features)))


def rearranged(
    call: TracedCall, signal: FollowedSignal, made: Callable[[Tensor], Tensor], kind: str = "moved"
) -> FollowedSignal:
    """Return features as a function of a batch of them has them, which moves or adds them."""
    units = torch.eye(prod(signal.features), dtype=torch.float64).reshape(-1, *signal.features)
    by = rearranging(signal.features, made(units), kind, line_of(call.node))
    steps = tuple(placed(by, step, call) for step in signal.steps)
    return FollowedSignal(signal.axes, steps, by.key[2])


def stretched(call: TracedCall, signal: FollowedSignal, other: FollowedSignal) -> FollowedSignal:
    """Return a signal with features repeated along axes of one entry, where another one has several."""
    axes = (ALONE,) * (len(other.axes) - len(signal.axes)) + signal.axes
    beside = (ALONE,) * (len(axes) - len(other.axes)) + other.axes
    places = [place for place, axis in enumerate(axes) if axis == FEATURE or beside[place] == FEATURE]
    new = [place for place in places if axes[place] == ALONE]
    if not new or not any(step.rest.terms for step in signal.steps) or set(axes) & set(MERGED):
        return signal
    sizes = dict(zip([place for place, axis in enumerate(beside) if axis == FEATURE], other.features, strict=True))
    wide = [sizes.get(place, -1) if place in new else -1 for place in places]
    if FEATURE not in axes[: new[0]] or any(axes[place] == FEATURE and place not in sizes for place in places):
        return signal

    def made(units: Tensor) -> Tensor:
        """Return units with these axes."""
        for place in new:
            units = units.unsqueeze(1 + places.index(place))
        return units.expand(-1, *wide)

    whole = tuple(FEATURE if place in new else axis for place, axis in enumerate(axes))
    return replace(rearranged(call, signal, made), axes=whole)


@reads("select")
def selected(call: TracedCall) -> FollowedSignal:
    """Return one step."""
    signal, axis, index = call.args
    axis %= len(signal.axes)
    if signal.axes[axis] == ALONE:
        return replace(signal, axes=signal.axes[:axis] + signal.axes[axis + 1 :])
    if signal.axes[axis] != TIME:
        call.refuse(f"takes one entry of the {signal.axes[axis]} axis; expected steps of time only")
    return signal.at(axis, index)


@reads("slice", "narrow")
def sliced(call: TracedCall) -> FollowedSignal:
    """Return some steps."""
    signal = call.args[0]
    axis = call.option(1, "dim", 0) % len(signal.axes)
    if call.shape == signal.sizes(call.batch):
        return signal
    start, end, step = (call.option(2, "start", None), call.option(3, "end", None), call.option(4, "step", 1))
    if call.name == "narrow":
        end, step = start + end, 1
    if signal.axes[axis] == FEATURE:
        return picked(call, signal, axis, range(call.batch + max(signal.sizes(call.batch)))[start:end:step])
    if signal.axes[axis] != TIME:
        call.refuse(f"takes a part of the {signal.axes[axis]} axis; expected steps of time, or features")
    return signal.with_steps(list(signal.steps[start:end:step]))


def picked(call: TracedCall, signal: FollowedSignal, axis: int, entries: Sequence[int]) -> FollowedSignal:
    """Return some entries of an axis of features."""
    own = signal.axes[:axis].count(FEATURE)
    count = signal.features[own]
    entries = tuple(entry % count for entry in entries if entry < count)
    by = picking(signal.features, own, entries, line_of(call.node))
    features = (*signal.features[:own], len(entries), *signal.features[own + 1 :])
    return FollowedSignal(signal.axes, tuple(placed(by, step, call) for step in signal.steps), features)


def placed(by: FeatureMap, signal: Polynomial, call: TracedCall) -> Polynomial:
    """Return what a map that only moves numbers makes of a signal, or of a constant."""
    if by.made is None:
        call.refuse("moves features along an axis that no layer here moves; expected the first one")
    if signal.rest.terms or signal.constant == ZERO:
        return image(by, signal)
    held = number_tensor(signal.constant).expand(by.key[1]).unsqueeze(0)
    return Polynomial.of(exact(by.of(held)[0], torch.float64))


@reads("index", "index_select")
def indexed(call: TracedCall) -> FollowedSignal:
    """Return the features, or the steps, that a fixed list of places picks."""
    signal, places = call.args[:2]
    axis, where = (call.args[1], call.args[2]) if call.name == "index_select" else (None, None)
    if axis is None:
        known = [(place, each) for place, each in enumerate(places) if each is not None]
        axis, where = known[0] if len(known) == 1 else (0, None)
    if not isinstance(signal, FollowedSignal) or not isinstance(where, Tensor) or where.dim() != 1:
        call.refuse(INSTEAD["index"])
    entries = where.nonzero().flatten().tolist() if where.dtype == torch.bool else where.tolist()
    if signal.axes[axis] == FEATURE:
        return picked(call, signal, axis, entries)
    if signal.axes[axis] != TIME:
        call.refuse("picks samples; expected features, or steps of time")
    return signal.with_steps([signal.steps[entry] for entry in entries])


@reads("unbind", "split", "split_with_sizes", "chunk")
def parted(call: TracedCall) -> list[FollowedSignal]:
    """Return the steps apart, or groups of them."""
    signal, last = call.args[0], 1 if call.name == "unbind" else 2
    axis = call.option(last, "dim", 0) % len(signal.axes)
    sizes = [part.shape[axis] for part in call.node.meta["val"]] if call.name != "unbind" else []
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    if signal.axes[axis] == FEATURE and sizes:
        return [picked(call, signal, axis, range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]
    if signal.axes[axis] not in (TIME, ALONE):
        call.refuse(f"parts the {signal.axes[axis]} axis; expected steps of time, or groups of features")
    if call.name == "unbind":
        rest = signal.axes[:axis] + signal.axes[axis + 1 :]
        return [FollowedSignal(rest, (step,), signal.features) for step in signal.steps]
    return [signal.with_steps(list(signal.steps[end - size : end])) for end, size in zip(ends, sizes, strict=True)]


@reads("stack", "cat")
def joined(call: TracedCall) -> FollowedSignal:
    """Return signals one behind the other in time."""
    parts = list(call.args[0])
    like = next(part for part in parts if isinstance(part, FollowedSignal))
    axis = call.option(1, "dim", 0) % len(call.shape)
    if call.name == "stack":
        parts = [_with_axis(part, axis, like, call) for part in parts]
    elif like.axes[axis] == FEATURE:
        return _beside(call, parts, like, axis)
    elif like.axes[axis] not in (TIME, ALONE):
        call.refuse(f"puts signals side by side along the {like.axes[axis]} axis; expected features, or time")
    like = next(part for part in parts if isinstance(part, FollowedSignal))
    known = [part if isinstance(part, FollowedSignal) else _steps(part, axis, like, call) for part in parts]
    if any((part.features, len(part.axes)) != (like.features, len(like.axes)) for part in known):
        call.refuse("joins signals of several shapes")
    axes = tuple(TIME if place == axis else name for place, name in enumerate(like.axes))
    if axes.count(TIME) > 1:
        call.refuse(
            "makes a second axis of time; leave num_steps (--num-steps) out where the module repeats steps itself"
        )
    return FollowedSignal(axes, tuple(step for part in known for step in part.steps), like.features)


def _beside(call: TracedCall, parts: list[Any], like: FollowedSignal, axis: int) -> FollowedSignal:
    """Return features side by side: a sum of what is put between zeros."""
    own = like.axes[:axis].count(FEATURE)
    if len(like.axes) != len(call.shape):
        call.refuse("joins signals of several shapes")
    whole = [size for size, name in zip(call.shape, like.axes, strict=True) if name == FEATURE]
    total, start = like.with_steps([Polynomial({})] * len(like.steps)), 0
    total = replace(total, features=tuple(whole))
    for part in parts:
        if not isinstance(part, FollowedSignal):
            features = [*whole[:own], part.shape[axis], *whole[own + 1 :]]
            part = constant(part, replace(like, features=tuple(features)), call.result.dtype)
        by = placing(part.features, own, start, whole[own], line_of(call.node))
        moved = part.with_steps([placed(by, step, call) for step in part.steps])
        total = call.each(lambda x, y: x + y, total, replace(moved, features=tuple(whole)))
        start += part.features[own]
    return total


def _with_axis(part: FollowedSignal | Tensor, axis: int, like: FollowedSignal, call: TracedCall) -> FollowedSignal:
    part = part if isinstance(part, FollowedSignal) else constant(part, like, call.result.dtype)
    return replace(part, axes=(*part.axes[:axis], ALONE, *part.axes[axis:]))


def _steps(part: Tensor, axis: int, like: FollowedSignal, call: TracedCall) -> FollowedSignal:
    axes = tuple(TIME if place == axis else name for place, name in enumerate(like.axes))
    return constant(
        part, FollowedSignal(axes, (Polynomial({}),) * part.shape[axis], like.features), call.result.dtype
    )


@reads("select_scatter")
def written(call: TracedCall) -> FollowedSignal:
    """Return a buffer, one of whose steps is written."""
    buffer, signal, axis, index = call.args
    axis %= len(call.shape)
    if not isinstance(signal, FollowedSignal):
        signal = constant(signal, buffer.at(axis, 0), call.result.dtype)
    if not isinstance(buffer, FollowedSignal):
        axes = (*signal.axes[:axis], TIME, *signal.axes[axis:])
        whole = FollowedSignal(axes, (Polynomial({}),) * call.shape[axis], signal.features)
        unset = bool(torch.isnan(buffer).all())
        buffer = whole.with_steps([UNSET] * call.shape[axis]) if unset else constant(buffer, whole, buffer.dtype)
    if buffer.timed != axis or signal.features != buffer.features:
        call.refuse("writes into what is no axis of time")
    steps = list(buffer.steps)
    steps[index] = signal.steps[0]
    return buffer.with_steps(steps)


@reads("slice_scatter")
def written_along(call: TracedCall) -> FollowedSignal:
    """Return a signal over time, some of whose steps are written."""
    buffer, signal = call.args[:2]
    axis = call.option(2, "dim", 0) % len(call.shape)
    places = range(call.shape[axis])[
        slice(call.option(3, "start", None), call.option(4, "end", None), call.option(5, "step", 1))
    ]
    if not isinstance(buffer, FollowedSignal) or buffer.timed != axis:
        call.refuse("writes into what is no signal over time")
    if not isinstance(signal, FollowedSignal):
        signal = constant(signal, buffer.with_steps([Polynomial({})] * len(places)), call.result.dtype)
    if (signal.axes, signal.features, len(signal.steps)) != (buffer.axes, buffer.features, len(places)):
        call.refuse("writes a signal of another shape into one over time")
    steps = list(buffer.steps)
    for place, step in zip(places, signal.steps, strict=True):
        steps[place] = step
    return buffer.with_steps(steps)


UNSET = Polynomial.graded(Image(FeatureMap(("unset",), None, False, ""), Polynomial({})))
"""What is in a buffer that nothing was written to."""


def over_time(call: TracedCall, place: int) -> FollowedSignal:
    """Return the sum, or the mean, over an axis of time."""
    signal, total = call.args[0], Polynomial({})
    for step in signal.steps:
        total = total + step
    total = total * Fraction(1, len(signal.steps) if call.name == "mean" else 1)
    name = (ALONE,) if call.option(2, "keepdim", False) else ()
    return FollowedSignal((*signal.axes[:place], *name, *signal.axes[place + 1 :]), (total,), signal.features)
