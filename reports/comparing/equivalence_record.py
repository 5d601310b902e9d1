"""What `equivalent` found of two builds as a record: data that a program reads."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from ...certify.pairs.equivalence import STATUSES, Equivalence
from ..records.event_rules import EventRules
from ..records.part import Count, Part, Positive, Seconds, Written
from .difference_record import BuildSide

SCHEMA = "spikecert.equivalence/1"


class PairRow(Part):
    """What is known of one sample; `counterexample` are the values of an input at which the builds differ."""

    index: Count
    status: Literal["equivalent", "different", "unknown"]
    gap: FiniteFloat | None
    seconds: Seconds
    reason: str
    counterexample: tuple[FiniteFloat, ...] | None = None

    @model_validator(mode="after")
    def _check_input(self) -> "PairRow":
        if (self.status == "different") != (self.counterexample is not None):
            raise ValueError(f"sample {self.index}: got {self.status!r}, expected an input for 'different' alone")
        return self


class PairPoint(Part):
    """All samples at one ε; None is the samples as they are."""

    epsilon: FiniteFloat | None
    written: Written | None = None
    equivalent: Count
    different: Count
    unknown: Count
    rows: tuple[PairRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_counts(self) -> "PairPoint":
        for status in STATUSES:
            if getattr(self, status) != sum(row.status == status for row in self.rows):
                raise ValueError(f"{status}: the count does not follow from the rows")
        return self


class EquivalenceRecord(Part):
    """Whether two builds give the same class, at some samples or wherever they may be moved to."""

    schema_version: Literal["spikecert.equivalence/1"] = Field(SCHEMA, alias="schema")
    a: BuildSide
    b: BuildSide
    data: str
    samples: Positive
    num_steps: Positive
    norm: Literal["linf", "l2", "l0", "shift", "l0+shift"] | None
    lower: FiniteFloat
    upper: FiniteFloat
    events: EventRules | None = None
    verifier: str
    timeout: FiniteFloat | None = None
    seed: Count
    command: str
    points: tuple[PairPoint, ...] = Field(min_length=1)


def pair_point(epsilon: float | None, written: str | None, found: Sequence[Equivalence]) -> PairPoint:
    """Return what was found at one ε as a part of a record."""
    rows = [_row(index, one) for index, one in enumerate(found)]
    counts: dict[str, Any] = {status: sum(one.status == status for one in found) for status in STATUSES}
    return PairPoint(epsilon=epsilon, written=written, rows=tuple(rows), **counts)


def _row(index: int, one: Equivalence) -> PairRow:
    point = None if one.counterexample is None else tuple(one.counterexample.flatten().tolist())
    told: dict[str, Any] = {name: getattr(one, name) for name in ("status", "gap", "seconds", "reason")}
    return PairRow(index=index, counterexample=point, **told)
