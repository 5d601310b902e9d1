"""What other installed packages add by entry points, such as verifiers, neurons and chips.

A package `mine` names them in its pyproject.toml,

    [project.entry-points."spikecert.verifiers"]
    quick = "mine.verifiers:Quick"

and the name is then `mine:quick`, in Python, options, run files and records: with the package in it, so that
whoever reads a record sees whose word it is, and no package can stand in for what is there. Nothing is looked for,
and no code of another package runs, until such a name is used.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
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
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise ValueError(f"{self.name}: its code failed: {told}") from error

    @property
    def does(self) -> str:
        """Return what reports say of it."""
        return f"a plug-in of the package {self.package} {self.version}: what it says is that package's word"


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
    found = next((point for point in points if _called(point) == _plain(package)), None)
    if found is None:
        known = ", ".join(sorted(f"{_called(point)}:{point.name}" for point in _all(group))) or "none"
        raise ValueError(f"{group}: got {name[:100]!r}, expected one that an installed package adds: {known}")
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
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ValueError(f"{name} can't be imported: {told}") from error
    version = "" if point.dist is None else point.dist.version
    return Plugged(value, name, _called(point), version)


def _called(point: EntryPoint) -> str:
    return "" if point.dist is None else _plain(point.dist.name)


def _plain(name: str) -> str:
    """Return a distribution's name as packages are compared by (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")
