"""What is inside functions: it may be replaced while the functions themselves stay where they are.

A function is its code, its defaults and what its closure holds. Each of these can be assigned to, and who looks at
functions alone takes them for what they were. Objects are compared by identity, and those that were there are
kept: a thousand functions take a tenth of a millisecond. What lists and the like
hold, among defaults or in a closure, is not looked at.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from operator import attrgetter, is_
from types import CellType, FunctionType, ModuleType

INSIDE = ("__wrapped__", "__func__", "fget", "fset", "func")
"""Where methods, properties and caches keep the function that they run."""
CODE, DEFAULTS, NAMED, HELD = map(attrgetter, ("__code__", "__defaults__", "__kwdefaults__", "cell_contents"))


class Bodies:
    """Functions, and what was inside each of them when this was made.

    Args:
        values: functions, and methods, properties or caches of one; of all else nothing is known.
    """

    def __init__(self, values: Iterable[object]) -> None:
        self._functions = _functions(values)
        held = [(each, cell) for each in self._functions for cell in _filled(each)]
        self._named = [(each, name) for each in self._functions for name in each.__kwdefaults__ or {}]
        self._cells = [cell for _, cell in held]
        self._whose = [*self._functions * 3, *(each for each, _ in [*held, *self._named])]
        self._kept = list(self._now())

    def check(self) -> None:
        """Raise TypeError where something inside a function is another object than it was."""
        if not all(map(is_, self._now(), self._kept)):
            parts = zip(self._whose, self._now(), self._kept, strict=True)
            told = next(each for each, one, other in parts if one is not other)
            raise TypeError(
                f"network: {told.__module__}.{told.__qualname__} was replaced inside, expected its code, defaults "
                "and closure as imported"
            )

    def _now(self) -> Iterator[object]:
        """Yield what is inside: code, defaults and what has names among them, closures; nothing is held on to."""
        functions, named = self._functions, ((each.__kwdefaults__ or {}).get(name) for each, name in self._named)
        parts = map(CODE, functions), map(DEFAULTS, functions), map(NAMED, functions), map(HELD, self._cells)
        return chain(*parts, named)


def _functions(values: Iterable[object]) -> list[FunctionType]:
    """Return the functions that values are, wrap or enclose, each once."""
    found, left = dict[int, FunctionType](), list(values)
    while left:
        value = left.pop()
        if isinstance(value, FunctionType):
            if id(value) not in found:
                found[id(value)] = value
                left += [cell.cell_contents for cell in _filled(value)]
        elif not isinstance(value, type | ModuleType):
            left += [inner for key in INSIDE if isinstance(inner := getattr(value, key, None), FunctionType)]
    return list(found.values())


def _filled(function: FunctionType) -> list[CellType]:
    """Return the cells of a closure that hold something: others are of names that are bound later."""
    return [cell for cell in function.__closure__ or () if cell != CellType()]
