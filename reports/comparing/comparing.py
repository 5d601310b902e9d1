"""Two records side by side, sample by sample: what a change of a network, or of a verifier, gained and lost."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field, FiniteFloat

from ...certify import SoundnessError
from ..records.radii import radius_contradiction
from ..records.records import ModelRecord, Record
from ..records.rows import Count, Norm, Part, Positive, SampleRow, Sha256, Status, contradiction
from ..records.schema import Data

SCHEMA = "spikecert.comparison/3"
RANK: dict[Status, int] = {"falsified": 0, "unknown": 1, "verified": 2}


class Change(Part):
    """One sample at one ε whose combined verdict differs: proved or broken by anything that was run."""

    index: Count
    label: Count
    epsilon: FiniteFloat
    before: Status
    after: Status

    @property
    def worse(self) -> bool:
        """Return whether the sample lost its proof, or is broken now and was not."""
        return RANK[self.after] < RANK[self.before]


class Counts(Part):
    """Counts of samples at one ε in one record."""

    clean: Count
    certified: Count
    falsified: Count
    undecided: Count


class PointChange(Part):
    """Both records at one ε, and how many samples became better or worse."""

    epsilon: FiniteFloat
    samples: Positive
    before: Counts
    after: Counts
    better: Count
    worse: Count

    @property
    def regressed(self) -> bool:
        """Return whether fewer samples are certified than before, or more are broken."""
        return self.after.certified < self.before.certified or self.after.falsified > self.before.falsified


class Side(Part):
    """One of the two models: what it is, and what was run on it."""

    name: str
    sha256: Sha256
    attacks: tuple[str, ...]
    verifiers: tuple[str, ...]
    median_radius: tuple[FiniteFloat, FiniteFloat] | None = None


class ModelComparison(Part):
    """One model in both records."""

    before: Side
    after: Side
    points: tuple[PointChange, ...] = Field(min_length=1)
    changes: tuple[Change, ...]

    @property
    def same_network(self) -> bool:
        """Return whether both records are about the same weights: then only attacks and verifiers differ."""
        return self.before.sha256 == self.after.sha256

    @property
    def worse(self) -> tuple[Change, ...]:
        """Return the samples that lost a proof or are broken now."""
        return tuple(change for change in self.changes if change.worse)

    def transitions(self, epsilon: float) -> dict[tuple[Status, Status], int]:
        """Return how many samples went from one verdict to another at one ε, those that stayed left out."""
        return Counter((c.before, c.after) for c in self.changes if c.epsilon == epsilon)


class Comparison(Part):
    """Two records on the same samples, at the ε that both have."""

    schema_version: Literal["spikecert.comparison/3"] = Field(SCHEMA, alias="schema")
    titles: tuple[str, str]
    fingerprints: tuple[Sha256, Sha256]
    norm: Norm
    asked: str | None = None
    data: Data
    models: tuple[ModelComparison, ...] = Field(min_length=1)

    def regressed(self, by_share: bool = False) -> bool:
        """Return whether any model became worse: in any sample, or, by share, in a count at any ε."""
        if by_share:
            return any(point.regressed for model in self.models for point in model.points)
        return any(model.worse for model in self.models)


def compare(before: Record, after: Record) -> Comparison:
    """Return what changed from one record to another, sample by sample.

    Records of one model each are compared whatever the models are called; others by the names that both have.

    Raises:
        ValueError: for records on other samples or in another norm or range, or without a model or ε in common.
        SoundnessError: if both are about the same network, and one proves what the other broke.
    """
    _check_alike(before, after)
    epsilons = [epsilon for epsilon in before.threat.epsilons if epsilon in after.threat.epsilons]
    if not epsilons:
        raise ValueError(
            f"records: got ε {before.threat.epsilons} and {after.threat.epsilons}, expected a common one"
        )
    return Comparison(
        schema=SCHEMA,
        titles=(before.title, after.title),
        fingerprints=(before.fingerprint, after.fingerprint),
        norm=before.threat.norm,
        asked=before.threat.asked,
        data=before.data,
        models=tuple(_compared(*pair, epsilons) for pair in _pairs(before, after)),
    )


def _check_alike(before: Record, after: Record) -> None:
    if not before.data.agrees(after.data):
        raise ValueError(f"records: got different data, {before.data!r} and {after.data!r}, expected the same")
    if name := before.threat.differing(after.threat):
        raise ValueError(f"records: got different {name}, {before.threat} and {after.threat}, expected the same")


def _pairs(before: Record, after: Record) -> Iterator[tuple[ModelRecord, ModelRecord]]:
    if len(before.models) == len(after.models) == 1:
        yield before.models[0], after.models[0]
        return
    later = {model.name: model for model in after.models}
    common = [model for model in before.models if model.name in later]
    if not common:
        names = [[model.name for model in record.models] for record in (before, after)]
        raise ValueError(f"records: got the models {names[0]} and {names[1]}, expected a name in both")
    for model in common:
        yield model, later[model.name]


def _compared(before: ModelRecord, after: ModelRecord, epsilons: Sequence[float]) -> ModelComparison:
    if before.ties != after.ties:
        got = f"ties {before.ties!r} of {before.name} and {after.ties!r} of {after.name}"
        raise ValueError(f"records: got {got}, expected the same")
    _check_sound(before, after)
    changes = tuple(_changes(before, after, epsilons))
    return ModelComparison(
        before=_side(before),
        after=_side(after),
        points=tuple(_point(before, after, epsilon, changes) for epsilon in epsilons),
        changes=changes,
    )


def _check_sound(before: ModelRecord, after: ModelRecord) -> None:
    """Refuse two records of one network that contradict each other, at equal or different ε."""
    if before.architecture.sha256 != after.architecture.sha256:
        return
    rows = (*before.rows, *after.rows)
    conflict = contradiction(rows)
    for table in (before.radii, after.radii):
        if conflict is None and table is not None:
            conflict = radius_contradiction(rows, table)
    if conflict is not None:
        raise SoundnessError(f"{before.name}: the records are about one network, and {conflict}")


def _changes(before: ModelRecord, after: ModelRecord, epsilons: Sequence[float]) -> Iterator[Change]:
    later = {(row.index, row.epsilon): row for row in after.rows}
    for row in before.rows:
        if row.epsilon in epsilons:
            pair = combined(row), combined(later[row.index, row.epsilon])
            if pair[0] != pair[1]:
                yield Change(index=row.index, label=row.label, epsilon=row.epsilon, before=pair[0], after=pair[1])


def combined(row: SampleRow) -> Status:
    """Return the verdict over all attacks and verifiers: a record that holds both proof and break is refused."""
    return "verified" if row.verified else "falsified" if row.falsified else "unknown"


def _point(before: ModelRecord, after: ModelRecord, epsilon: float, changes: Sequence[Change]) -> PointChange:
    here = [change for change in changes if change.epsilon == epsilon]
    worse = sum(change.worse for change in here)
    return PointChange(
        epsilon=epsilon,
        samples=before.at(epsilon).samples,
        before=_counts(before, epsilon),
        after=_counts(after, epsilon),
        better=len(here) - worse,
        worse=worse,
    )


def _counts(model: ModelRecord, epsilon: float) -> Counts:
    point = model.at(epsilon)
    return Counts(
        clean=point.clean,
        certified=point.certified_by_any,
        falsified=point.falsified,
        undecided=point.undecided,
    )


def _side(model: ModelRecord) -> Side:
    return Side(
        name=model.name,
        sha256=model.architecture.sha256,
        attacks=model.attacks,
        verifiers=model.verifiers,
        median_radius=None if model.radii is None else model.radii.medians,
    )
