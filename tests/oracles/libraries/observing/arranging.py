"""Layers in series, and sums of paths that part and meet again: the order in which a network runs them.

A sum of paths from one signal becomes a `Parallel`, so that what is found is a chain of layers and of such sums,
in any depth.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spikecert.models.conversion.refusal import ConversionRefused

from .data_flow import INPUT, Adjusted, Gave, Joined, Origin


@dataclass(frozen=True)
class Parallel:
    """Two paths from one signal, whose ends are added; the second may be empty: the signal itself."""

    branch: "tuple[Step, ...]"
    shortcut: "tuple[Step, ...]"


Step = str | Parallel | Adjusted
"""A layer by its name, a sum of paths, or a constant."""


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
            if isinstance(origin, Joined):
                before = self._shared(origin)
            else:
                before = () if origin == INPUT else self._trunk(self._before(origin))
            self._trunks[origin] = (*before, origin)
        return self._trunks[origin]

    def _before(self, origin: Gave | Adjusted) -> Origin:
        """Return the signal that one is made of."""
        return origin.source if isinstance(origin, Adjusted) else self.sources[origin.name]

    def _shared(self, total: Joined) -> tuple[Origin, ...]:
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
        if not isinstance(end, Joined):
            step = end if isinstance(end, Adjusted) else end.name
            return (*self._path(start, self._before(end)), step)
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
        elif isinstance(step, str):
            yield step
