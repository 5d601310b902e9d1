"""One search that every question climbs: parts of a set are bounded, closed, split, until none is open.

A set is verified once the parts of a cover of it are. Parts are taken, bounded by this process or by a crew of
several, and settled in the order in which they were taken: one is closed where its bound is enough, its set is
falsified where a member fails, and what is left is split into smaller parts. Whatever a part is (trains that are
decided, a box of inputs, changes that may still happen, an integer program, a leaf of a proof), the search is this
one: between parts it asks for the time and the memory, and tells how it stands.

How many parts to bound at once where there is a deadline: as many as fit into the time left.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Generic, Protocol, TypeVar

from ..models.deadline import LATE, Expired, never, passed

Part = TypeVar("Part")
Bounded = TypeVar("Bounded")
Given = TypeVar("Given", contravariant=True)

Told = Callable[[Mapping[str, float]], None]
"""Called with the newest figures by name."""


def unheard(figures: Mapping[str, float]) -> None:
    """Tell nobody: the default."""


FIRST = 32
"""Parts of the first batch: what a part takes is not known yet."""
LEAST = 2
"""Parts of a batch: both children of one."""
SHARE = 0.5
"""Of the time that is left, what the next batch may take: parts differ."""


class Pace:
    """What a part took so far.

    Args:
        deadline: `time.perf_counter()` at which to stop, or None.
        first, least: how many are in the first batch, and at least in others.
    """

    def __init__(self, deadline: float | None, first: int = FIRST, least: int = LEAST) -> None:
        self._deadline, self._first, self._least = deadline, first, least
        self._each: float | None = None

    def fits(self, wanted: int) -> int:
        """Return how many of the `wanted` parts to take next, at least `least`."""
        if self._deadline is None:
            return wanted
        if self._each is None:
            return min(wanted, self._first)
        left = max(0.0, self._deadline - time.perf_counter())
        return min(wanted, max(self._least, int(SHARE * left / max(self._each, 1e-9))))

    @property
    def late(self) -> bool:
        """Return whether the least batch would take more time than is left."""
        if self._deadline is None or self._each is None:
            return False
        return self._least * self._each > self._deadline - time.perf_counter()

    def note(self, parts: int, seconds: float) -> None:
        """Note what so many parts took; the slower of the last two batches counts."""
        each, before = seconds / max(parts, 1), self._each
        self._each = each if before is None else max(each, 0.5 * before)


@dataclass(frozen=True)
class Timed(Generic[Bounded]):
    """What came of some parts, how many these were, and how long it took where it was done."""

    bounded: Bounded
    parts: int
    seconds: float


class Crew(Protocol[Given, Bounded]):
    """Bounds parts, which come back in the order in which they were given. Whoever does, it is the same bound."""

    @property
    def size(self) -> int:
        """Return how many parts may be under work at once."""
        ...

    @property
    def room(self) -> bool:
        """Return whether another part may be given."""
        ...

    def give(self, part: Given) -> None:
        """Have a part bounded."""
        ...

    def next(self, deadline: float | None) -> Timed[Bounded] | None:
        """Return the oldest part once it is bounded; None if `deadline`, in `time.perf_counter()`, comes first."""
        ...


class Alone(Generic[Part, Bounded]):
    """This process, one part at a time."""

    size: int = 1

    def __init__(self, bound: Callable[[Part], Timed[Bounded]]) -> None:
        self._bound, self._given = bound, deque[Part]()

    @property
    def room(self) -> bool:
        """Return whether nothing is given."""
        return not self._given

    def give(self, part: Part) -> None:
        """Keep a part until it is asked for."""
        self._given.append(part)

    def next(self, deadline: float | None) -> Timed[Bounded]:
        """Bound the part."""
        return self._bound(self._given.popleft())


class Frontier(ABC, Generic[Part, Bounded]):
    """What is open of a set: every part of it that is not closed waits here, or is underway."""

    @property
    @abstractmethod
    def open(self) -> bool:
        """Return whether anything waits or is underway, and is worth to be bounded."""

    @abstractmethod
    def take(self, most: int) -> Part | None:
        """Remove and return some parts that wait, about `most`; None where none waits."""

    @abstractmethod
    def settle(self, bounded: Bounded) -> None:
        """Close, falsify or keep the oldest parts that were taken, which have come back bounded."""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Return what all that waits takes, about."""

    @abstractmethod
    def standing(self) -> dict[str, float]:
        """Return how the search stands, in figures by name."""

    def over(self) -> str:
        """Return why nothing more is taken although parts are open; "" where they are."""
        return ""


@dataclass(frozen=True)
class Limits:
    """When a search ends before all is closed, and who is told how it stands.

    Args:
        deadline: `time.perf_counter()` at which to stop, or None.
        stopped: asked whether to stop, as the deadline is.
        memory: bytes that what waits may take, or None.
        told: told how the search stands, batch by batch.
    """

    deadline: float | None = None
    stopped: Expired = never
    memory: int | None = None
    told: Told = unheard

    def expired(self) -> bool:
        """Return whether the time is up."""
        return self.stopped() or passed(self.deadline)


FULL = "its memory was full"
"""How reasons name a limit of memory."""


def search(
    frontier: Frontier[Part, Bounded], limits: Limits, crew: Crew[Part, Bounded], most: int, first: int = FIRST
) -> str:
    """Bound, settle and split until nothing is open; return why the search ended before, "" where it did not.

    Args:
        frontier: what is open.
        limits: when to end.
        crew: who bounds parts.
        most: parts that are bounded at once.
        first: parts of the first batch where there is a deadline.
    """
    pace, underway = Pace(limits.deadline, first, min(LEAST, most)), 0
    while frontier.open:
        left = {} if limits.deadline is None else {"left": max(0.0, limits.deadline - time.perf_counter())}
        limits.told({**frontier.standing(), **left})
        if limits.expired() or pace.late:
            return LATE
        if limits.memory is not None and frontier.bytes > limits.memory:
            return FULL
        if why := frontier.over():
            return why
        while crew.room and (part := frontier.take(pace.fits(most))) is not None:
            crew.give(part)
            underway += 1
        timed = crew.next(limits.deadline) if underway else None
        if timed is not None:
            underway -= 1
            pace.note(timed.parts, timed.seconds)
            frontier.settle(timed.bounded)
    return ""


class OneByOne(Frontier[Part, Part]):
    """Parts that are bounded one by one: what was found of those before says which is next.

    Attributes:
        chosen: the next one.
    """

    chosen: Part | None = None

    @abstractmethod
    def next(self) -> Part | None:
        """Return which part to bound; None where no bound would help."""

    @abstractmethod
    def bound(self, part: Part) -> None:
        """Bound a part, and note what is found of it."""

    def search(self, limits: Limits) -> str:
        """Return why the search ended before no bound would help, "" where none does."""
        return search(self, limits, Alone(self._timed), 1)

    def _timed(self, part: Part) -> Timed[Part]:
        started = time.perf_counter()
        self.bound(part)
        return Timed(part, 1, time.perf_counter() - started)

    @property
    def open(self) -> bool:
        """Return whether there is a part to bound."""
        self.chosen = self.next()
        return self.chosen is not None

    def take(self, most: int) -> Part | None:
        """Return the part to bound, once."""
        chosen, self.chosen = self.chosen, None
        return chosen

    def settle(self, bounded: Part) -> None:
        """Do nothing: `bound` has noted what it found."""


class Domain(Frontier[Part, Part | None]):
    """What parts of a set are, and those that wait: a search goes on with the newest of them, or with the oldest.

    Attributes:
        together: whether several parts are bounded as one, `joined`.
        done: whether nothing more needs to be asked: a member fails.
        parts: how many were bounded.
    """

    together: ClassVar[bool] = False
    done: bool = False
    parts: int = 0

    @abstractmethod
    def bound(self, part: Part) -> Part | None:
        """Bound some parts; return what is open of them, None for nothing, once the rest is noted as closed."""

    @abstractmethod
    def split(self, part: Part) -> Iterable[Part]:
        """Return smaller parts that cover these, as many at once as are bounded together."""

    def size(self, part: Part) -> int:
        """Return how many parts that is."""
        return 1

    def joined(self, parts: list[Part]) -> Part:
        """Return several as one; without `together` there is one."""
        return parts[0]

    def search(
        self, roots: Iterable[Part], limits: Limits, *, newest: bool = True, most: int = 1, each: int = 0
    ) -> tuple[str, Iterator[Part]]:
        """Return why the search of some parts ended before all was closed, "" where all was, and what waits.

        Args:
            roots: that cover the set.
            limits: when to end.
            newest: whether children are taken before what waited already.
            most: parts that are bounded at once.
            each: bytes of what waits of an open part.
        """
        self._waiting: deque[Iterator[Part]] = deque([iter(roots)])
        self._place, self._each = -1 if newest else 0, each
        return search(self, limits, Alone(self._timed), most), chain.from_iterable(self._waiting)

    def _timed(self, part: Part) -> Timed[Part | None]:
        """Return what is left of some parts."""
        started, size = time.perf_counter(), self.size(part)
        self.parts += size
        return Timed(self.bound(part), size, time.perf_counter() - started)

    @property
    def open(self) -> bool:
        """Return whether anything is left, and nothing has failed."""
        return bool(self._waiting) and not self.done

    @property
    def bytes(self) -> int:
        """Return what waits, in bytes."""
        return len(self._waiting) * self._each

    def standing(self) -> dict[str, float]:
        """Return parts so far, those that are open, about, and memory."""
        return {"nodes": float(self.parts), "open": float(len(self._waiting)), "memory": float(self.bytes)}

    def take(self, most: int) -> Part | None:
        """Return what is next of the newest or the oldest: as many as are bounded together, or one."""
        taken, size = list[Part](), 0
        while self._waiting and size < most:
            part = next(self._waiting[self._place], None)
            if part is None:
                del self._waiting[self._place]
                continue
            if taken and size + self.size(part) > most:
                self._waiting[self._place] = chain([part], self._waiting[self._place])
                break
            taken.append(part)
            size += self.size(part) if self.together else most
        return self.joined(taken) if taken else None

    def settle(self, bounded: Part | None) -> None:
        """Let what is left be split."""
        if bounded is not None:
            self._waiting.append(iter(self.split(bounded)))
