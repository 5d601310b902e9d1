"""What torch's operations round, one by one: the table that `Straying` goes by."""

import math
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from .operations.arithmetic import SAME
from .reading import PLAIN
from .straying import (
    MOST,
    ONE,
    Form,
    Handlers,
    Straying,
    Unknown,
    Value,
    constant,
    filled,
    floated,
    greater,
    is_boolean,
    is_plain,
    met,
    moduli,
    most_of,
    plus,
    shape_of,
    told,
    widest,
)
from .tracing import name_of
from .watching import line_of

MOVING = (
    *("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_reshape_alias"),
    *("expand", "repeat", "expand_as", "broadcast_to", "permute", "transpose", "t", "movedim", "swapaxes"),
    *(
        "select",
        "slice",
        "narrow",
        "index",
        "index_select",
        "constant_pad_nd",
        "pixel_shuffle",
        "upsample_nearest2d",
    ),
    *("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d", "flip", "roll"),
)
BENDING = (
    *("tanh", "sigmoid", "hardtanh", "hardsigmoid", "relu", "clamp", "clamp_min", "clamp_max", "abs", "square"),
    "pow",
)
NEARER = ("relu", "clamp", "clamp_min", "clamp_max", "hardtanh")
"""What brings no two numbers further apart, and rounds nothing."""
STEEPEST = 4.0
"""By how much more a function of 0 or 1, and what is near, may change than it does."""
MOST_LISTED = 6
"""Of so many spikes a function is listed."""
DENSE = ("addmm", "mm", "linear", "matmul", "mv", "addmv", "bmm")
BATCH_NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
POOLS = ("avg_pool2d", "avg_pool1d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_avg_pool1d")
MAX_POOLS = ("max_pool2d_with_indices", "max_pool2d", "max_pool1d", "max_pool1d_with_indices")
FILLING = (
    *("empty_like", "new_empty", "zeros_like", "ones_like", "full_like", "fill", "zero"),
    *("new_zeros", "new_ones", "new_full"),
)


def _summed(own: Straying, node: Node, args: Any, kwargs: Any, name: str) -> Value:
    """Return x ± alpha·y; a spike from which a number is taken and added again is off by two roundings of 1."""
    one, other = args[:2] if name != "rsub" else args[1::-1]
    alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
    if alpha != 1:
        other = own.multiplied(other, float(alpha), node)
    if name == "add" and alpha == 1 and (spike := _restored(own, node)) is not None:
        return spike
    if getattr(node.meta.get("val"), "dtype", None) == torch.bool:
        return _united(own, node, args, kwargs)
    return own.sum(one, other, node, 1 if name == "add" else -1)


def _restored(own: Straying, node: Node) -> Value | None:
    """Return a spike of which (s − b) + b is made, which is 0 where s is: fl(b − b) is; None for another sum."""
    for first, second in (node.args[:2], node.args[1::-1]):
        inner = first
        while isinstance(inner, Node) and name_of(inner) in SAME:
            inner = inner.args[0]
        if not isinstance(inner, Node) or name_of(inner) != "sub" or inner.kwargs or not isinstance(second, Node):
            continue
        spike, taken = (own.values.get(each) if isinstance(each, Node) else None for each in inner.args[:2])
        same = own.same.name_of(inner.args[1]) == own.same.name_of(second)
        if same and isinstance(spike, Value) and isinstance(taken, Value) and is_boolean(spike):
            size = float(taken.size.max())
            if size <= 8.0:
                return replace(spike, rel=3.0 + size)
    return None


def _quotient(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    """Return x/c, one rounding; or of an array of constants."""
    given, by = args[:2]
    if isinstance(by, Value) or len(args) > 2 or kwargs.get("rounding_mode") is not None:
        raise Unknown(f"{line_of(node)}: divides by a signal")
    held = constant(by, own.dtype).low
    if not bool((held != 0).all()):
        raise Unknown(f"{line_of(node)}: divides by 0")
    inverse = constant(1.0, own.dtype)
    numbers = next(iter(constant(by, own.dtype).form.values()))
    inverse = replace(inverse, low=1.0 / held, high=1.0 / held, form={ONE: 1 / numbers})
    return own.multiplied(given, inverse, node)


def _with_product(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    found = own.multiplied(args[1], args[2], node)
    if kwargs.get("value", 1) != 1:
        found = own.multiplied(found, float(kwargs["value"]), node)
    return own.sum(args[0], found, node)


def _between(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    """Return x + w·(y − x), or y − (1 − w)·(y − x): torch takes the one or the other."""
    start, end, weight = args[:3]
    apart = own.sum(end, start, node, -1)
    share = own.lifted(weight)
    if share.graded:
        raise Unknown(f"{line_of(node)}: weighs by a signal")
    found = own.sum(start, own.multiplied(apart, share, node), node)
    other = own.sum(end, own.multiplied(apart, own.sum(1.0, share, node, -1), node), node, -1)
    off, gates = greater(found.off, other.off), met(found.gates, other.gates)
    return replace(found, rho=widest(found.rho, other.rho), off=off, rel=max(found.rel, other.rel), gates=gates)


def _compared(own: Straying, node: Node, args: Any, kwargs: Any, name: str) -> Value:
    one, other = args[:2] if name[0] == "g" else args[1::-1]
    return own.compared(node, one, other, name in ("gt", "lt"))


def _step(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    at_zero = args[1]
    low = at_zero.low if isinstance(at_zero, Value) else torch.as_tensor(at_zero)
    return own.compared(node, args[0], 0.0, not bool(low.any()))


def _kept_above(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    mask = own.compared(node, args[0], args[1], True)
    return own.chosen(mask, args[0], args[2], node)


def _sign(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    above = own.compared(node, args[0], 0.0, True)
    if all(name_of(user) == "relu" for user in node.users):
        return above
    from_zero = own.compared(node, args[0], 0.0, False)
    return own.sum(own.sum(above, from_zero, node), 1.0, node, -1)


def _equal(own: Straying, node: Node, args: Any, kwargs: Any, name: str) -> Value:
    difference = own.sum(args[0], args[1], node, -1)
    if difference.graded or not difference.exact:
        raise Unknown(f"{line_of(node)}: asks whether a signal has just one value")
    found = _of_spikes(own, node, difference, lambda number: (number == 0).double())
    return own.sum(1.0, found, node, -1) if name == "ne" else found


def _of_spikes(own: Straying, node: Node, value: Value, function: Any) -> Value:
    """Return a function of a number of spikes, by its values for all of them."""
    spikes = value.spikes
    if value.graded or len(spikes) > MOST_LISTED or not _near_exact(value):
        raise Unknown(f"{line_of(node)}: {name_of(node)}: bends a signal that is no spike, or that was rounded")
    form: Form = {}
    for states in product((0, 1), repeat=len(spikes)):
        on = frozenset(spike for spike, state in zip(spikes, states, strict=True) if state)
        held = sum((floated(number) for (each, _), number in value.form.items() if each <= on), start=0.0)
        number = constant(function(torch.as_tensor(held, dtype=torch.float64)), torch.float64)
        total = number.form.get(ONE, None)
        below = [form[each, None] for each in {term[0] for term in form} if each < on]
        for each in below:
            total = plus(total, -each) if total is not None else -each
        if total is not None:
            form[on, None] = total
    low = function(value.low)
    high = function(value.high)
    low, high = torch.minimum(low, high), torch.maximum(low, high)
    strayed = STEEPEST * value.rel * own.unit * value.size
    return own.made(*_range_of(own, form, low), node, Value(low, high, form, off=strayed))


def _range_of(own: Straying, form: Form, like: Tensor) -> tuple[Tensor, Tensor]:
    low, high = own._range(form)
    return (torch.as_tensor(each, dtype=torch.float64).expand(like.shape).clone() for each in (low, high))  # pyright: ignore


def _near_exact(value: Value) -> bool:
    return replace(value, rel=0.0).exact and value.rel <= 16.0


def _bent(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    """Return a function of spikes; of a graded signal, which must cancel, a number between its ends."""
    value, dtype = args[0], node.all_input_nodes[0].meta["val"].dtype

    def function(number: Tensor) -> Tensor:
        return node.target(number.to(dtype), *args[1:], **kwargs).double()  # pyright: ignore[reportCallIssue]

    if any(isinstance(each, Value) for each in args[1:]):
        raise Unknown(f"{line_of(node)}: {name_of(node)}: of two signals")
    name = name_of(node)
    if name in ("pow", "square") and value.rel:
        raise Unknown(f"{line_of(node)}: {name}: of what was rounded")
    if not value.graded and len(value.spikes) <= MOST_LISTED:
        return _of_spikes(own, node, value, function)
    if name in NEARER and (not value.graded or own.is_count(value)):  # as of a count of steps, which is whole
        ends = function(value.low), function(value.high)
        error, limits = own.error(value), [each for each in (*args[1:], *kwargs.values()) if each is not None]
        plain = all(isinstance(each, int | float) and each * PLAIN % 1 == 0 for each in limits)
        grain = min(own.grain(value), 1.0 / PLAIN) if plain else 0.0
        return own.named(torch.minimum(*ends), torch.maximum(*ends), error=error, excess=error, grain=grain)
    ends = [function(end) for end in (value.low, value.high)]
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    if name in ("abs", "square", "pow"):
        raise Unknown(f"{line_of(node)}: {name}: of a signal")
    room = 8 * own.unit * (1.0 + low.abs().maximum(high.abs()))
    return own.named(low - room, high + room, error=math.inf, excess=math.inf)


def _moved(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    value, name = args[0], name_of(node)
    if name == "index" and any(isinstance(each, Value) for each in args[1]):
        raise Unknown(f"{line_of(node)}: picks by values")
    if name == "constant_pad_nd" and (len(args) > 2 and args[2]):
        raise Unknown(f"{line_of(node)}: pads by a number")
    if name == "view" and str(node.target).endswith("dtype"):
        return value
    shape = tuple(shape_of(node))
    if value.parts is not None and name in ("select", "slice") and args[1] % value.low.dim() == value.parts[1]:
        parts, axis = value.parts
        if name == "select":
            return parts[args[2]]
        taken = parts[slice(*args[2:5])]
        return _stacked(own, list(taken), axis)
    if shape == tuple(value.low.shape) and name in ("view", "_unsafe_view", "reshape", "expand", "expand_as"):
        return value
    return own.moved(value, lambda end: node.target(end, *args[1:], **kwargs))  # pyright: ignore[reportCallIssue]


def _parted(own: Straying, node: Node, args: Any, kwargs: Any) -> list[Value]:
    value = args[0]
    if (
        name_of(node) == "unbind"
        and value.parts is not None
        and value.parts[1] == (args[1] if len(args) > 1 else 0)
    ):
        return list(value.parts[0])
    count = len(node.meta["val"])
    return [
        own.moved(value, lambda end, place=place: node.target(end, *args[1:], **kwargs)[place])  # pyright: ignore
        for place in range(count)
    ]


def _stacked(own: Straying, values: list[Value], axis: int) -> Value:
    """Return values side by side along a new axis, each known still."""
    join = partial(torch.stack, dim=axis)
    shapes = torch.broadcast_shapes(*(each.low.shape for each in values))
    full = [replace(each, low=each.low.expand(shapes), high=each.high.expand(shapes)) for each in values]
    found = own.joined(full, lambda ends: join([end.expand(shapes) for end in ends]))
    return replace(found, parts=(tuple(full), axis))


def _joined(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    axis = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    values = [own.lifted(each) for each in args[0]]
    for place, each in enumerate(args[0]):
        if isinstance(each, Tensor):
            values[place] = replace(values[place], low=each.double(), high=each.double())
    if name_of(node) == "stack":
        dim = len(shape_of(node))
        return _stacked(own, values, axis % dim)
    return own.joined(values, lambda ends: torch.cat(ends, axis))


def _written(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    """Return a signal with another one written into it; memory that nobody wrote to holds 0 until then."""
    into, source, *where = args
    into, source = own.lifted(into), own.lifted(source)
    shape = tuple(shape_of(node))
    if isinstance(args[0], Tensor):
        held = args[0].double().nan_to_num(0.0).expand(shape).contiguous()
        into = replace(constant(held, own.dtype), low=held, high=held)
    name = name_of(node)
    inner = torch.empty(shape, device="meta")
    inner = inner.select(where[0], where[1]) if name == "select_scatter" else inner

    def write(ends: list[Tensor]) -> Tensor:
        """Return one end with the other written into it."""
        first = ends[0].expand(shape).contiguous()
        second = ends[1].expand(inner.shape) if name == "select_scatter" else ends[1]
        return node.target(first, second.contiguous(), *where, **kwargs)  # pyright: ignore[reportCallIssue]

    if name == "select_scatter":
        axis, place = where[0] % len(shape), where[1] % shape[where[0] % len(shape)]
        before = into.parts[0] if into.parts is not None and into.parts[1] == axis else None
        if before is None and not into.form:
            nothing = torch.zeros(inner.shape, dtype=torch.float64)
            before = (Value(nothing, nothing, {}),) * shape[axis]
        if before is not None:
            full = replace(source, low=source.low.expand(inner.shape), high=source.high.expand(inner.shape))
            return _stacked(own, [*before[:place], full, *before[place + 1 :]], axis)
    full = replace(into, low=into.low.expand(shape), high=into.high.expand(shape))
    return own.joined([full, source], write)


def _copied(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    source = own.lifted(args[1])
    shape = shape_of(node)
    return replace(source, low=source.low.expand(shape), high=source.high.expand(shape))


def _cast(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    """Return a value in another type: of a narrower one once more rounded."""
    value, before, after = args[0], node.args[0].meta["val"].dtype, node.meta["val"].dtype  # pyright: ignore
    if before == torch.float64 and after == torch.float32 and not is_boolean(replace(value, rel=0.0)):
        one = own.sum(value, 0.0, node)
        room = own.unit * one.size + own.least
        return replace(one, rel=one.rel + 1.1, off=one.off + own.least, low=one.low - room, high=one.high + room)
    return value


def _filled_with(own: Straying, node: Node, args: Any, kwargs: Any) -> Tensor:
    name = name_of(node)
    numbers = {"zeros_like": 0.0, "new_zeros": 0.0, "zero": 0.0, "ones_like": 1.0, "new_ones": 1.0}
    value = numbers.get(name, 0.0 if "empty" in name else args[2] if name == "new_full" else args[-1])
    if isinstance(value, Value):
        raise Unknown(f"{line_of(node)}: fills by a signal")
    held: Any = node.meta["val"]
    return torch.full(tuple(held.shape), float(value), dtype=held.dtype)


def _dense(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    name, bias = name_of(node), None
    if name in ("addmm", "addmv"):
        bias, given, weight = args[:3]
    else:
        given, weight = args[:2]
    if name == "linear":
        bias, weight = args[2] if len(args) > 2 else kwargs.get("bias"), weight.t()
    if kwargs.get("beta", 1) != 1 or kwargs.get("alpha", 1) != 1:
        raise Unknown(f"{line_of(node)}: has factors beside its matrix")
    left = not isinstance(given, Value)
    given, weight = (weight, given) if left else (given, weight)
    if isinstance(weight, Value) or not isinstance(given, Value):
        raise Unknown(f"{line_of(node)}: multiplies two signals")
    assert isinstance(weight, Tensor)
    held = weight.detach().double()
    apply = (lambda by: lambda x: by @ x) if left else (lambda by: lambda x: x @ by)
    beside = bias if isinstance(bias, Value) or (bias is not None and bias.dim() != 1) else None
    own_bias = bias.detach() if beside is None and isinstance(bias, Tensor) else None
    paid = told(weight, own_bias, None, None) in own.layers.weights
    wide = replace(given, low=filled(given.low, given.low.shape), high=filled(given.high, given.low.shape))
    found = own.affine(
        wide, node, apply(held), apply(held.abs()), held.shape[-1 if left else max(0, held.dim() - 2)],
        None if own_bias is None else own_bias.double(), paid,
    )  # fmt: skip
    return found if beside is None else own.sum(found, beside, node)


def _convolved(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    given, weight, bias = args[:3]
    if isinstance(weight, Value) or not isinstance(given, Value):
        raise Unknown(f"{line_of(node)}: convolves two signals")
    transposed = bool(args[6]) if len(args) > 6 else False
    terms = weight[:, 0].numel() if transposed else weight[0].numel()

    def by(kernel: Tensor) -> Any:
        return lambda x: torch.ops.aten.convolution(x.contiguous(), kernel, None, *args[3:])

    held = weight.detach().double()
    shape = (-1, *[1] * (weight.dim() - 2))
    beside = None if bias is None else bias.detach().double().reshape(shape)
    paid = told(weight, bias, None, None) in own.layers.weights
    return own.affine(given, node, by(held), by(held.abs()), terms, beside, paid)


def _normalized(own: Straying, node: Node, args: Any, kwargs: Any) -> list[Any]:
    """Return what a batch norm makes, by its averages: a layer of the network, or factors and constants."""
    given, weight, bias, mean, var = args[:5]
    eps = next(each for each in reversed(args) if isinstance(each, float))
    shape = (1, -1, *[1] * (given.low.dim() - 2))
    ones = torch.ones_like(mean)
    weight, bias = (ones if weight is None else weight), (ones * 0 if bias is None else bias)
    factor = (weight.detach().double() / (var.double() + eps).sqrt()).reshape(shape)
    moved = mean.detach().double().reshape(shape) * factor
    shift = bias.detach().double().reshape(shape) - moved
    if told(weight, bias, mean, var) in own.layers.weights:
        local = (
            8 * own.unit * (factor.abs() * given.size + moved.abs() + bias.detach().double().reshape(shape).abs())
        )
        error, excess = (filled(size(given), given.low.shape) * factor.abs() for size in (own.error, own.excess))
        ends = [end * factor + shift for end in (given.low, given.high)]
        own.factor = max(own.factor, 1.0 + max(0.0, max([given.rel, *own._further(given)]) - 1.0) / 3.0)
        low, high = torch.minimum(*ends) - local, torch.maximum(*ends) + local
        return [own.named(low, high, error=error + local + 4 * own.least, excess=excess), None, None]
    scaled = own.multiplied(given, factor, node)
    found = own.sum(scaled, constant(shift, torch.float64), node)
    more = 8 * own.unit * (moved.abs() + bias.detach().double().reshape(shape).abs()) + 4 * own.least
    rho = {symbol: share + 8 * moduli(found.form).get(symbol, 0.0) for symbol, share in found.rho.items()}
    return [replace(found, rho=rho, off=found.off + more), None, None]


def _pooled(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    """Return a mean of windows: a sum, and a quotient; votes, of counts, whose sums round nothing."""
    given = args[0]

    def by(end: Tensor) -> Tensor:
        return node.target(end.contiguous(), *args[1:], **kwargs)  # pyright: ignore[reportCallIssue]

    terms = _window(node, args, given)
    if name_of(node).startswith("avg") and not kwargs and _in_full(args[3:]):
        votes = own.votes(given, lambda end: by(end) * terms, terms)
        if votes is not None:
            return own.shared(votes, terms, node)
    return own.affine(given, node, by, by, terms, None, own.layers.averages)


def _in_full(rest: Any) -> bool:
    """Return whether windows lie within the signal, and what they sum is divided by their size."""
    padding, ceils, _, divisor = (*rest, *(0, False, True, None)[len(rest) :])
    return padding in (0, [0], [0, 0]) and not ceils and divisor is None


def _window(node: Node, args: Any, given: Value) -> int:
    if name_of(node).startswith("avg"):
        return math.prod(args[1]) if isinstance(args[1], list | tuple) else args[1]
    return max(1, given.low.numel() // max(1, math.prod(shape_of(node)))) * 4


def _reduced(own: Straying, node: Node, args: Any, kwargs: Any, name: str) -> Value:
    """Return a sum or a mean over axes; of a stack of values one after another."""
    given = args[0]
    axes = args[1] if len(args) > 1 and args[1] is not None else list(range(given.low.dim()))
    axes = [axes] if isinstance(axes, int) else list(axes)
    keeps = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    places = {axis % given.low.dim() for axis in axes}
    if given.parts is not None and places == {given.parts[1]} and not keeps:
        return _in_row(own, node, list(given.parts[0]), name)

    def by(end: Tensor) -> Tensor:
        return node.target(end.contiguous(), axes, keeps)  # pyright: ignore[reportCallIssue]

    count = math.prod(given.low.shape[place] for place in places)
    votes = own.votes(given, (lambda end: by(end) * count) if name == "mean" else by, count)
    if votes is not None:
        return votes if name == "sum" else own.shared(votes, count, node)
    if is_boolean(given) and count < 2**20 and name == "sum":
        low, high = by(given.low), by(given.high)
        return own.named(low, high)
    if not given.graded and given.exact and not given.form:
        held = by(given.low)
        return Value(held, held, {})
    return own.affine(given, node, by, by, count, None, False)


def _in_row(own: Straying, node: Node, parts: list[Value], name: str) -> Value:
    """Return the sum of values, in any order, with γ of so many terms; the mean is one more quotient."""
    total = parts[0]
    for each in parts[1:]:
        total = own._summed(total, each, node, 1, False)
    counts = all(map(own.is_count, parts)) and sum(most_of(each.size) for each in parts) < MOST
    exact = counts or (all(each.exact and not each.graded for each in parts) and is_plain(total.form))
    if not exact:
        own_error = (len(parts) + 1) * own.unit
        share = own_error / (1 - own_error) / own.unit
        rho, off = dict(total.rho), total.off
        for each in parts:
            for symbol, modulus in moduli(each.form).items():
                if symbol is None:
                    off = off + share * own.unit * modulus
                else:
                    rho[symbol] = rho.get(symbol, 0.0) + share * modulus
        room = 2 * own_error * sum(each.size for each in parts)
        total = replace(total, rho=rho, off=off * 1.001, low=total.low - room, high=total.high + room)
    if name == "sum":
        return total
    return own.shared(total, len(parts), node)


def _greatest(own: Straying, node: Node, args: Any, kwargs: Any) -> Any:
    """Return a maximum, which rounds nothing, and places, which are of no use."""
    given = args[0]

    def by(end: Tensor) -> Tensor:
        found = node.target(end.contiguous(), *args[1:], **kwargs)  # pyright: ignore[reportCallIssue]
        return found[0] if isinstance(found, tuple) else found

    found = own.moved(given, by)
    return [found, None] if isinstance(node.meta.get("val"), tuple | list) else found


def _united(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    both = own.multiplied(args[0], args[1], node)
    return own.sum(own.sum(args[0], args[1], node), both, node, -1)


def _exclusive(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    both = own.multiplied(args[0], args[1], node)
    return own.sum(own.sum(args[0], args[1], node), own.multiplied(both, 2.0, node), node, -1)


def _masked(own: Straying, node: Node, args: Any, kwargs: Any) -> Value:
    signal, mask, value = args[:3]
    if name_of(node) == "index_put":
        (mask,) = mask
        value = value.flatten()[0] if isinstance(value, Tensor) else value
    return own.chosen(mask, value, signal, node)


HANDLERS: Handlers = {
    **{name: partial(_summed, name=name) for name in ("add", "sub", "rsub")},
    **{name: partial(_compared, name=name) for name in ("gt", "ge", "lt", "le")},
    **{name: partial(_equal, name=name) for name in ("eq", "ne")},
    **{name: partial(_reduced, name=name) for name in ("sum", "mean")},
    **dict.fromkeys(
        ("mul", "logical_and", "bitwise_and"), lambda own, node, args, _: own.multiplied(args[0], args[1], node)
    ),
    **dict.fromkeys(("logical_or", "bitwise_or"), _united),
    **dict.fromkeys(("logical_xor", "bitwise_xor"), _exclusive),
    **dict.fromkeys(("logical_not", "bitwise_not"), lambda own, node, args, _: own.sum(1.0, args[0], node, -1)),
    **dict.fromkeys(MOVING, _moved),
    **dict.fromkeys(("unbind", "split", "split_with_sizes", "chunk"), _parted),
    **dict.fromkeys(("stack", "cat"), _joined),
    **dict.fromkeys(("select_scatter", "slice_scatter"), _written),
    **dict.fromkeys(FILLING, _filled_with),
    **dict.fromkeys(("masked_fill", "index_put"), _masked),
    **dict.fromkeys(("sign", "sgn"), _sign),
    **dict.fromkeys(BENDING, _bent),
    **dict.fromkeys(DENSE, _dense),
    **dict.fromkeys(("convolution", "_convolution", "conv1d", "conv2d"), _convolved),
    **dict.fromkeys(BATCH_NORMS, _normalized),
    **dict.fromkeys(POOLS, _pooled),
    **dict.fromkeys((*MAX_POOLS, "amax", "max"), _greatest),
    "neg": lambda own, node, args, _: own.multiplied(args[0], -1.0, node),
    "div": _quotient,
    "addcmul": _with_product,
    "lerp": _between,
    "where": lambda own, node, args, _: own.chosen(args[0], args[1], args[2], node),
    "copy": _copied,
    "_to_copy": _cast,
    "heaviside": _step,
    "threshold": _kept_above,
}
"""What each operation does."""
