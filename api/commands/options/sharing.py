"""Groups of options: a command has an argument that is a dataclass, and its fields are options of the command."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

Parameters = Mapping[str, inspect.Parameter]


def with_groups(command: Callable[..., int]) -> Callable[..., int]:
    """Return a command with the fields of each argument whose default is a dataclass in that argument's place."""
    signature = inspect.signature(command)
    shown = signature.replace(parameters=list(_flat(signature.parameters)))

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> int:
        """Run the command with its options gathered in groups."""
        return command(**_gathered(signature.parameters, shown.bind(*args, **kwargs).arguments))

    run.__annotations__ = {name: parameter.annotation for name, parameter in shown.parameters.items()}
    vars(run)["__signature__"] = shown
    return run


def _flat(parameters: Parameters) -> Iterator[inspect.Parameter]:
    """Yield parameters, those of a group in its place."""
    for parameter in parameters.values():
        if is_dataclass(parameter.default):
            yield from _flat(_fields(parameter))
        else:
            yield parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _gathered(parameters: Parameters, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `parameters` are given, groups as their dataclasses."""
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if is_dataclass(parameter.default):
            found[name] = type(parameter.default)(**_gathered(_fields(parameter), given))
        elif name in given:
            found[name] = given[name]
    return found


def _fields(parameter: inspect.Parameter) -> Parameters:
    return inspect.signature(type(parameter.default)).parameters
