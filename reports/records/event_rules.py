"""Which events change, and how: what stands beside ε in a threat model over events."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...certify.perturbations import EventChange, EventRegion, SpikeFlip, SpikeShift
from ...certify.scales import ChangeScale, FlipScale, Scale, ShiftScale
from .part import Part

Whole = Annotated[int, Field(ge=0, le=2**31, strict=True)]
Interval = tuple[Whole, Whole]

OF_NORM = {
    "l0": {"where", "kind"},
    "shift": {"where", "budget", "jitter", "count", "total", "merge", "border"},
    "l0+shift": {"where", "kind", "jitter", "count", "border"},
}


class EventBlock(Part):
    """A block of a recording: along each axis from first to last − 1, or all; as `EventRegion`."""

    steps: Interval | None = None
    polarities: Interval | None = None
    rows: Interval | None = None
    columns: Interval | None = None

    @model_validator(mode="after")
    def _check_ends(self) -> "EventBlock":
        self.region()
        return self

    def region(self) -> EventRegion:
        """Return the block as a region.

        Raises:
            ValueError: for an interval that holds nothing.
        """
        return EventRegion(**dict(self))


class EventRules(Part):
    """Which events change, and how.

    Attributes:
        where: the block in which they may.
        kind: of flips.
        budget: of shifts alone: what ε is.
        jitter, count, total: the other limits of shifts, as of `SpikeShift`.
        merge, border: of shifts, as of `SpikeShift`.
    """

    where: EventBlock | None = None
    kind: Literal["flip", "insert", "delete"] = "flip"
    budget: Literal["total", "count", "jitter"] = "total"
    jitter: Whole | None = None
    count: Whole | None = None
    total: Whole | None = None
    merge: Literal["or", "add", "refuse"] = "or"
    border: Literal["stay", "leave"] = "stay"

    @model_validator(mode="after")
    def _check_budget(self) -> "EventRules":
        if (limit := getattr(self, self.budget)) is not None:
            raise ValueError(f"{self.budget}: got {limit}, expected none: it is what ε is")
        return self

    @property
    def told(self) -> dict[str, object]:
        """Return what differs from the defaults."""
        return {name: value for name, value in self if value != type(self).model_fields[name].default}

    def check(self, norm: str) -> None:
        """Raise ValueError for what a norm does not have."""
        if stray := [name for name in self.told if name not in OF_NORM.get(norm, ())]:
            fits = [known for known, names in OF_NORM.items() if stray[0] in names]
            raise ValueError(f"{stray[0]}: got one with norm {norm}, expected {' or '.join(fits)}")
        if norm == "l0+shift" and self.jitter is None and self.count is None:
            raise ValueError("jitter, count: got neither with norm l0+shift, expected one, or both")

    def bracketed(self, norm: str) -> bool:
        """Return whether samples have radii: ε is a distance from them."""
        return norm != "l0+shift" and self.budget != "jitter"

    def scale(self, norm: str) -> Scale:
        """Return the sets of "l0", "shift" or "l0+shift", where ε is how many flip."""
        where = None if self.where is None else self.where.region()
        if norm == "l0":
            return FlipScale(SpikeFlip(0, self.kind, where))
        limits = self.jitter, self.count, self.total
        if norm == "l0+shift":
            shifts = SpikeShift(*limits, border=self.border, where=where)
            return ChangeScale(EventChange(SpikeFlip(0, self.kind, where), shifts))
        return ShiftScale(self.budget, SpikeShift(*limits, self.merge, self.border, where))
