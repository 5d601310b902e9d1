"""Networks, inputs and threat models as code that repeats them, to the last bit."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

from torch import Tensor

from ...certify import perturbations as sets
from ...certify.perturbations import Perturbation
from ...models.files.description import describe
from ...models.networks import SpikingNetwork
from ..refuted import Refuted

Check = TypeVar("Check", bound=Callable[..., Any])
MOST_NUMBERS = 4096
"""A failure of more numbers than these is told without its code."""


def as_code(**named: Any) -> str:
    """Return code that makes what is given, under the names that it has here.

    Args:
        named: networks, tensors, threat models, and what `repr` tells: numbers, texts, None.

    Raises:
        TypeError: for a network with a layer of your own, which no file and no line of code can tell.

    >>> import torch
    >>> from spikecert import LInf
    >>> print(as_code(x=torch.tensor([0.1]), threat=LInf(0.5)))
    import torch
    from spikecert.certify.perturbations import LInf
    x = torch.tensor([0.10000000149011612], dtype=torch.float32)
    threat = LInf(epsilon=0.5, lower=0.0, upper=1.0)
    """
    body = [line for name, value in named.items() for line in _lines(name, value)]
    text = "\n".join(body)
    needed = [name for name in sets.__all__ if f"{name}(" in text]
    heads = ["import torch"]
    heads += ["from math import inf"] if "inf" in text else []
    heads += ["from spikecert.models.files.description import build"] if "build(" in text else []
    heads += [f"from spikecert.certify.perturbations import {', '.join(needed)}"] if needed else []
    return "\n".join([*heads, *body])


def _lines(name: str, value: Any) -> list[str]:
    if not isinstance(value, SpikingNetwork):
        return [f"{name} = {_expression(value)}"]
    told = describe(value)
    layers = [f"    {layer!r}," for layer in told.pop("layers")]
    state = [f"    {key!r}: {_expression(tensor)}," for key, tensor in value.state_dict().items()]
    made = f"{name} = build({{{repr(told)[1:-1]}, 'layers': [", *layers, f"]}}).to({value.dtype}).eval()"
    return [*made, f"_ = {name}.load_state_dict({{", *state, "})"]


def _expression(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
    if is_dataclass(value) and not isinstance(value, type):
        told = (f"{field.name}={_expression(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__name__}({', '.join(told)})"
    return repr(value)


def repeatable(check: Check) -> Check:
    """Return a check whose failure carries, as a note, the code that repeats its call."""
    signature = inspect.signature(check)

    @functools.wraps(check)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return check(*args, **kwargs)
        except Refuted as error:
            if error.code is None:
                error.code = _call(check.__name__, signature.bind(*args, **kwargs).arguments)
                error.add_note(error.code)
            raise

    return cast(Check, checked)


def _call(name: str, arguments: dict[str, Any]) -> str:
    """Return the code of a call; what code cannot tell is named in a comment."""
    told = {key: value for key, value in arguments.items() if _tellable(value)}
    others = {key: value for key, value in arguments.items() if key not in told}
    if sum(_size(value) for value in told.values()) > MOST_NUMBERS:
        return f"# {name}: the network and the inputs are too large to print; the witness has the input"
    missing = [f"# {key} = {' '.join(str(value).split())} (yours)" for key, value in others.items()]
    passed = ", ".join(f"{key}={key}" for key in arguments)
    return "\n".join(
        [
            as_code(**told),
            *missing,
            f"from spikecert.testing import {name}",
            f"{name}({passed})",
        ]
    )


def _tellable(value: Any) -> bool:
    if isinstance(value, SpikingNetwork):
        try:
            return bool(describe(value))
        except TypeError:
            return False
    if isinstance(value, list | tuple):
        return all(_tellable(item) and not isinstance(item, Tensor | SpikingNetwork) for item in value)
    return value is None or isinstance(value, Tensor | Perturbation | str | int | float)


def _size(value: Any) -> int:
    if isinstance(value, SpikingNetwork):
        return sum(tensor.numel() for tensor in value.state_dict().values())
    return value.numel() if isinstance(value, Tensor) else 1
