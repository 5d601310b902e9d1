"""Whether modules still run as they were written: what else they might do, no circuit can say.

A node speaks for a module's code. So that code must be the code that was there when this library was imported:
no hooks, no method replaced on one module or on its class, no function replaced in the files that run a network.
What is torch's own must also be what torch ships (`shipped.py`), whenever it was replaced.
"""

from collections.abc import Iterable, Iterator
from types import ModuleType

from torch import nn
from torch.autograd import Function

from ...kernels import loading
from ...kernels import membrane as kernel_calls
from .. import dynamics, elements, linear_maps, networks, running
from ..elements.registry import ELEMENTS, files_of
from .shipped import check_functions, check_no_mode, ships

TOLD = {"__init__", "__repr__", "extra_repr", "__doc__", "__module__", "__annotations__", "__firstlineno__"}
"""What a subclass may define without running otherwise."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
CALLS = (
    *("__call__", "_call_impl", "_wrapped_call_impl", "forward", "__getattr__", "__getattribute__"),
    *("train", "eval", "modules"),
)
"""Methods of nn.Module that run, or that put a network in evaluation mode."""
PLAIN = frozenset(vars(nn.Module()))
"""What every module holds of its own."""
RUNS = (
    *(file for folder in (elements, linear_maps, running) for file in files_of(folder)),
    *(dynamics, networks, kernel_calls, loading),
)
"""The files whose functions run a network, or say what one does."""


def check_unchanged(module: nn.Module, name: str) -> None:
    """Raise ValueError unless a module runs the code of its type.

    Args:
        module: of a type that is known.
        name: its path, for the message.
    """
    own = ["a hook"] if any(getattr(module, hooks) for hooks in HOOKS) else []
    own += ["compile"] if module._compiled_call_impl is not None else []
    check_methods(module, name, own)


def check_methods(module: nn.Module, name: str, besides: Iterable[str] = ()) -> None:
    """Raise ValueError where a module has methods of its own, or for what it has `besides`."""
    own = [*sorted(key for key in vars(module).keys() - PLAIN if _runs(type(module), key)), *besides]
    if own:
        told = f"{type(module).__name__}: {', '.join(own)}"
        raise ValueError(
            f"network: {name or 'it'} has a hook or another forward ({told}), expected none to certify"
        )


def check_nothing_between() -> None:
    """Raise ValueError where torch calls a hook on the way into, or out of, every module, or a mode."""
    check_no_mode()
    if any(getattr(nn.modules.module, f"_global{hooks}") for hooks in HOOKS):
        raise ValueError("network: got a forward hook on all modules, expected none to certify")


def check_library(types: Iterable[type[nn.Module]]) -> None:
    """Raise TypeError where code that runs a network is not what it was when it was imported.

    Args:
        types: of the network's modules.
    """
    check_functions(_FILES)
    for kind in {each for layer in types for each in layer.__mro__}.union(_TYPES):
        if changed := _changed(kind):
            raise TypeError(
                f"network: {kind.__name__}.{changed} was replaced, expected the method as it was written"
            )
    for file, seen in _SPACES.items():
        if vars(file) != seen and (now := _functions(file)) != (known := _FUNCTIONS[file]):
            name = min(name for name in now.keys() | known.keys() if now.get(name) is not known.get(name))
            raise TypeError(f"network: {file.__name__}.{name} was replaced, expected the one as imported")


def overridden(kind: type, base: type) -> set[str]:
    """Return what the classes that `kind` has and `base` has not define besides constants.

    A subclass may have a constructor and a name to be shown by; all else might run, in a class that stands behind
    `base` too: it comes before nn.Module, whose `__call__` it may replace.
    """
    own = [each for each in kind.__mro__ if each not in base.__mro__]
    return {name for each in own for name in vars(each).keys() - TOLD if not name.startswith("__static")}


def _runs(kind: type, name: str) -> bool:
    """Return whether `name` is a method or a property of a class: an attribute of one module would hide it."""
    found = getattr(kind, name, None)
    return callable(found) or isinstance(found, property)


def _code(kind: type) -> dict[str, object]:
    """Return what of a class may run: of nn.Module the methods that do, for tools may patch others."""
    return {
        name: value
        for name, value in vars(kind).items()
        if (callable(value) or hasattr(type(value), "__get__")) and (kind is not nn.Module or name in CALLS)
    }


def _snapshot() -> Iterator[tuple[type, dict[str, object]]]:
    for kind in (*_TYPES, *ELEMENTS):
        for each in kind.__mro__:
            yield each, _code(each)


def _changed(kind: type) -> str:
    """Return the first method that is not what it was, or nothing; a class that came later is as it is."""
    known = _METHODS.get(kind)
    if known is None:
        return ""
    if vars(kind) == _WHOLE[kind]:  # as nearly always, in a fraction of the time that the answer below takes
        return _FOREIGN[kind]
    now = _code(kind)
    if now.keys() != known.keys():
        return min(now.keys() ^ known.keys())
    return _FOREIGN[kind] or next((name for name, value in known.items() if now[name] is not value), "")


def _foreign(kind: type) -> str:
    """Return the first method of a class of torch's that torch does not ship, or nothing."""
    if kind is not Function and kind.__module__ not in _FILES:
        return ""
    return next(
        (name for name, value in _METHODS[kind].items() if not ships(value, name, f"{kind.__name__}.")), ""
    )


def _functions(file: ModuleType) -> dict[str, object]:
    """Return what of a file may run, and the modules that it calls functions of."""
    return {name: value for name, value in vars(file).items() if callable(value) or isinstance(value, ModuleType)}


_FUNCTIONS = {file: _functions(file) for file in RUNS}
_TYPES = frozenset(
    kind
    for file, members in _FUNCTIONS.items()
    for kind in members.values()
    if isinstance(kind, type) and kind.__module__ == file.__name__
)
_SPACES = {file: dict(vars(file)) for file in RUNS}
_METHODS = dict(_snapshot())
_FILES = frozenset(kind.__module__ for kind in _METHODS if kind.__module__.startswith("torch.nn."))
_WHOLE = {kind: dict(vars(kind)) for kind in _METHODS}
_FOREIGN = {kind: _foreign(kind) for kind in _METHODS}
