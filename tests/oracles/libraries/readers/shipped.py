"""Whether a neuron runs by what its library ships: constants say nothing of a function that was replaced.

The code of each function that a neuron runs by must be in the file that it says it is from, and so must be the
library's functions that it names. Functions that are a user's to choose, such as `spike_grad`, are seen elsewhere.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from spikecert.models.conversion.refusal import ConversionRefused

from ..constants import library_of

CHOSEN = ("spike_grad", "element_wise_function")
"""Functions of the user's choice, which are asked what they do."""
BELOW = frozenset(("torch", "numpy", *sys.stdlib_module_names))
"""What libraries are built on."""


def check_shipped(neuron: nn.Module, name: str) -> None:
    """Raise where a neuron, or a part of it, runs by a function that is not its library's."""
    library = library_of(neuron)
    for part in neuron.modules():
        if library_of(part) == library:
            own = {key: value for key, value in vars(part).items() if key not in CHOSEN}
            _check([*_functions_of(type(part)), *_callables(own.items(), part)], library, name)


def _check(todo: list[tuple[str, FunctionType]], library: str, name: str) -> None:
    known: set[int] = set()
    while todo:
        key, function = todo.pop()
        home = function.__globals__["__name__"]
        package = home.partition(".")[0]
        if id(function) in known or package in BELOW:
            continue
        known.add(id(function))
        if package != library or function.__code__ not in _codes(home):
            raise ConversionRefused(f"{name}: runs by a {key} that is not the one that {library} ships")
        todo += _named(function, library)


def _named(function: FunctionType, library: str) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions, and those of types, that a function names in modules of its library."""
    names = [name for code in _inside(function.__code__) for name in code.co_names]
    spaces = [function.__globals__]
    spaces += [
        vars(found)
        for name in names
        if isinstance(found := function.__globals__.get(name), ModuleType) and _package(found.__name__) == library
    ]
    for space in spaces:
        yield from _callables((name, space[name]) for name in names if name in space)


def _callables(items: Any, owner: nn.Module | None = None) -> Iterator[tuple[str, FunctionType]]:
    """Yield functions by name, and those of types that run.

    Raises:
        ConversionRefused: for a method of another neuron.
    """
    for key, value in items:
        if isinstance(value, MethodType) and owner is not None and value.__self__ is not owner:
            raise ConversionRefused(f"{type(owner).__name__}: runs by a {key} of another module, expected its own")
        found = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(found, FunctionType):
            yield key, found
        elif isinstance(found, type) and issubclass(found, torch.autograd.Function):
            yield from _functions_of(found)


def _functions_of(kind: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the methods of a type, and those of types that it is made of."""
    for part in kind.__mro__:
        if _package(part.__module__) not in (*BELOW, "builtins"):
            yield from _callables(vars(part).items())


@lru_cache(None)
def _codes(home: str) -> frozenset[CodeType]:
    """Return the code that a module's file holds, whatever became of its functions."""
    return frozenset(_inside(sys.modules[home].__spec__.loader.get_code(home)))  # type: ignore[union-attr, arg-type]


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inside(constant)


def _package(module: str) -> str:
    return module.partition(".")[0]
