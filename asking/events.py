"""Threat models of recordings: events come, go and move, in a block of time and space, within budgets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from .threats import ONE, THREATS, Sizes, Threat
from .values import Mistake, Notation, Saying, table_fields, whole

if TYPE_CHECKING:
    from ..certify.perturbations import EventRegion
    from ..certify.problem import Scale

AXES = ("steps", "polarities", "rows", "columns")


class EventBlock(dict[str, tuple[int, int]]):
    """The entries of a recording that lie, along each axis that is named, from first to last − 1."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))

    @property
    def region(self) -> "EventRegion":
        """Return the block as engines take it."""
        from ..certify.perturbations import EventRegion

        return EventRegion(**self)

    @property
    def told(self) -> tuple[str, ...]:
        """Return each interval, both ends included."""
        return tuple(f"{name} {first} to {last - 1}" for name, (first, last) in self.items())


def _block(raw: Any) -> EventBlock:
    if not isinstance(raw, Mapping | str):
        raise ValueError
    pairs = raw.items() if isinstance(raw, Mapping) else [part.split("=") for part in raw.split(",")]
    found = EventBlock()
    for name, ends in pairs:
        axis, parts = name.strip(), ends.split(":") if isinstance(ends, str) else ends
        first, last = (whole(0, 2**31).read(part) for part in parts)
        if axis not in AXES or axis in found or not first < last:
            raise ValueError
        found[axis] = first, last
    return found if found else _no_block()


def _no_block() -> EventBlock:
    raise ValueError


BLOCK = Notation(
    _block,
    "intervals such as steps=0:3,rows=2:5, first below last, each axis once",
    "AXIS=FIRST:LAST,…",
    write=lambda block: {axis: list(ends) for axis, ends in block.items()},
    text=lambda block: ",".join(f"{axis}={first}:{last}" for axis, (first, last) in block.items()),
    schema={"type": "object"},
)
Limit = Annotated[int, whole(0, 2**31)]
Kind = Literal["flip", "insert", "delete"]
Border = Literal["stay", "leave"]
FLIPS = {"flip": "inserted or deleted", "insert": "inserted", "delete": "deleted"}
SHIFTS = {
    "total": "events may come earlier or later, by ε steps in all",
    "count": "at most ε events may come earlier or later",
    "jitter": "each event may come up to ε steps earlier or later",
}
LIMITS = {
    "count": "at most {} of them",
    "jitter": "each by at most {} steps",
    "total": "by at most {} steps in all",
}
MERGED = {"add": "two in one entry are two", "refuse": "none onto another one"}


@dataclass(frozen=True, kw_only=True)
class OfEvents(Threat):
    """Events change.

    Attributes:
        where: the events that may change, such as steps=0:3,polarities=1:2,rows=5:10,columns=5:10; the last of
            each is excluded; default: all.
    """

    counts: ClassVar[str] = "events"
    of_events: ClassVar[bool] = True

    epsilons: Sizes = (ONE,)
    where: Annotated[EventBlock, BLOCK] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.range != (0.0, 1.0):
            raise Mistake(("range",), Saying(self.ends), f"[0, 1] for {self.counts}")

    @property
    def region(self) -> "EventRegion | None":
        """Return the block in which events may change."""
        return None if self.where is None else self.where.region

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each what is not as usual."""
        asked = table_fields(type(self))
        told = ((one, getattr(self, one.name)) for one in asked if one.name not in OF_ALL)
        plain = (f"{one.name} {value}" for one, value in told if value != one.default)
        return (*plain, *(self.where.told if self.where is not None else ()))

    @property
    def _where(self) -> str:
        return "" if self.where is None else f" in {', '.join(self.where.told)}"


OF_ALL = {"epsilons", "range", "asked", "where"}


def _flips(kind: str, where: str) -> str:
    return f"at most ε events{where} may be {FLIPS[kind]}, over all steps together"


@dataclass(frozen=True, kw_only=True)
class FlipThreat(OfEvents):
    """At most ε events come or go.

    Attributes:
        kind: flip (events come or go), insert or delete.
    """

    norm: ClassVar[str] = "flips"
    sign: ClassVar[str] = "flipped events"

    kind: Kind = "flip"

    @property
    def scale(self) -> "Scale":
        """Return the flips of all budgets."""
        from ..certify.perturbations import SpikeFlip
        from ..certify.problem import FlipScale

        return FlipScale(SpikeFlip(0, self.kind, self.region))

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        return _flips(self.kind, self._where)


@dataclass(frozen=True, kw_only=True)
class ShiftThreat(OfEvents):
    """Events come earlier or later.

    Attributes:
        budget: what ε is: total (steps in all), count (how many events move) or jitter (how far each does).
        jitter: how far an event moves at most.
        count: how many events move at most.
        total: the sum of all moves at most.
        merge: two events in one entry are one (or), two (add) or refused (refuse).
        border: at the border events stay in the recording, or may leave it.
    """

    norm: ClassVar[str] = "shift"
    sign: ClassVar[str] = "shifted events"
    counts: ClassVar[str] = "shifts"

    budget: Literal["total", "count", "jitter"] = "total"
    jitter: Limit | None = None
    count: Limit | None = None
    total: Limit | None = None
    merge: Literal["or", "add", "refuse"] = "or"
    border: Border = "stay"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (limit := getattr(self, self.budget)) is not None:
            raise Mistake((self.budget,), limit, "none: it is what ε is")

    @property
    def bracketed(self) -> bool:  # type: ignore[override]
        """Return whether samples have radii: a jitter has few values."""
        return self.budget != "jitter"

    @property
    def scale(self) -> "Scale":
        """Return the moves of all budgets."""
        from ..certify.perturbations import SpikeShift
        from ..certify.problem import ShiftScale

        moves = SpikeShift(self.jitter, self.count, self.total, self.merge, self.border, self.region)
        return ShiftScale(self.budget, moves)

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        limits = {"count": self.count, "jitter": self.jitter, "total": self.total}
        return _moves(SHIFTS[self.budget], limits, self._where, self.border, MERGED.get(self.merge))


def _moves(what: str, limits: Mapping[str, int | None], where: str, border: str, merged: str | None) -> str:
    parts = [what, *(LIMITS[name].format(limit) for name, limit in limits.items() if limit is not None)]
    parts += [f"only those{where}"] if where else []
    parts += [merged] if merged else []
    parts += ["those at the border may leave"] if border == "leave" else []
    return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class ChangeThreat(OfEvents):
    """At most ε events come or go, beside moves.

    Attributes:
        kind: flip (events come or go), insert or delete.
        jitter: how far an event moves at most.
        count: how many events move at most.
        border: at the border events stay in the recording, or may leave it.
    """

    norm: ClassVar[str] = "flips+shift"
    sign: ClassVar[str] = "flipped events beside moves"
    bracketed: ClassVar[bool] = False

    kind: Kind = "flip"
    jitter: Limit | None = None
    count: Limit | None = None
    border: Border = "stay"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jitter is None and self.count is None:
            raise Mistake(("jitter",), Saying("neither it nor count"), "one, or both")

    @property
    def scale(self) -> "Scale":
        """Return the flips of all budgets, each beside all moves."""
        from ..certify.perturbations import EventChange, SpikeFlip, SpikeShift
        from ..certify.problem import ChangeScale

        moves = SpikeShift(self.jitter, self.count, None, border=self.border, where=self.region)
        return ChangeScale(EventChange(SpikeFlip(0, self.kind, self.region), moves))

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        limits = {"count": self.count, "jitter": self.jitter}
        moves = _moves("events may come earlier or later", limits, self._where, self.border, None)
        return f"{moves}; and {_flips(self.kind, self._where)}"


THREATS |= {form.norm: form for form in (FlipThreat, ShiftThreat, ChangeThreat)}
