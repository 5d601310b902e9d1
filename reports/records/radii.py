"""Radii of samples in a record: a proven and an attacked end for each, checked against the verdicts."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from statistics import median
from typing import Annotated

from pydantic import Field, FiniteFloat, model_validator

from .rows import Count, Norm, Part, SampleRow, Seconds, Ties


class SampleRadius(Part):
    """One sample's radius: no input nearer than `lower` is misclassified (proven); one at `upper` is (replayed).

    Attributes:
        attacked: whether a counterexample at distance `upper` was found; without one `upper` is the reach of the
            range of valid inputs, and nothing more is known.
        verifier: what proved `lower`; empty where it is 0.
    """

    index: Count
    label: Count
    lower: Seconds
    upper: Seconds
    exact: bool
    attacked: bool
    verifier: str = ""


class RadiusTable(Part):
    """Radii of some of a record's samples, and how they were found."""

    norm: Norm
    verifier: str
    tolerance: Annotated[FiniteFloat, Field(gt=0)]
    timeout: FiniteFloat | None = None
    seed: Count = 0
    ties: Ties = "strict"
    samples: tuple[SampleRadius, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_brackets(self) -> "RadiusTable":
        for sample in self.samples:
            if sample.lower > sample.upper:
                raise ValueError(f"radii: sample {sample.index} has {sample.lower} > {sample.upper}")
            if sample.exact != (sample.upper - sample.lower <= self.tolerance):
                raise ValueError(f"radii: sample {sample.index} is not as exact as it says")
        indices = [sample.index for sample in self.samples]
        if indices != sorted(set(indices)):
            raise ValueError("radii: expected the samples in rising order, each once")
        return self

    @property
    def exact(self) -> int:
        """Return how many brackets are closed up to the tolerance."""
        return sum(sample.exact for sample in self.samples)

    @property
    def medians(self) -> tuple[float, float]:
        """Return the medians of the proven and of the attacked ends."""
        ends = ([getattr(sample, end) for sample in self.samples] for end in ("lower", "upper"))
        lower, upper = map(median, ends)
        return lower, upper

    def ordered(self) -> tuple[SampleRadius, ...]:
        """Return the samples from the most fragile on: by attacked end, then by proven end."""
        return tuple(sorted(self.samples, key=lambda found: (found.upper, found.lower, found.index)))


def radius_contradiction(rows: Iterable[SampleRow], table: RadiusTable) -> str | None:
    """Return one line on the first sample whose radius and verdicts can't both be right, or None.

    A set of radius ε holds its boundary: verified at ε, a counterexample at distance ε contradicts it.
    """
    radii = {radius.index: radius for radius in table.samples}
    for row in rows:
        radius = radii.get(row.index)
        if radius is None:
            continue
        if row.verified and radius.attacked and radius.upper <= row.epsilon:
            return f"sample {row.index} is verified at ε = {row.epsilon:g} and broken at distance {radius.upper:g}"
        if radius.lower > 0 and (not row.correct or (row.falsified and row.epsilon <= radius.lower)):
            broken = row.epsilon if row.correct else 0.0
            return f"sample {row.index} is verified within {radius.lower:g} and broken at ε = {broken:g}"
    return None


def unmatched(rows: Iterable[SampleRow], table: RadiusTable) -> str | None:
    """Return one line on the first radius that belongs to no row, or None."""
    labels = {row.index: row.label for row in rows}
    for radius in table.samples:
        if labels.get(radius.index) != radius.label:
            return f"radii: sample {radius.index} with label {radius.label} is not among the rows"
    return None


def rounded_down(value: float, digits: int = 5) -> str:
    """Return a proven end for people, rounded so that it stays one.

    >>> rounded_down(0.0312567), rounded_up(0.0312567)
    ('0.03125', '0.03126')
    """
    return _rounded(value, digits, ROUND_FLOOR)


def rounded_up(value: float, digits: int = 5) -> str:
    """Return an attacked end for people, rounded so that the bracket holds."""
    return _rounded(value, digits, ROUND_CEILING)


def _rounded(value: float, digits: int, direction: str) -> str:
    """Return a finite number rounded exactly, as no product of floats could: 1e308 has 309 digits."""
    with localcontext(prec=400):
        return f"{Decimal(value).quantize(Decimal(1).scaleb(-digits), direction):f}"
