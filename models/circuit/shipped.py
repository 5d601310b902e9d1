"""Whether torch's functions that this library calls are those that torch ships, and no mode is in front of them.

A builtin must be the one of torch's C library that has this name; of a function in Python the code must be what
its file holds, as it is installed. So what was replaced before this library was imported is refused, too. Modes
are refused, but for the one that says on which device tensors are made.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils._device import DeviceContext

from .bodies import Bodies

BUILTINS: Any = torch._C  # its stubs name no modules inside it
SPACES = {"torch": vars(torch), "torch.nn.functional": vars(functional), "torch._C._nn": vars(BUILTINS._nn)}
"""Where functions of torch are looked up, besides the files of its modules."""
CLASSES = (torch.Tensor, nn.Parameter, DeviceContext)
"""Classes whose methods hide those of torch's C library, and of the mode that may be there."""
SHOWN = {"__repr__", "__str__", "__format__", "__dir__"}
"""Methods that only show a tensor: tools replace them."""
ALIASES = {
    "__abs__": ("abs",),
    "__call__": ("_wrapped_call_impl",),
    "__ipow__": ("pow_",),
    "__itruediv__": ("__idiv__",),
    "__neg__": ("neg",),
    "__pos__": ("positive",),
    "__pow__": ("pow",),
    "__rtruediv__": ("__rdiv__",),
    "__torch_dispatch__": ("_disabled_torch_dispatch_impl",),
    "__torch_function__": ("_disabled_torch_function_impl",),
    "_sym_int": ("sym_int",),
    "forward": ("_forward_unimplemented",),
    "has_torch_function_unary": ("_has_torch_function_unary",),
    "has_torch_function_variadic": ("_has_torch_function_variadic",),
    "threshold": ("_threshold",),
}
"""Names under which torch has what it wrote by another one."""
MODULES = {"F": functional, "torch": torch}
"""What the files of torch's modules call functions of."""
WRAPPERS = {
    "boolean_dispatch.<locals>.fn",
    "_handle_torch_function_and_wrap_type_error_to_not_implemented.<locals>.wrapped",
    "_ntuple.<locals>.parse",
}
"""Code that torch puts around functions, or makes for each name."""
OTHERS = ("aten/_foreach_", "aten/linalg_")
"""Kernels that torch itself writes in Python, and that no network runs."""
ELSEWHERE = ("/Meta", "/FuncTorchBatched")
"""Keys of tensors that no network holds: without values, or of torch.vmap, which loads kernels of its own."""
Place = tuple[Any, Callable[[Any], Any], Any]
"""A namespace or the like, what reads it, and what was read."""


def check_no_mode() -> None:
    """Raise ValueError where a mode stands between a call and torch."""
    modes = [torch._C._get_function_stack_at(place) for place in range(torch._C._len_torch_function_stack())]
    found = [type(mode).__name__ for mode in modes if type(mode) is not DeviceContext]
    if found or torch._C._len_torch_dispatch_stack():
        told = found[0] if found else "a TorchDispatchMode"
        raise ValueError(f"network: got {told} around the call, expected no mode to certify")


def check_functions(files: frozenset[str]) -> None:
    """Raise TypeError where torch's functions that this library calls are not the ones that torch ships.

    Args:
        files: of torch, whose modules run.
    """
    for bodies in _INSIDE:
        bodies.check()
    if _SEEN.get("loaded") != len(sys.modules) or not all(read(space) == seen for space, read, seen in _WATCHED):
        _SEEN.clear()
        _WATCHED[:] = _examined(files)
        _INSIDE[:] = [Bodies(value for _, _, seen in _WATCHED for value in _values(seen))]
        _SEEN["loaded"] = len(sys.modules)


_SEEN: dict[str, int] = {}
"""How many modules were loaded when all was well."""
_WATCHED: list[Place] = []
"""What was read, of each place, when all was well."""
_INSIDE: list[Bodies] = []
"""What was inside the functions among it."""


def _examined(files: frozenset[str]) -> list[Place]:
    """Look at all that is called, and return it as it is."""
    names, found = _called(files), list[Place]()
    for home, space in (SPACES | {file: vars(sys.modules[file]) for file in files}).items():
        own = [name for name in sorted(names & space.keys()) if callable(space[name]) or name in MODULES]
        if space is vars(torch):  # tools replace others, such as torch.load
            own = [name for name in own if hasattr(BUILTINS._VariableFunctions, name)]
        for name in own:
            if not ships(space[name], name):
                raise TypeError(f"network: {home}.{name} was replaced, expected what torch ships")
        own = [name for name in own if not isinstance(space[name], type)]
        read = itemgetter("__name__", "__name__", *own)  # of one name alone it would return no tuple
        found.append((space, read, read(space)))
    for kind in CLASSES:
        for name, value in vars(kind).items():
            counts = name not in SHOWN and (name in names or name.startswith("__"))
            if counts and not ships(value, name, f"{kind.__name__}."):
                raise TypeError(f"network: {kind.__name__}.{name} was replaced, expected what torch ships")
        found.append((vars(kind), _whole, dict(vars(kind))))
    for kernel in torch.library._impls:
        if kernel.startswith("aten/") and not kernel.endswith(ELSEWHERE) and not kernel.startswith(OTHERS):
            raise TypeError(f"network: torch.library has another kernel for {kernel}, expected what torch ships")
    found.append((torch.library._impls, len, len(torch.library._impls)))
    return found


def ships(value: Any, name: str, owner: str = "") -> bool:
    """Return whether a value is what torch has under a name, or nothing that runs.

    Args:
        value: a function, a method, a type or anything.
        name: of a function, or of a method.
        owner: of a method the name of its class and a dot.
    """
    if name in MODULES:
        return value is MODULES[name]
    value = getattr(value, "__func__", getattr(value, "fget", value))
    if isinstance(value, FunctionType):
        return _written(value, name, owner)
    if isinstance(value, BuiltinFunctionType):
        home = getattr(value.__self__, "__name__", "")
        named = home.startswith("torch._C") and value.__name__ in (name, *ALIASES.get(name, ()))
        return named or value is getattr(BUILTINS._VariableFunctions, name, None)
    if isinstance(value, MethodDescriptorType):
        return value.__name__ in (name, *ALIASES.get(name, ())) and value.__objclass__ is torch._C.TensorBase
    if isinstance(value, type):
        return _known(value.__module__)
    return not callable(value) or type(value).__module__ == "typing"


def _written(function: FunctionType, name: str, owner: str) -> bool:
    """Return whether a function's code is in the file that it names, under this name or one that torch gave it."""
    code, names = function.__code__, (name, *ALIASES.get(name, ()))
    if code not in _codes(function.__globals__["__name__"]).get(code.co_qualname, ()):
        return False
    if code.co_qualname not in WRAPPERS:
        return code.co_qualname in (*names, *(owner + each for each in names))
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    inner = [cell for cell in cells if callable(cell) and cell is not function]
    own = [cell.__name__ for cell in inner] or [function.__name__]
    starts = tuple(f"{before}{each}" for each in names for before in ("", "_"))
    return all(found.startswith(starts) for found in own) and all(
        ships(cell, cell.__name__, owner) for cell in inner
    )


def _called(files: frozenset[str]) -> set[str]:
    """Return the names in this library's code, in files of torch, and in torch's functions that these call."""
    package = f"{__name__.partition('.')[0]}."
    names = {name for file in tuple(sys.modules) if file.startswith(package) for name in _own_names(file)}
    names |= {
        name for file in files for codes in _codes(file).values() for code in codes for name in code.co_names
    }
    more = names
    while more:
        functions = [value for name in more if isinstance(value := vars(functional).get(name), FunctionType)]
        functions += [cell.cell_contents for each in functions for cell in each.__closure__ or ()]
        more = {name for each in functions for code in _code(each) for name in _names(code)} - names
        names |= more
    return names


@lru_cache(None)
def _own_names(file: str) -> frozenset[str]:
    """Return the names in the functions of a file of this library, and in the methods of its classes."""
    values = tuple(vars(sys.modules[file]).values())
    classes = [value for value in values if isinstance(value, type) and value.__module__ == file]
    inner = [method for kind in classes for method in vars(kind).values()]
    return frozenset(name for value in (*values, *inner) for code in _code(value) for name in _names(code))


def _code(value: object) -> Iterator[CodeType]:
    """Yield the code of a function, and of one that is wrapped as a method, a property or a cache."""
    if isinstance(value, FunctionType):
        yield value.__code__
    for key in ("__wrapped__", "fget", "func"):
        if not isinstance(value, type | ModuleType) and (inner := getattr(value, key, None)) is not None:
            yield from _code(inner)


def _names(code: CodeType) -> Iterator[str]:
    for each in _inside(code):
        yield from each.co_names


@lru_cache(None)
def _codes(file: str) -> dict[str, list[CodeType]]:
    """Return the code that a file of torch holds, by its qualified name; of another file nothing."""
    found: dict[str, list[CodeType]] = {}
    if not _known(file):
        return found
    for code in _inside(sys.modules[file].__spec__.loader.get_code(file)):  # pyright: ignore
        found.setdefault(code.co_qualname, []).append(code)
    return found


def _whole(space: Mapping[str, Any]) -> Mapping[str, Any]:
    return space


def _values(seen: Any) -> Iterable[Any]:
    """Return what was read of a place, one by one."""
    return seen.values() if isinstance(seen, Mapping) else seen if isinstance(seen, tuple) else ()


def _known(file: str) -> bool:
    """Return whether a file is of torch or of Python itself."""
    return file.partition(".")[0] in ("torch", "typing_extensions", *sys.stdlib_module_names)


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inside(constant)
