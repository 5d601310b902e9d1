"""What other installed packages add by entry points, such as verifiers, neurons and chips.

A package `mine` names them in its pyproject.toml,

    [project.entry-points."spikecert.verifiers"]
    quick = "mine.verifiers:Quick"

and the name is then `mine:quick`, in Python, options, run files and records: with the package in it, so that
whoever reads a record sees whose word it is, and no package can stand in for what is there. Nothing is looked for,
and no code of another package runs, until such a name is used.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from traceback import walk_tb
from typing import Any

GROUPS = ("verifiers", "attacks", "sets", "properties", "readers", "neurons", "chips")


@dataclass(frozen=True)
class Plugged:
    """What a package adds under a name.

    Attributes:
        value: what its entry point names.
        name: `package:name`.
        package, version: of the distribution.
    """

    value: Any
    name: str
    package: str
    version: str

    def made(self, *given: Any, **how: Any) -> Any:
        """Return what is named, or what it makes if it is a class or a function.

        Raises:
            ValueError: in one line, where its code fails.
        """
        if not callable(self.value):
            return self.value
        try:
            return self.value(*given, **how)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{self.name}: its code failed: {failure(error)}") from error

    @property
    def does(self) -> str:
        """Return what reports say of it."""
        return f"a plug-in of the package {self.package} {self.version}: what it says is that package's word"


def failure(error: BaseException) -> str:
    """Return in one line what another package's code raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def at_fault(error: BaseException) -> str | None:
    """Return the package whose plug-in an error passed through, the innermost; None: no plug-in's."""
    packages = {point.module.partition(".")[0]: _called(point) for group in GROUPS for point in _all(group)}
    names = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    found = [packages[name.partition(".")[0]] for name in names if name.partition(".")[0] in packages]
    return found[-1] if found else None


def installed() -> tuple[tuple[str, str, str], ...]:
    """Return group, name and version of all that installed packages add; nothing of it is imported."""
    every = [(group, point) for group in GROUPS for point in _all(group)]
    return tuple((group, f"{_called(point)}:{point.name}", _version(point)) for group, point in every)


def is_plugged(name: object) -> bool:
    """Return whether a name is one of another package's.

    >>> is_plugged("mine:quick"), is_plugged("trains")
    (True, False)
    """
    return isinstance(name, str) and ":" in name


@cache
def plugged(group: str, name: str) -> Plugged:
    """Return what an installed package adds under `package:name`.

    Raises:
        ValueError: in one line, where no package has that name, or its code fails.
    """
    package, _, own = name.partition(":")
    points = [point for point in entry_points(group=f"spikecert.{group}") if point.name == own]
    found = next((point for point in points if _called(point) == package), None)
    if found is None:
        known = ", ".join(sorted(f"{_called(point)}:{point.name}" for point in _all(group))) or "none"
        raise ValueError(f"{group}: got {name[:100]!r}, expected what an installed package adds: {known}")
    return _loaded(found, name)


def reader_of(suffix: str) -> Plugged | None:
    """Return who reads files of a suffix, such as ".mine"; None: no installed package.

    Raises:
        ValueError: where two packages do, or its code fails.
    """
    points = [point for point in entry_points(group="spikecert.readers") if f".{point.name}" == suffix]
    if len(points) > 1:
        told = ", ".join(map(_called, points))
        raise ValueError(f"readers: got {suffix}, which the packages {told} read, expected one of them installed")
    return _loaded(points[0], f"{_called(points[0])}:{points[0].name}") if points else None


def _all(group: str) -> list[EntryPoint]:
    return [point for point in entry_points(group=f"spikecert.{group}") if point.dist is not None]


def _loaded(point: EntryPoint, name: str) -> Plugged:
    try:
        value = point.load()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name} can't be imported: {failure(error)}") from error
    return Plugged(value, name, _called(point), _version(point))


def _version(point: EntryPoint) -> str:
    return "" if point.dist is None else point.dist.version


def _called(point: EntryPoint) -> str:
    """Return the distribution's name, as PEP 503 spells it: a package has one name in records."""
    return "" if point.dist is None else re.sub(r"[-_.]+", "-", point.dist.name).lower()
