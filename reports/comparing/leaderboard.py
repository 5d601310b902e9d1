"""Networks between what an attack leaves and what is proved: in the gap nobody knows."""

from collections.abc import Iterable, Iterator

from pydantic import Field, FiniteFloat

from ..records.part import Count, Part, Seconds, Sha256
from ..records.records import ModelRecord, Record
from ..records.rows import Tally
from ..records.schema import Data, Threat
from ..records.signs import SignRow

SCHEMA = "spikecert.sandwich/1"


class SandwichRow(Part):
    """One network at one ε.

    Attributes:
        attack: what the upper end is from; "" where no attack was run, and everything that broke a sample counts.
        verifiers: what the lower end is from; timeout: seconds for a sample.
        left: samples that are right, and that the attack left.
        proved: samples that any verifier proved.
        undecided: samples that nothing proved and nothing broke, the verifiers' own counterexamples counted.
        gap: left − proved, in points of all samples: what attack and proof together do not say.
        missed: samples that the attack left and a verifier, or another attack, broke.
        seconds: of the attack and of the verifiers, a sample.
        signs: why what the attack left may be less robust than it seems.
        fingerprint: of the record that the row is from.
    """

    name: str
    sha256: Sha256
    data: Data
    threat: Threat
    point: Tally
    attack: str
    verifiers: tuple[str, ...]
    timeout: FiniteFloat | None
    left: Count
    proved: Count
    undecided: Count
    missed: Count
    gap: FiniteFloat
    seconds: tuple[Seconds | None, Seconds | None]
    signs: tuple[SignRow, ...]
    fingerprint: Sha256

    @property
    def conditions(self) -> tuple[object, ...]:
        """Return what rows must share to be ranked among each other: samples, sets, and ε."""
        data, threat = self.data, self.threat
        samples = data.name, data.split, data.samples, data.sha256
        told = (str(part) for part in (threat.events, threat.networks, threat.features))
        return *samples, threat.norm, threat.lower, threat.upper, *told, self.point.epsilon


class Leaderboard(Part):
    """Rows by conditions, within them the most proved first."""

    schema_version: str = Field(SCHEMA, alias="schema")
    rows: tuple[SandwichRow, ...] = Field(min_length=1)

    @property
    def groups(self) -> tuple[tuple[SandwichRow, ...], ...]:
        """Return the rows that may be compared with each other, group by group."""
        found: dict[tuple[object, ...], list[SandwichRow]] = {}
        for row in self.rows:
            found.setdefault(row.conditions, []).append(row)
        return tuple(map(tuple, found.values()))


def leaderboard(records: Iterable[Record], attack: str = "standard") -> Leaderboard:
    """Return all models of all records at all their ε.

    Args:
        records: any, on whatever data and sets.
        attack: what the upper end is from, where a record has it; else the first of its attacks.

    Raises:
        ValueError: without a record.
    """
    rows = [row for record in records for model in record.models for row in _rows(record, model, attack)]
    if not rows:
        raise ValueError("records: got none, expected at least one")
    if stray := [row for row in rows if row.threat.asked is not None]:
        raise ValueError(f"records: got {stray[0].name!r} about a property, expected classes: these are ranked")
    first: dict[tuple[object, ...], int] = {}
    for place, row in enumerate(rows):
        first.setdefault(row.conditions, place)
    order = sorted(rows, key=lambda row: (first[row.conditions], -row.proved, -row.left, row.name))
    return Leaderboard(rows=tuple(order), schema=SCHEMA)


def _rows(record: Record, model: ModelRecord, attack: str) -> Iterator[SandwichRow]:
    chosen = attack if attack in model.attacks else next(iter(model.attacks), "")
    limit = record.settings.get("timeout")
    for point in model.points:
        left = point.robust[chosen] if chosen else point.unbroken
        proved = point.certified_by_any
        yield SandwichRow(
            name=model.name,
            sha256=model.architecture.sha256,
            data=record.data,
            threat=record.threat,
            point=point,
            attack=chosen,
            verifiers=model.verifiers,
            timeout=float(limit) if isinstance(limit, int | float) else None,
            left=left,
            proved=proved,
            undecided=point.undecided,
            missed=left - proved - point.undecided,
            gap=100 * (left - proved) / point.samples,
            seconds=(_each(model, point, (chosen,)), _each(model, point, model.verifiers)),
            signs=tuple(row for row in model.signs if (row.attack, row.epsilon) == (chosen, point.epsilon)),
            fingerprint=record.fingerprint,
        )


def _each(model: ModelRecord, point: Tally, sources: Iterable[str]) -> float | None:
    """Return the seconds of some attacks or verifiers, a sample; None where they are not known."""
    found = [model.seconds.get(f"{source} at {point.epsilon:g}") for source in sources if source]
    known = [seconds for seconds in found if seconds is not None]
    return sum(known) / point.samples if known else None
