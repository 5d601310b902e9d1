"""Operations entry by entry: sums, products with spikes, comparisons, masks."""

import math
from dataclasses import replace
from fractions import Fraction
from operator import add
from typing import Any

import torch
from torch import Tensor

from ...conversion.refusal import ConversionRefused
from ..followed import ALONE, SPREAD, TIME, FollowedSignal, constant
from ..polynomials import (
    MOVING,
    ONE,
    TWO,
    UNIT,
    ZERO,
    Bent,
    Coefficient,
    Image,
    Polynomial,
    ends_of,
    exact,
    nowhere_zero,
    tensor_of,
)
from ..tracing import name_of
from ..watching import line_of
from .calls import INSTEAD, TracedCall, reads
from .moving import stretched

TRUE = Polynomial.of(UNIT)
SAME = ("detach", "alias", "clone", "contiguous", "lift_fresh_copy", "lift_fresh", "positive", "dropout")
"""What changes no value, in evaluation."""


def negated(signal: Polynomial) -> Polynomial:
    """Return 1 − s."""
    return TRUE - signal


@reads(*SAME)
def same(call: TracedCall) -> FollowedSignal:
    """Return the signal."""
    return call.args[0]


@reads("_to_copy")
def cast(call: TracedCall) -> FollowedSignal:
    """Return the signal in another type, which only spikes may have if it is no wide float."""
    dtype = call.result.dtype
    if dtype not in (torch.float32, torch.float64) and not all(step.boolean for step in call.args[0].steps):
        call.refuse(f"casts a signal that is no spike to {str(dtype)[6:]}; expected a comparison with a threshold")
    return call.args[0]


@reads("copy")
def copied_into(call: TracedCall) -> FollowedSignal:
    """Return what is written over a signal."""
    into, source = call.args[:2]
    like = into if isinstance(into, FollowedSignal) else source
    if not isinstance(source, FollowedSignal):
        return constant(source, like, call.result.dtype)
    if isinstance(into, FollowedSignal) and len(source.axes) < len(into.axes):
        return call.alike(into, source)[1]
    if call.result.dtype == torch.bool and not all(step.boolean for step in source.steps):
        call.refuse("writes a signal that is no spike into a mask")
    return source


@reads("zeros_like", "ones_like", "full_like", "fill", "new_zeros", "new_ones", "new_full", "zero")
@reads("empty_like", "new_empty")
def filled(call: TracedCall) -> Any:
    """Return a constant of a signal's shape, or of another one; memory that nobody wrote to as no number."""
    if "empty" in call.name:
        if not call.result.dtype.is_floating_point:
            call.refuse("makes memory of whole numbers without values in it; expected zeros")
        return torch.full(call.shape, torch.nan, dtype=call.result.dtype)
    numbers = {"zeros_like": 0.0, "new_zeros": 0.0, "zero": 0.0, "ones_like": 1.0, "new_ones": 1.0}
    value: Any = numbers.get(call.name, call.args[2] if call.name == "new_full" else call.args[-1])
    if call.name.startswith("new"):
        return torch.full(call.shape, value, dtype=call.result.dtype)
    return constant(value, call.args[0], call.result.dtype)


@reads("add", "sub", "rsub")
def summed(call: TracedCall) -> Any:
    """Return one + alpha·other, of masks their union."""
    one, other = call.args[:2]
    if call.result.dtype == torch.bool:
        return united(call)
    if (sunk := beyond_all(call)) is not None:
        return sunk
    factor = exact(call.option(2, "alpha", 1), call.result.dtype)
    if call.name == "rsub":
        return call.each(lambda x, y: y - x * factor, one, other)
    sign = factor if call.name == "add" else -factor
    return call.each(lambda x, y: x + y * sign, one, other)


def beyond_all(call: TracedCall) -> Tensor | None:
    """Return what a call makes of any finite signal beside an infinite constant, as an endless threshold is."""
    held = [tensor_of(each) for each in call.args[:2] if not isinstance(each, FollowedSignal)]
    if len(held) != 1 or not bool(torch.isinf(held[0]).all()) or call.kwargs.get("alpha", 1) != 1:
        return None
    like = torch.zeros(call.shape, dtype=call.operands)
    given = (like if isinstance(each, FollowedSignal) else each for each in call.args[:2])
    return call.node.target(*given)  # pyright: ignore[reportCallIssue]


@reads("neg")
def opposite(call: TracedCall) -> FollowedSignal:
    """Return −x."""
    return call.args[0].with_steps([step * -UNIT for step in call.args[0].steps])


@reads("mul", "logical_and", "bitwise_and")
def product(call: TracedCall) -> FollowedSignal:
    """Return the product, of masks where both hold."""
    if call.name != "mul":
        check_masks(call, *call.args)
    one, other = call.args[:2]
    if (found := _spread(call)) is not None:
        return found
    if isinstance(one, FollowedSignal) and isinstance(other, FollowedSignal):
        one, other = stretched(call, one, other), stretched(call, other, one)
    try:
        return call.each(lambda x, y: x * y, one, other)
    except ConversionRefused as error:
        if str(error) != TWO:
            raise
        first, second = (_handed_on(call, place, each) for place, each in enumerate((one, other)))
        return call.each(lambda x, y: x * y, first, second)


def _spread(call: TracedCall) -> FollowedSignal | None:
    """Return a signal times constants along an axis that has one entry in it; None for another product."""
    signals = [each for each in call.args[:2] if isinstance(each, FollowedSignal)]
    held = [each for each in call.args[:2] if isinstance(each, Tensor)]
    if len(signals) != 1 or len(held) != 1 or len(signals[0].axes) != len(call.shape) or not signals[0].plain:
        return None
    (signal,), (numbers,) = signals, held
    sizes = zip(signal.sizes(call.batch), call.shape, strict=True)
    new = [place for place, (before, after) in enumerate(sizes) if before != after]
    if len(new) != 1 or signal.axes[new[0]] != ALONE or TIME in signal.axes or len(signal.steps) != 1:
        return None
    if numbers.numel() != call.shape[new[0]]:
        return None
    axes = (*signal.axes[: new[0]], SPREAD, *signal.axes[new[0] + 1 :])
    factors = (exact(each, call.result.dtype) for each in numbers.flatten())
    return FollowedSignal(axes, tuple(signal.steps[0] * factor for factor in factors), signal.features)


def _handed_on(call: TracedCall, place: int, signal: FollowedSignal) -> FollowedSignal:
    """Return spikes that were moved as those of neurons without memory, which fire where they are."""
    if not all(is_moved_spike(step) for step in signal.steps):
        return signal
    half = signal.with_steps([step - Polynomial.of(Fraction(1, 2)) for step in signal.steps])
    return call.fire(replace(call, node=call.node.args[place]), half, False)  # pyright: ignore[reportArgumentType]


def is_moved_spike(signal: Polynomial) -> bool:
    """Return whether a signal is one of zeros and ones that was moved, and known to be that."""
    ((_, graded), number), *more = [*signal.terms.items(), ((frozenset(), None), ZERO)]
    alone = len(more) == 1 and number == UNIT and isinstance(graded, Image) and not signal.spikes
    if not alone or graded.map.key[0] not in MOVING:
        return False
    return graded.signal.boolean or is_moved_spike(graded.signal)


@reads("logical_or", "bitwise_or")
def united(call: TracedCall) -> FollowedSignal:
    """Return where one of two masks holds."""
    check_masks(call, *call.args[:2])
    return call.each(lambda x, y: x + y - x * y, *call.args[:2])


@reads("logical_xor", "bitwise_xor")
def exclusive(call: TracedCall) -> FollowedSignal:
    """Return where just one of two masks holds."""
    check_masks(call, *call.args[:2])
    return call.each(lambda x, y: x + y - x * y * Fraction(2), *call.args[:2])


@reads("logical_not", "bitwise_not")
def reversed_mask(call: TracedCall) -> FollowedSignal:
    """Return where a mask does not hold."""
    check_masks(call, call.args[0])
    return call.args[0].with_steps([negated(step) for step in call.args[0].steps])


def check_masks(call: TracedCall, *masks: Any) -> None:
    """Raise unless operands are true or false, where bits are combined, or spikes."""
    boolean = all(step.boolean for mask in masks if isinstance(mask, FollowedSignal) for step in mask.steps)
    fixed = all(mask.dtype == torch.bool for mask in masks if isinstance(mask, Tensor))
    if not boolean or not fixed or (call.name.startswith("bitwise") and call.result.dtype != torch.bool):
        call.refuse("combines what is no mask; expected spikes or comparisons")


@reads("div")
def quotient(call: TracedCall) -> FollowedSignal:
    """Return the quotient by a constant."""
    one, other, *mode = call.args
    if mode or call.kwargs.get("rounding_mode") is not None:
        call.refuse("rounds a quotient")
    if isinstance(other, FollowedSignal) and any(step.rest.terms for step in other.steps):
        call.refuse("divides by a signal")
    return call.each(lambda x, y: x * _inverse(call, y.constant), one, other)


def _inverse(call: TracedCall, number: Coefficient) -> Coefficient:
    if not nowhere_zero(number):
        call.refuse("divides by 0")
    return UNIT / number


@reads("addcmul")
def sum_with_product(call: TracedCall) -> FollowedSignal:
    """Return x + value·y·z."""
    start, one, other = call.args[:3]
    factor = exact(call.kwargs.get("value", 1), call.result.dtype)
    return call.each(lambda x, y: x + y * factor, start, call.each(lambda x, y: x * y, one, other))


@reads("lerp")
def between(call: TracedCall) -> FollowedSignal:
    """Return (1 − w)·x + w·y: torch goes from the nearer end, so that it rounds no more than a share of each."""
    start, end, weight = call.args[:3]
    kept = call.each(lambda x, y: negated(x) * y, weight, start)
    return call.each(add, kept, call.each(lambda x, y: x * y, weight, end))


@reads("where")
def chosen(call: TracedCall) -> FollowedSignal:
    """Return one value where a mask holds, else another."""
    mask, one, other = call.args
    if not isinstance(mask, FollowedSignal):
        like = one if isinstance(one, FollowedSignal) else other
        mask = constant(mask, like, torch.bool)
    check_masks(call, mask)
    first = call.each(lambda x, y: x * y, mask, one)
    return call.each(add, first, call.each(lambda x, y: negated(x) * y, mask, other))


@reads("masked_fill", "index_put")
def overwritten(call: TracedCall) -> FollowedSignal:
    """Return a signal with a constant where a mask holds."""
    signal, masks, value = call.args[:3]
    mask = masks[0] if isinstance(masks, list) and len(masks) == 1 else masks
    if call.name == "masked_fill" and isinstance(mask, Tensor) and isinstance(signal, FollowedSignal):
        mask = constant(mask, signal, torch.bool)
    accumulates = call.name == "index_put" and len(call.args) > 3 and call.args[3]
    number = None if isinstance(value, FollowedSignal) else tensor_of(value)
    masks_only = call.name != "index_put" or call.node.args[1][0].meta["val"].dtype == torch.bool  # pyright: ignore
    fits = isinstance(mask, FollowedSignal) and mask.axes == getattr(signal, "axes", None)
    if number is None or number.numel() != 1 or accumulates or not masks_only or not fits:
        call.refuse("writes at places that are picked by values; expected torch.where, or a product with the mask")
    check_masks(call, mask)
    kept = call.each(lambda x, y: negated(x) * y, mask, signal)
    return call.each(add, kept, call.each(lambda x, y: x * y, mask, number.flatten()[0]))


@reads("gt", "ge", "lt", "le")
def compared(call: TracedCall) -> Any:
    """Return the spikes of a comparison: of x > y where x − y is above 0."""
    if (settled := beyond_all(call)) is not None:
        return settled
    up = call.name[0] == "g"
    excess = call.each(lambda x, y: x - y if up else y - x, *call.args, dtype=call.operands)
    return call.fire(call, excess, call.name in ("gt", "lt"))


@reads("threshold")
def kept_above(call: TracedCall) -> FollowedSignal:
    """Return a signal where it is above a threshold, elsewhere a constant."""
    signal, limit, value = (call.args[0], *(exact(each, call.result.dtype) for each in call.args[1:3]))
    mask = call.fire(call, signal.with_steps([step - Polynomial.of(limit) for step in signal.steps]), True)
    return call.each(lambda x, y: x * y + negated(x) * value, mask, signal)


@reads("heaviside")
def step_function(call: TracedCall) -> FollowedSignal:
    """Return 1 above 0, and at 0 what it is told."""
    signal, at_zero = call.args
    value = None if isinstance(at_zero, FollowedSignal) else exact(at_zero, call.result.dtype)
    if value not in (ZERO, UNIT):
        call.refuse("is neither 0 nor 1 at a tie; expected a comparison")
    return call.fire(call, signal, value == ZERO)


@reads("sign", "sgn")
def sign(call: TracedCall) -> FollowedSignal:
    """Return 1 above 0, −1 below, 0 at a tie; where a ReLU is all that reads it, the spikes that this leaves."""
    if all(name_of(user) == "relu" for user in call.node.users):
        return call.fire(call, call.args[0], True)
    above, from_zero = (call.fire(call, call.args[0], strict) for strict in (True, False))
    return call.each(lambda x, y: x + y - TRUE, above, from_zero)


@reads("eq", "ne")
def equal(call: TracedCall) -> FollowedSignal:
    """Return whether a spike has a value."""
    difference = call.each(lambda x, y: x - y, *call.args, dtype=call.operands)
    for step in difference.steps:
        if step.signals or (len(step.spikes) > 1 and not step.exclusive):
            call.refuse("asks whether a graded signal has just one value; expected a comparison with a threshold")
    found = difference.with_steps([valued(step, lambda value: value == ZERO) for step in difference.steps])
    return found if call.name == "eq" else found.with_steps([negated(step) for step in found.steps])


@reads("tanh", "sigmoid", "hardtanh", "hardsigmoid")
def bent(call: TracedCall) -> FollowedSignal:
    """Return a bounded function of a signal, which no neuron may hear of: as (s − b).detach() + b it cancels."""
    signal = call.args[0]
    if not any(step.signals for step in signal.steps):
        return bounded(call)
    why = INSTEAD.get(call.name, INSTEAD["clamp"])
    told = f"{line_of(call.node)}: {call.name}: {why}"
    found = []
    for number, step in enumerate(signal.steps):
        low, high = (value_at(call, end) for end in ends_of(step) or (-math.inf, math.inf))
        found.append(Polynomial.graded(Bent(call.node.name, number, told, low, high)))
    return signal.with_steps(found)


def value_at(call: TracedCall, place: Fraction | float) -> Fraction:
    """Return what a function of one number, in the call's own precision, makes of it: all that bend only rise."""
    given = torch.tensor(float(place), dtype=call.node.args[0].meta["val"].dtype)  # pyright: ignore
    return exact(call.node.target(given, *call.args[1:], **call.kwargs), call.result.dtype)  # pyright: ignore


@reads("relu", "abs", "clamp", "clamp_min", "clamp_max", "hardtanh", "minimum", "maximum", "pow", "square")
def bounded(call: TracedCall) -> FollowedSignal:
    """Return a function of spikes: what it makes of 0 and of 1."""
    signal = call.args[0]
    others = [arg for arg in call.args[1:] if isinstance(arg, Tensor | FollowedSignal)]
    ends = [call.option(place, name, None) for place, name in ((1, "min"), (2, "max"))]
    numbers = [end for end in ends if isinstance(end, int | float)]
    bounds = call.name == "clamp" and len(numbers) == 2 and max(map(abs, numbers)) <= 1
    if bounds and any(step.signals for step in signal.steps):
        return bent(call)
    if (
        others
        or not isinstance(signal, FollowedSignal)
        or any(step.signals or (len(step.spikes) > 2 and not step.exclusive) for step in signal.steps)
    ):
        call.refuse(
            INSTEAD.get(call.name.removesuffix("_min").removesuffix("_max"), "bends a signal that is no spike")
        )

    def made(value: Coefficient) -> Coefficient:
        """Return the function's own value at one."""
        if not isinstance(value, Fraction):
            call.refuse("bends spikes of factors that differ")
        return value_at(call, value)

    return signal.with_steps([mapped(step, made) for step in signal.steps])


def valued(signal: Polynomial, holds: Any) -> Polynomial:
    """Return where a polynomial of spikes has a value for which a condition holds."""
    return mapped(signal, lambda value: UNIT if holds(value) else ZERO)


def mapped(signal: Polynomial, function: Any) -> Polynomial:
    """Return a function of a polynomial of spikes, by its values."""
    spike = next(iter(signal.spikes), None)
    if spike is None or signal.exclusive:
        first = function(signal.constant)
        changes = {term: function(signal.constant + number) - first for term, number in signal.rest.terms.items()}
        return Polynomial({ONE: first} | changes)
    quiet, fires = (mapped(signal.where(spike, state), function) for state in (False, True))
    return quiet + (fires - quiet) * Polynomial.spike(spike)
