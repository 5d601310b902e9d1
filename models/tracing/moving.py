"""Operations that move numbers: steps are taken apart and put together, features only change their shape."""

from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from .followed import ALONE, FEATURE, TIME, FollowedSignal, constant, regrouped
from .operations import TracedCall, reads
from .polynomials import ONE, FeatureMap, Fractions, Image, Polynomial, image
from .watching import line_of


@reads("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_reshape_alias")
def reshaped(call: TracedCall) -> FollowedSignal:
    """Return the signal in another shape."""
    signal = call.args[0]
    if call.name == "unsqueeze":
        place = call.args[1] % len(call.shape)
        return replace(signal, axes=(*signal.axes[:place], ALONE, *signal.axes[place:]))
    axes, features = regrouped(signal, call.shape, call.batch)
    return FollowedSignal(
        axes, tuple(viewed(step, signal.features, features, call) for step in signal.steps), features
    )


def viewed(signal: Polynomial, before: tuple[int, ...], after: tuple[int, ...], call: TracedCall) -> Polynomial:
    """Return features in another shape, spikes among them as signals without a shape of their own."""
    if before == after:
        return signal
    found = Polynomial({})
    for (spikes, graded), number in signal.terms.items():
        if isinstance(number, Fractions):
            call.refuse("changes the shape of what has factors that differ; expected it in front of them")
        term, first = Polynomial({(spikes, graded): number}), before
        if (spikes, graded) != ONE:
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
    if features != sorted(features):
        call.refuse("changes the order of features; expected their axes to stay in order")
    return replace(signal, axes=tuple(signal.axes[place] for place in order))


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
    if signal.axes[axis] != TIME or call.name == "narrow":
        call.refuse(f"takes a part of the {signal.axes[axis]} axis; expected steps of time only")
    start, end, step = (call.option(2, "start", None), call.option(3, "end", None), call.option(4, "step", 1))
    return signal.with_steps(list(signal.steps[start:end:step]))


@reads("unbind", "split", "split_with_sizes", "chunk")
def parted(call: TracedCall) -> list[FollowedSignal]:
    """Return the steps apart, or groups of them."""
    signal, last = call.args[0], 1 if call.name == "unbind" else 2
    axis = call.option(last, "dim", 0) % len(signal.axes)
    if signal.axes[axis] not in (TIME, ALONE):
        call.refuse(f"parts the {signal.axes[axis]} axis; expected steps of time only")
    if call.name == "unbind":
        rest = signal.axes[:axis] + signal.axes[axis + 1 :]
        return [FollowedSignal(rest, (step,), signal.features) for step in signal.steps]
    sizes = [part.shape[axis] for part in call.node.meta["val"]]
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [signal.with_steps(list(signal.steps[end - size : end])) for end, size in zip(ends, sizes, strict=True)]


@reads("stack", "cat")
def joined(call: TracedCall) -> FollowedSignal:
    """Return signals one behind the other in time."""
    parts = list(call.args[0])
    like = next(part for part in parts if isinstance(part, FollowedSignal))
    axis = call.option(1, "dim", 0) % len(call.shape)
    if call.name == "stack":
        parts = [_with_axis(part, axis, like, call) for part in parts]
    elif all(isinstance(part, FollowedSignal) for part in parts) and like.axes[axis] not in (TIME, ALONE):
        call.refuse(f"puts signals side by side along the {like.axes[axis]} axis; add them, or use one layer")
    like = next(part for part in parts if isinstance(part, FollowedSignal))
    known = [part if isinstance(part, FollowedSignal) else _steps(part, axis, like, call) for part in parts]
    if any((part.features, len(part.axes)) != (like.features, len(like.axes)) for part in known):
        call.refuse("joins signals of several shapes")
    axes = tuple(TIME if place == axis else name for place, name in enumerate(like.axes))
    if axes.count(TIME) > 1:
        call.refuse("makes a second axis of time")
    return FollowedSignal(axes, tuple(step for part in known for step in part.steps), like.features)


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


UNSET = image(FeatureMap(("unset",), None, False, "memory that was never written"), Polynomial({}))
"""What is in a buffer that nothing was written to."""


def over_time(call: TracedCall, place: int) -> FollowedSignal:
    """Return the sum, or the mean, over an axis of time."""
    signal, total = call.args[0], Polynomial({})
    for step in signal.steps:
        total = total + step
    total = total * Fraction(1, len(signal.steps) if call.name == "mean" else 1)
    name = (ALONE,) if call.option(2, "keepdim", False) else ()
    return FollowedSignal((*signal.axes[:place], *name, *signal.axes[place + 1 :]), (total,), signal.features)
