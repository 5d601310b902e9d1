"""Functions that users give to neurons, of spikes and of sums: it is seen what they compute.

A function of a potential less its threshold is a step if it looks at nothing but signs: it compares its input
with 0, and makes what it gives of that, number by number. Then a few potentials show all of it. A function that
looks at more may do anything between those that it was asked for. Nor may it read values: by those it may branch.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from spikecert.models.conversion.refusal import ConversionRefused

from .data_flow import tensors_of

COMPARES = "gt ge lt le eq ne sign sgn heaviside"
"""Operations of which only the sign of an input is left, if it is compared with 0."""
ENTRIES = (
    "add sub rsub mul div neg abs relu clamp where masked_fill index_put copy maximum minimum logical_not "
    "logical_and logical_or bitwise_not bitwise_and bitwise_or fill zero floor_divide"
)
"""Operations that make each entry of the entries at its place."""
SAME = ("detach", "alias", "clone", "contiguous", "lift_fresh", "_to_copy")
LIKE = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
KNOWN = frozenset((*COMPARES.split(), *ENTRIES.split(), *SAME))
SHAPES = ((7,), (2, 7), (1, 7), (2, 3, 7), (2, 1, 3, 7), (9, 1, 3, 2, 7))
"""Of the inputs that a function is seen on."""
POTENTIALS = (-1e30, -1.0, -1e-30, 0.0, 1e-30, 1.0, 1e30)
INPUT, SIGNS, NUMBER = "input", "signs", "number"


class _Unread(Tensor):
    """A tensor whose values can't be read, and that says what it was made of.

    Args:
        value: what it stands for.
        kind: whether it is the input, made of the input's signs, or one number at all places.
        others: takes the names of operations that made anything else.
    """

    value: Tensor
    kind: str
    others: list[str]
    __dlpack__ = None  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, value: Tensor, kind: str, others: list[str]) -> "_Unread":
        made = Tensor._make_wrapper_subclass(cls, value.shape, dtype=value.dtype)  # type: ignore[attr-defined]
        made.value, made.kind, made.others = value, kind, others
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and say what it made."""
        given = list(tensors_of((args, tuple((kwargs or {}).values()))))
        others = next(tensor.others for tensor in given if isinstance(tensor, cls))
        name = func.overloadpacket.__name__
        kind = _kind(name if name in SAME else name.removesuffix("_"), args, given, bool(kwargs))
        made = func(*tree_map(_plain, args), **tree_map(_plain, kwargs or {}))
        if kind is None or not isinstance(made, Tensor) or (kind == INPUT and made.dtype != _plain(args[0]).dtype):
            others.append(name)
        if args and isinstance(args[0], cls) and made is args[0].value:
            args[0].kind = kind or NUMBER
            return args[0]
        return cls(made, kind or NUMBER, others) if isinstance(made, Tensor) else made


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Unread) else value


def _kind(name: str, args: tuple, given: list[Tensor], named: bool) -> str | None:
    """Return what an operation makes of what it is given; None for what is not known."""
    kinds = [_kind_of(tensor) for tensor in given]
    if name in LIKE:
        return NUMBER
    if INPUT not in kinds:
        masks = name != "index_put" or all(mask.dtype == torch.bool for mask in tensors_of(args[1]))
        known = name in KNOWN and masks and None not in kinds
        return None if not known else SIGNS if SIGNS in kinds else NUMBER
    if name in SAME:
        return INPUT
    others = [part for part in args if _kind_of(part) != INPUT]
    if name == "heaviside" and _kind_of(args[0]) == INPUT:  # its other argument is what it gives at 0
        return SIGNS if _kind_of(args[1]) == NUMBER else None
    zeros = all(bool((torch.as_tensor(_plain(other)) == 0).all()) for other in others)
    alone = name in COMPARES.split() and not named and len(others) == len(args) - 1
    return SIGNS if alone and zeros else None


def _kind_of(value: Any) -> str | None:
    if isinstance(value, _Unread):
        return value.kind
    return NUMBER if not isinstance(value, Tensor) or value.numel() == 1 else None


def fires_at(spike: Callable[[Tensor], Tensor], name: str) -> str:
    """Return ">" or ">=": what a neuron's own spike function says of a potential at its threshold.

    Raises:
        ConversionRefused: for a function that is no step from 0 to 1, the same whenever it is asked, or that looks
            at more than signs.
    """
    steps = {">": torch.gt, ">=": torch.ge}
    for dtype, shape in product((torch.float64, torch.float32), SHAPES):
        given = torch.tensor(POTENTIALS, dtype=dtype).expand(shape).clone()
        found = _seen(spike, given.clone(), name).to(dtype)
        steps = {symbol: step for symbol, step in steps.items() if torch.equal(found, step(given, 0).to(dtype))}
    if len(steps) != 1:
        raise ConversionRefused(f"{name}: has a spike function that is no step from 0 to 1, expected one")
    return next(iter(steps))


def _seen(spike: Callable[[Tensor], Tensor], given: Tensor, name: str) -> Tensor:
    """Return what a spike function makes of potentials, if it looks at their signs alone and reads none."""
    others: list[str] = []
    try:
        with torch.no_grad():
            found = spike(_Unread(given, INPUT, others))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConversionRefused(
            f"{name}: has a spike function that does not run without reading values, expected one that does the "
            f"same for all: {' '.join(str(error).split())}"
        ) from error
    if not others and isinstance(found, _Unread) and found.kind == SIGNS:
        return found.value
    what = (*others, "what was not seen")[0]
    raise ConversionRefused(
        f"{name}: has a spike function that computes {what}, so it may be no step from 0 to 1 at potentials that "
        "it was not asked for; expected a comparison of its input with 0"
    )


def adds(function: Callable[[Tensor, Tensor], Any]) -> bool:
    """Return whether a function of two signals computes their sum, and nothing else, and reads none of them."""
    for shape in SHAPES:
        one, other = torch.rand(2, *shape)
        done: list[str] = []
        with torch.no_grad():
            found = function(_Unread(one, INPUT, done), _Unread(other, INPUT, done))
        if done != ["add"] or not isinstance(found, _Unread) or not torch.equal(found.value, one + other):
            return False
    return True
