"""Where the signals of a module come from: layers in series, and sums of paths that part and meet again.

While a module runs, `Origins` follows each tensor from layer to layer: through operations that only move values,
and through sums of two. A sum of paths from one signal becomes a `Parallel`, so that what is found is a chain of
layers and of such sums, in any depth. What can't be followed has no origin; nothing is guessed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .refusal import ConversionRefused


@dataclass(frozen=True)
class Gave:
    """The output of a layer; of "" the module's input."""

    name: str


@dataclass(frozen=True)
class Total:
    """The sum of two signals."""

    one: "Origin"
    other: "Origin"


Origin = Gave | Total
INPUT = Gave("")


@dataclass(frozen=True)
class Parallel:
    """Two paths from one signal, whose ends are added; the second may be empty: the signal itself."""

    branch: "tuple[Step, ...]"
    shortcut: "tuple[Step, ...]"


Step = str | Parallel
"""A layer by its name, or a sum of paths."""


@dataclass
class Origins:
    """The origins of the tensors of one run, which are kept so that none takes another's place."""

    _known: dict[int, tuple[Tensor, Origin]] = field(default_factory=dict)

    def note(self, tensor: Tensor, origin: Origin | None) -> None:
        """Say where a tensor comes from, or, by None, that it is not known."""
        self._known.pop(id(tensor), None)
        if origin is not None:
            self._known[id(tensor)] = tensor, origin

    def of(self, tensor: Tensor) -> Origin | None:
        """Return where a tensor comes from, if that is known."""
        _, origin = self._known.get(id(tensor), (None, None))
        return origin

    def moved(self, args: Any, made: Any) -> None:
        """Follow an operation that only moves values: all that it made has the one origin of what it was given."""
        found = {self.of(tensor) for tensor in tensors_of(args)}
        origin = found.pop() if len(found) == 1 else None
        for tensor in tensors_of(made):
            self.note(tensor, origin)

    def added(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
        """Follow a sum; one with a number that is not 0, or with a factor, has no origin."""
        one, other = (self.of(part) if isinstance(part, Tensor) else part for part in args[:2])
        plain = kwargs.get("alpha", 1) == 1
        if plain and isinstance(one, Origin) and isinstance(other, Origin):
            self.note(made, Total(one, other))
        elif plain and isinstance(one, Origin) and isinstance(other, int | float) and other == 0:
            self.note(made, one)
        else:
            self.note(made, None)

    def lost(self, made: Any) -> None:
        """Follow any other operation: what it made, in place or not, comes from nowhere that is known."""
        for tensor in tensors_of(made):
            self.note(tensor, None)


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples and lists, themselves and no copies."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_of(part)


@dataclass
class Arrangement:
    """Layers in series and sums of paths, from what each layer is given.

    Args:
        sources: the origin of each layer's input, by name.
    """

    sources: Mapping[str, Origin]
    _trunks: dict[Origin, tuple[Origin, ...]] = field(default_factory=dict)

    def until(self, last: str) -> tuple[Step, ...]:
        """Return the steps from the input to a layer's output; every layer is one of them, once.

        Raises:
            ConversionRefused: where paths meet otherwise than in nested sums, or a layer leads nowhere.
        """
        steps = self._path(INPUT, Gave(last))
        names = list(layers_of(steps))
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConversionRefused(f"{twice}: is read along paths that cross; expected sums within each other")
        unused = next((name for name in self.sources if name not in names), None)
        if unused is not None:
            raise ConversionRefused(f"{unused}: its output does not reach {last}, the last layer that is called")
        return steps

    def _trunk(self, origin: Origin) -> tuple[Origin, ...]:
        """Return the signals that every path from the input to this one passes, this one last."""
        if origin not in self._trunks:
            if isinstance(origin, Total):
                before = self._shared(origin)
            else:
                before = () if origin == INPUT else self._trunk(self.sources[origin.name])
            self._trunks[origin] = (*before, origin)
        return self._trunks[origin]

    def _shared(self, total: Total) -> tuple[Origin, ...]:
        """Return the signals that all paths to both parts of a sum pass."""
        pairs = zip(self._trunk(total.one), self._trunk(total.other), strict=False)
        shared: list[Origin] = []
        for one, other in pairs:
            if one != other:
                break
            shared.append(one)
        return tuple(shared)

    def _path(self, start: Origin, end: Origin) -> tuple[Step, ...]:
        """Return the steps from a signal of the trunk of another one to that."""
        if end == start:
            return ()
        if isinstance(end, Gave):
            return (*self._path(start, self.sources[end.name]), end.name)
        meeting = self._shared(end)[-1]
        one, other = self._path(meeting, end.one), self._path(meeting, end.other)
        if not one and not other:
            raise ConversionRefused("module: adds a signal to itself; expected a weight of 2, or two paths")
        return (*self._path(start, meeting), Parallel(one, other) if one else Parallel(other, one))


def layers_of(steps: tuple[Step, ...]) -> Iterator[str]:
    """Yield the names of the layers in the order in which a network runs them: each branch before its shortcut."""
    for step in steps:
        if isinstance(step, Parallel):
            yield from layers_of(step.branch)
            yield from layers_of(step.shortcut)
        else:
            yield step


def value(origin: Origin, signal: Callable[[str], Tensor]) -> Tensor | None:
    """Return the signal of an origin, (T or 1, batch, ...); None for a sum of shapes that differ.

    Args:
        origin: of it.
        signal: what a layer gave, by its name.
    """
    if isinstance(origin, Gave):
        return signal(origin.name)
    one, other = value(origin.one, signal), value(origin.other, signal)
    if one is None or other is None or one.shape[1:] != other.shape[1:]:
        return None
    return one + other if len(one) == len(other) or 1 in (len(one), len(other)) else None
