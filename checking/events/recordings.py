"""The recordings that a proof about events is about: what may flip and move, and what that makes of a sample.

Flips change at most `count` entries of a recording of 0 and 1 in all. Moves take events of x to other steps: each
by at most `jitter`, at most `count` of them, by `total` steps in all; an event may leave the T steps where
`border` says so, and pays the distance to the first step outside. With both, events move first, and what they
became flips.

Two events of one entry are two where they "add". Where they are one ("or"), let one event stand for each entry of
the moved recording that has any: one that did not move, if there is one (there is at most one: x has 0 and 1). All
others have moved, and are gone. So the recording is among those of events that add up, where those that can meet
another one may also vanish as they move; which events these are is seen from the distances.

Flips after moves: an entry can be empty where its least number of events is 0, and hold one where its greatest
is 1.

Units that change: entries that flip, and events that move, as enumeration.py counts them.

Such a set falls into others, entry by entry (`OpenRecording.sides`): no event of the entry moves, or one does, to
one of the steps that it may come to; the entry does not flip, or does. What moved is where it is from then on, and
what another one may do is as before, with less of the budgets. An event that came to where one may move from is
there whatever becomes of that one, which gains what it moves to and loses nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from ..numbers.exact import Dyadic, Refused, whole
from ..work import CALL, spend
from .inputs import Changes, Inputs, Limit, SharedUnits, Units

FINE = 32
"""Bits behind those of the gains that increments are rounded up to."""


@dataclass(frozen=True, eq=False)
class Toggles(Units):
    """Entries that may change by `sign`, 1 (an event comes) or −1 (one goes), of size 1: sign·A, if above 0."""

    sign: int

    def gains(self, values: Dyadic, sized: bool) -> Dyadic:
        """Return the one increment of each step, (..., T, 1)."""
        signed = values * self.sign
        spend(CALL + signed.ints.size, signed.shift)
        return Dyadic(np.maximum(signed.ints, 0)[..., None], signed.shift)


@dataclass(frozen=True, eq=False)
class Travels(Units):
    """Events that may move from step t to t', by a size of |t' − t| up to `reach`: A[t'] − A[t].

    Attributes:
        leaves: whether they may move out of the steps, where A is 0.
        vanishes: whether one that moves may also be gone.
        covered: whether another event is where it was, which stays: it gains A[t'] alone.
    """

    reach: int
    leaves: bool
    vanishes: bool
    covered: bool = False

    def gains(self, values: Dyadic, sized: bool) -> Dyadic:
        """Return the increments of each step: of the greatest gain up to each size, or that of all sizes.

        The first d increments are those of a chain of straight lines that is nowhere below the greatest gains
        of sizes 0, …, reach; lines are rounded up.
        """
        own, steps, found = values.ints, values.shape[-1], []
        spend(CALL + 4 * own.size * self.reach, values.shift)
        lost = own * (not self.covered)
        best = lost.copy()
        for size in range(1, self.reach + 1):
            here, there = best[..., : max(0, steps - size)], best[..., size:]
            np.maximum(here, own[..., size:], out=here)
            np.maximum(there, own[..., : max(0, steps - size)], out=there)
            if self.leaves:
                for outside in (best[..., max(0, steps - size) :], best[..., :size]):
                    np.maximum(outside, 0, out=outside)
            best = np.maximum(best, 0) if self.vanishes else best
            if sized or size == self.reach:
                found.append(best - lost)
        if not sized or self.reach == 1:
            return Dyadic(found[-1][..., None], values.shift)
        return _increments(found, values.shift)


def _increments(gains: list[np.ndarray], shift: int) -> Dyadic:
    """Return increments ≥ 0, (..., D), of which the first d add up to at least gains[d − 1] ≥ 0."""
    values = [gains[0] * 0, *(gain * (1 << FINE) for gain in gains)]
    spend(CALL + 4 * values[0].size * len(values) ** 3, shift + FINE)
    over = list(values)
    for first, last in combinations(range(len(values)), 2):
        for place in range(first + 1, last):
            sums = values[first] * (last - place) + values[last] * (place - first)
            over[place] = np.maximum(over[place], -(-sums // (last - first)))
    steps = [np.maximum(more - less, 0) for less, more in pairwise(over)]
    return Dyadic(np.stack(steps, axis=-1), shift + FINE)


KINDS, MERGES, BORDERS = ("flip", "insert", "delete"), ("or", "add"), ("stay", "leave")
NORMS = {"l0": {"flips"}, "shift": {"shifts"}, "l0+shift": {"flips", "shifts"}}
"""What each norm of event sets has rules of."""
MOST_EVENTS = 255
"""Of one entry."""
PLENTY = 2**31
"""More than there are units, or steps: a budget of that is as good as none."""


@dataclass(frozen=True)
class FlipRules:
    """At most `count` entries flip, of `where`, (T, ...) of bool (None: all): events come, go, or both."""

    count: int
    kind: str
    where: np.ndarray | None

    @staticmethod
    def read(given: object, where: np.ndarray | None) -> "FlipRules":
        """Return the rules of a description.

        Raises:
            Refused: for anything else.
        """
        fields = _fields("flips", given, {"count", "kind"})
        count, kind = _budget("flips.count", fields["count"]), _choice("flips.kind", fields["kind"], KINDS)
        if count is None:
            raise Refused("flips.count: got None, expected an integer from 0 on")
        return FlipRules(count, kind, where)

    def holds(self, other: "FlipRules") -> bool:
        """Return whether all flips of `other` are among these."""
        kinds = self.kind in ("flip", other.kind)
        return other.count == 0 or (self.count >= other.count and kinds and _covers(self.where, other.where))

    def __str__(self) -> str:
        what = {"flip": "flips", "insert": "inserted events", "delete": "deleted events"}[self.kind]
        return f"{self.count} {what}{_part(self.where)}"


@dataclass(frozen=True)
class ShiftRules:
    """Events of `where` move, within budgets (None: any way)."""

    jitter: int | None
    count: int | None
    total: int | None
    merge: str
    border: str
    where: np.ndarray | None

    @staticmethod
    def read(given: object, where: np.ndarray | None) -> "ShiftRules":
        """Return the rules of a description.

        Raises:
            Refused: for anything else.
        """
        fields = _fields("shifts", given, {"jitter", "count", "total", "merge", "border"})
        jitter, count, total = (_budget(f"shifts.{name}", fields[name]) for name in ("jitter", "count", "total"))
        merge = _choice("shifts.merge", fields["merge"], MERGES)
        border = _choice("shifts.border", fields["border"], BORDERS)
        return ShiftRules(jitter, count, total, merge, border, where)

    @property
    def reach(self) -> int:
        """Return how far an event moves at most."""
        return min(PLENTY if budget is None else budget for budget in (self.jitter, self.total))

    @property
    def most(self) -> int:
        """Return how many events move at most."""
        budgets = min(PLENTY if budget is None else budget for budget in (self.count, self.total))
        return budgets if self.reach else 0

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Return the limits of the pool of all events that may move."""
        found = [] if self.count is None else [Limit(min(self.count, PLENTY))]
        found += [] if self.total is None else [Limit(min(self.total, PLENTY), sized=True)]
        return tuple(found) or (Limit(None),)

    def after(self, size: int) -> "ShiftRules":
        """Return what is left once an event moved by so many steps."""
        count, total = (
            None if budget is None else budget - taken for budget, taken in ((self.count, 1), (self.total, size))
        )
        return replace(self, count=count, total=total)

    def holds(self, other: "ShiftRules") -> bool:
        """Return whether all moves of `other` are among these."""
        if other.most == 0:
            return True
        pairs = ((self.jitter, other.jitter), (self.count, other.count), (self.total, other.total))
        enough = all(mine is None or (theirs is not None and mine >= theirs) for mine, theirs in pairs)
        alike = self.merge == other.merge and self.border in ("leave", other.border)
        return enough and alike and _covers(self.where, other.where)

    def __str__(self) -> str:
        parts = [
            "any way" if self.jitter is None else f"by up to {self.jitter} steps",
            "all of them" if self.count is None else f"{self.count} of them",
            *([] if self.total is None else [f"{self.total} steps in all"]),
            f'merged by "{self.merge}"',
            f"that {self.border}",
        ]
        return f"events moved {', '.join(parts)}{_part(self.where)}"


@dataclass(frozen=True)
class Rules:
    """What may be changed of a recording: flips, moves, or moves and then flips."""

    flips: FlipRules | None
    shifts: ShiftRules | None

    @staticmethod
    def read(norm: str, given: object, masks: Callable[[str], np.ndarray | None]) -> "Rules":
        """Return the rules of a description.

        Args:
            norm: "l0", "shift" or "l0+shift".
            given: the description.
            masks: returns what a tensor says of the entries that change, None where there is none.

        Raises:
            Refused: for anything that is not known.
        """
        fields = _fields("events", given, NORMS[norm])
        flips = FlipRules.read(fields["flips"], masks("flips.where")) if "flips" in fields else None
        shifts = ShiftRules.read(fields["shifts"], masks("shifts.where")) if "shifts" in fields else None
        if flips is not None and shifts is not None and shifts.merge != "or":
            raise Refused("shifts.merge: got 'add', expected 'or': flips are of 0 and 1")
        return Rules(flips, shifts)

    @property
    def most(self) -> int:
        """Return how many changes there are at most."""
        moves = 0 if self.shifts is None else self.shifts.most
        return moves + (0 if self.flips is None else self.flips.count)

    @property
    def described(self) -> dict[str, dict[str, Any]]:
        """Return the rules as `read` takes them, without masks."""
        parts = {"flips": self.flips, "shifts": self.shifts}
        return {
            name: {field: value for field, value in vars(part).items() if field != "where"}
            for name, part in parts.items()
            if part is not None
        }

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """Return the masks, as int32 of 0 and 1, by their tensors' names."""
        parts = {"flips.where": self.flips, "shifts.where": self.shifts}
        return {
            name: part.where.astype(np.int32)
            for name, part in parts.items()
            if part is not None and part.where is not None
        }

    def holds(self, other: "Rules") -> bool:
        """Return whether all changes of `other` are among these: of rules for recordings of one shape."""
        flips, shifts = other.flips, other.shifts
        if flips is not None and flips.count and (self.flips is None or not self.flips.holds(flips)):
            return False
        return shifts is None or not shifts.most or (self.shifts is not None and self.shifts.holds(shifts))

    def __str__(self) -> str:
        return " and ".join(str(part) for part in (self.shifts, self.flips) if part is not None)

    def around(self, sample: np.ndarray, steps: int | None) -> Inputs:
        """Return the set of recordings about a sample (T, ...).

        Args:
            sample: events, whole numbers.
            steps: T; None where inputs are no recordings.

        Raises:
            Refused: for a sample that is no such recording, or masks and budgets that do not fit it.
        """
        events = self._events(sample, steps)
        parts = [("shifts.where", self.shifts), ("flips.where", self.flips)]
        movable, free = (
            events * 0 if part is None else _allowed(name, part.where, sample).astype(np.int64)
            for name, part in parts
        )
        changes = OpenRecording.of(self, events * (1 - movable), events * movable, free)
        return Inputs(sample.shape, *changes.ends(), changes=changes)

    def _events(self, sample: np.ndarray, steps: int | None) -> np.ndarray:
        """Return how many events each entry has, (m, T)."""
        if steps is None:
            raise Refused("unknown: no proof form for events of inputs that have none of their own at each step")
        if sample.ndim < 2 or len(sample) != steps:
            raise Refused(f"sample: has no first axis of {steps} steps")
        spend(CALL + sample.size)
        most = MOST_EVENTS if self.shifts is not None and self.shifts.merge == "add" else 1
        if not ((sample >= 0) & (sample <= most) & (sample == np.floor(sample))).all():
            raise Refused(f"sample: holds other numbers than whole ones from 0 to {most}")
        jitter = None if self.shifts is None else self.shifts.jitter
        if jitter is not None and jitter >= steps:
            raise Refused(f"shifts.jitter: got {jitter}, expected less than the recording's {steps} steps")
        return sample.astype(np.int64).reshape(steps, -1).T


@dataclass(frozen=True, eq=False)
class OpenRecording(Changes):
    """A recording of which some changes are settled, and what may still become of the others.

    Attributes:
        rules: with what is left of the budgets.
        fixed, movable: how many events of each entry are where they are, and how many may move, (m, T).
        free: 1 for entries that may flip, (m, T).
    """

    rules: Rules
    fixed: np.ndarray
    movable: np.ndarray
    free: np.ndarray

    @staticmethod
    def of(rules: Rules, fixed: np.ndarray, movable: np.ndarray, free: np.ndarray) -> "OpenRecording":
        """Return one; where no budget is left nothing may change."""
        spend(CALL + 8 * fixed.size)
        if rules.shifts is None or not rules.shifts.most:
            fixed, movable = _together(rules.shifts, fixed, movable), movable * 0
        if rules.flips is None or not rules.flips.count:
            free = free * 0
        return OpenRecording(rules, fixed, movable, free)

    @cached_property
    def events(self) -> np.ndarray:
        """Return how many events each entry has where nothing changes any more, (m, T)."""
        return _together(self.rules.shifts, self.fixed, self.movable)

    @property
    def center(self) -> Dyadic:
        """Return these events."""
        return whole(self.events)

    @property
    def pools(self) -> tuple[SharedUnits, ...]:
        """Return what may move, and what may flip."""
        return self._found[2]

    def ends(self) -> tuple[Dyadic, Dyadic]:
        """Return the least and the greatest number of events of each entry."""
        low, high, _ = self._found
        return whole(low), whole(high)

    @cached_property
    def _found(self) -> tuple[np.ndarray, np.ndarray, tuple[SharedUnits, ...]]:
        low = high = self.events
        pools: list[SharedUnits] = []
        if self.movable.any():
            low, high, pool = self._moved()
            pools.append(pool)
        if self.rules.flips is not None and self.free.any():
            comes, goes = (low == 0) & self._flips(0), (high == 1) & self._flips(1)
            units = Toggles(comes.astype(np.int64), 1), Toggles(goes.astype(np.int64), -1)
            pools.append(SharedUnits(units, (Limit(min(self.rules.flips.count, PLENTY)),)))
            low, high = np.where(goes, 0, low), np.where(comes, 1, high)
        return low, high, tuple(pools)

    def _flips(self, events: int) -> np.ndarray:
        """Return which entries may flip where they have so many events, (m, T) of bool."""
        barred = self.rules.flips is not None and self.rules.flips.kind == ("delete", "insert")[events]
        return (self.free > 0) & (not barred)

    def _moved(self) -> tuple[np.ndarray, np.ndarray, SharedUnits]:
        """Return the least and the greatest number of events of each entry, and what moves."""
        rules, movable, events = self.rules.shifts, self.movable, self.events
        assert rules is not None
        steps, most = events.shape[1], rules.most
        reach, leaves = min(rules.reach, steps), rules.border == "leave"
        around = _around(movable, reach)
        if rules.merge == "add":
            units = (Travels(movable, reach, leaves, vanishes=False),)
            low, high = events - movable.clip(max=most), events + around.clip(max=most)
            return low, high, SharedUnits(units, rules.limits)
        meets = _around(events, reach) > 0
        if most > 1:  # another one may move, too
            meets |= _around(movable, 2 * reach) > 0
        covered = movable * self.fixed
        alone, meeting = (movable - covered) * ~meets, (movable - covered) * meets
        units = (
            Travels(alone, reach, leaves, vanishes=False),
            Travels(meeting, reach, leaves, vanishes=True),
            Travels(covered, reach, leaves, vanishes=True, covered=True),
        )
        return self.fixed, np.maximum(events, around.clip(max=1)), SharedUnits(units, rules.limits)

    @cached_property
    def splittable(self) -> np.ndarray:
        """Return the entries that may be settled: events of them move, or they flip and none can come there."""
        shifts = self.rules.shifts
        near = (
            self.movable * 0 if shifts is None else _around(self.movable, min(shifts.reach, self.fixed.shape[1]))
        )
        flips = np.where(self.fixed == 1, self._flips(1), self._flips(0)) & (near == 0)
        return (self.movable > 0) | flips

    def sides(self, i: int, t: int) -> list[Callable[[], "OpenRecording"]]:
        """Return what makes sets that together hold all of these recordings, by what becomes of one entry.

        Raises:
            Refused: for an entry of which nothing may change, or that may flip where events may still come or go.
        """
        if not (0 <= i < len(self.fixed) and 0 <= t < self.fixed.shape[1] and self.splittable[i, t]):
            raise Refused("splits an entry that can't change, or that events may still come to before it flips")
        if self.movable[i, t]:
            return self._one_moves(i, t)
        return [lambda: self._decided(i, t, flips=False), lambda: self._decided(i, t, flips=True)]

    def _decided(self, i: int, t: int, *, flips: bool) -> "OpenRecording":
        """Return those in which an entry does not flip, or does."""
        rules, free = self.rules.flips, _put(self.free, i, t, 0)
        assert rules is not None
        left = replace(self.rules, flips=replace(rules, count=rules.count - flips))
        fixed = _put(self.fixed, i, t, 1 - self.fixed[i, t]) if flips else self.fixed
        return OpenRecording.of(left, fixed, self.movable, free)

    def _one_moves(self, i: int, t: int) -> list[Callable[[], "OpenRecording"]]:
        """Return those in which no event of an entry moves, and those in which one does, by where it moves to."""
        rules, steps = self.rules.shifts, self.fixed.shape[1]
        assert rules is not None
        outside = min(t + 1, steps - t)
        places = [(to, abs(to - t)) for to in range(max(0, t - rules.reach), min(steps, t + rules.reach + 1))]
        places += [(-1, outside)] * (rules.border == "leave" and outside <= rules.reach)
        moves = [partial(self._moved_to, i, t, to, size) for to, size in places if size]
        return [lambda: self._staying(i, t), *moves]

    def _staying(self, i: int, t: int) -> "OpenRecording":
        """Return those in which no event of an entry moves."""
        fixed, movable = _put(self.fixed, i, t, self.events[i, t]), _put(self.movable, i, t, 0)
        return OpenRecording.of(self.rules, fixed, movable, self.free)

    def _moved_to(self, i: int, t: int, to: int, size: int) -> "OpenRecording":
        """Return those in which an event of an entry moves by so many steps to one, or, below 0, out of them."""
        rules, fixed, movable = self.rules.shifts, self.fixed, _put(self.movable, i, t, self.movable[i, t] - 1)
        assert rules is not None
        if to >= 0:
            fixed = _put(fixed, i, to, 1 if rules.merge == "or" else fixed[i, to] + 1)
        return OpenRecording.of(replace(self.rules, shifts=rules.after(size)), fixed, movable, self.free)


def _put(values: np.ndarray, i: int, t: int, value: int) -> np.ndarray:
    """Return a copy with another number at one place."""
    found = values.copy()
    found[i, t] = value
    return found


def _together(rules: ShiftRules | None, fixed: np.ndarray, movable: np.ndarray) -> np.ndarray:
    """Return how many events both make of an entry."""
    return fixed + movable if rules is not None and rules.merge == "add" else np.maximum(fixed, movable)


def _around(events: np.ndarray, reach: int) -> np.ndarray:
    """Return how many events are within `reach` steps of each entry, but not in it, (m, T)."""
    found, steps = np.zeros_like(events), events.shape[1]
    for size in range(1, min(reach, steps - 1) + 1):
        spend(CALL + events.size // 8)
        found[:, size:] += events[:, :-size]
        found[:, :-size] += events[:, size:]
    return found


def _allowed(name: str, where: np.ndarray | None, sample: np.ndarray) -> np.ndarray:
    """Return which entries may change, (m, T) of bool."""
    if where is None:
        where = np.ones(sample.shape, dtype=bool)
    if where.shape != sample.shape:
        raise Refused(f"{name}: has shape {where.shape}, expected the sample's {sample.shape}")
    return where.reshape(len(where), -1).T


def _covers(mine: np.ndarray | None, theirs: np.ndarray | None) -> bool:
    """Return whether all entries of one mask are in the other."""
    if mine is None:
        return True
    if theirs is None:
        return bool(mine.all())
    return mine.shape == theirs.shape and not bool((theirs & ~mine).any())


def _part(where: np.ndarray | None) -> str:
    return "" if where is None else f", among {int(where.sum())} of {where.size} entries"


def _fields(name: str, given: object, known: set[str]) -> dict[str, Any]:
    if not isinstance(given, dict) or given.keys() != known:
        got = ", ".join(sorted(map(str, given)))[:60] if isinstance(given, dict) else type(given).__name__
        raise Refused(f"{name}: got {got}, expected {', '.join(sorted(known))}")
    return given


def _budget(name: str, value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise Refused(f"{name}: got {str(value)[:20]}, expected an integer from 0 on")
    return value


def _choice(name: str, value: object, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise Refused(f"{name}: got {str(value)[:20]!r}, expected {' or '.join(known)}")
    return value
