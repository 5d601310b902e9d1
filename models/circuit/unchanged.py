"""Whether modules still run as they were written: what else they might do, no circuit can say.

A node speaks for a module's code. So that code must be the code that was there when this library was imported:
no hooks, no method replaced on one module or on its class, no function replaced in the files that run a network.
What is torch's own must also be what torch ships (`shipped.py`), whenever it was replaced.
"""

from collections.abc import Iterable, Sequence
from types import ModuleType

from torch import nn
from torch.autograd import Function

from ...kernels import loading
from ...kernels import spikes as kernel_calls
from .. import dynamics, elements, linear_maps, networks, running
from ..elements.registry import ELEMENTS, files_of
from .bodies import Bodies
from .shipped import check_functions, check_no_mode, ships

TOLD = {"__init__", "__repr__", "extra_repr", "__doc__", "__module__", "__annotations__", "__firstlineno__"}
"""What a subclass may define without running otherwise."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
CALLS = (
    *("__call__", "_call_impl", "_wrapped_call_impl", "forward", "__getattr__", "__getattribute__"),
    *("train", "eval", "modules"),
)
"""Methods of nn.Module that run, or that put a network in evaluation mode."""
WRITABLE = 1 << 9
"""The flag of classes whose methods can be replaced: those that are written in Python."""
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
    own = ["a hook"] if module._forward_hooks or module._forward_pre_hooks else []
    own += ["compile"] if module._compiled_call_impl is not None else []
    check_methods(module, name, own)


def check_methods(module: nn.Module, name: str, besides: Sequence[str] = ()) -> None:
    """Raise ValueError where a module has methods of its own, or for what it has `besides`."""
    own = [key for key in vars(module).keys() - PLAIN if _runs(type(module), key)]
    if own or besides:
        told = f"{type(module).__name__}: {', '.join([*sorted(own), *besides])}"
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
        types: of the network's modules; asked for where something is not as it was, which may be of no account.
    """
    check_functions(_FILES)
    _INSIDE.check()
    if not _ELEMENTS.items() <= ELEMENTS.items():
        raise TypeError("network: an entry of the registry of elements was replaced, expected those as imported")
    differing = {place for place, now, then in _SEEN if now != then}.union(_FOREIGN)
    if differing:
        for place in differing & {*RUNS, *_TYPES}.union(*(layer.__mro__ for layer in types)):
            _check_place(place)


def _check_place(place: type | ModuleType) -> None:
    """Raise TypeError where code of a class or file was replaced; what else it holds now is taken as known."""
    now, known = _code(place), _CODE[place]
    changed = (name for name in now.keys() | known.keys() if now.get(name) is not known.get(name))
    if name := _FOREIGN.get(place) or min(changed, default=""):
        told = "the one as imported" if isinstance(place, ModuleType) else "the method as it was written"
        raise TypeError(f"network: {place.__name__}.{name} was replaced, expected {told}")
    _THEN[place].clear()
    _THEN[place].update(vars(place))


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


def _code(place: type | ModuleType) -> dict[str, object]:
    """Return what of a class may run, of nn.Module the methods that do, for tools may patch others; or of a file.

    A file also holds the modules that it calls functions of.
    """
    if isinstance(place, ModuleType):
        return {
            name: value for name, value in vars(place).items() if callable(value) or isinstance(value, ModuleType)
        }
    return {
        name: value
        for name, value in vars(place).items()
        if (callable(value) or hasattr(type(value), "__get__")) and (place is not nn.Module or name in CALLS)
    }


def _foreign(kind: type) -> str:
    """Return the first method of a class of torch's that torch does not ship, or nothing."""
    if kind is not Function and kind.__module__ not in _FILES:
        return ""
    return next((name for name, value in _CODE[kind].items() if not ships(value, name, f"{kind.__name__}.")), "")


_TYPES = frozenset(
    kind
    for file in RUNS
    for kind in vars(file).values()
    if isinstance(kind, type) and kind.__module__ == file.__name__
)
_CLASSES = frozenset(each for kind in (*_TYPES, *ELEMENTS) for each in kind.__mro__ if each.__flags__ & WRITABLE)
_FILES = frozenset(kind.__module__ for kind in _CLASSES if kind.__module__.startswith("torch.nn."))
_CODE = {place: _code(place) for place in (*_CLASSES, *RUNS)}
_INSIDE = Bodies(value for code in _CODE.values() for value in code.values())
_FOREIGN: dict[type | ModuleType, str] = {kind: name for kind in _CLASSES if (name := _foreign(kind))}
_ELEMENTS = dict(ELEMENTS)
_THEN = {place: dict(vars(place)) for place in _CODE}
_SEEN = [(place, vars(place), then) for place, then in _THEN.items()]
"""What is in each class and file that takes part, which is live, and what was in it when it was last looked at."""
