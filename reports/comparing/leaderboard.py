"""Networks between what an attack leaves and what is proved: in the gap nobody knows.

The leaderboard as a table of text, and as one HTML page in the style of all reports.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import Field, FiniteFloat

from ...files import write_atomically
from ..pages.html_page import page_of
from ..pages.wording import percent
from ..records.categories import categories, slices
from ..records.records import ModelRecord, Record
from ..records.rows import Count, Part, Seconds, Sets, Sha256, SignRow, Tally
from ..records.schema import Data

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
    threat: Sets
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
        data = self.data
        return data.name, data.split, data.samples, data.sha256, self.threat.sized(self.point.epsilon)


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


HEADS = ("network", "samples", "ε", "clean", "left by attack", "proved", "gap", "undecided", "missed")
FILES = ("leaderboard.json", "leaderboard.html")
NOTE = (
    "The truth lies between what is proved and what the attack leaves: robust accuracy is at least the one and at "
    "most the other. The gap is their difference in points of all samples. Undecided is what neither proof nor "
    "counterexample decides; missed is what the attack left and a verifier broke: there the attack was too weak. "
    "Networks are ranked by what is proved, among those on the same samples and sets alone."
)


def cells(row: SandwichRow) -> tuple[str, ...]:
    """Return a row of the table, as text."""
    count = row.point.samples
    shares = (percent(part, count) for part in (row.point.clean, row.left, row.proved))
    gap, rest = f"{row.gap:.1f}", (str(row.undecided), str(row.missed))
    return row.name, str(count), row.threat.short(row.point.epsilon), *shares, gap, *rest


def conditions(row: SandwichRow) -> str:
    """Return what a group of rows is about, in one line."""
    data, threat = row.data, row.threat
    limit = "" if row.timeout is None else f", {row.timeout:g} s for a sample on average"
    sets = f"{threat.words}, ε = {threat.text(row.point.epsilon)}, inputs within {threat.ends}"
    samples = f"{data.samples} {data.split} samples of {data.name}"
    run = f"attack: {row.attack or 'none'}; proofs: {', '.join(row.verifiers) or 'none'}{limit}"
    return f"{sets}, {samples}; {run}"


def told(row: SandwichRow) -> tuple[str, ...]:
    """Return why what the attack left may be less robust than it seems, in one line each."""
    return tuple(f"{row.name}, {sign.attack}: {line}." for sign in row.signs for line in sign.signs.told)


def to_html(board: Leaderboard) -> str:
    """Return the leaderboard as the text of one self-contained page."""
    return page_of(
        "leaderboard.html",
        board.rows[0].threat,
        groups=[
            {
                "conditions": conditions(group[0]),
                "rows": [
                    {"cells": cells(row), "name": row.name, "parts": slices(row.point, row.threat)}
                    for row in group
                ],
                "signs": [line for row in group for line in told(row)],
                "seconds": [_seconds(row) for row in group if any(row.seconds)],
                "hashes": [(row.name, row.sha256, row.fingerprint) for row in group],
            }
            for group in board.groups
        ],
        heads=HEADS,
        note=NOTE,
        categories=categories(board.rows[0].threat),
    )


def _seconds(row: SandwichRow) -> str:
    attack, proof = ("–" if seconds is None else f"{seconds:.2f} s" for seconds in row.seconds)
    return f"{row.name}: attack {attack}, proofs {proof} a sample."


RENDERERS: dict[str, Callable[[Leaderboard], str]] = {".json": Leaderboard.to_json, ".html": to_html}


def write_leaderboard(board: Leaderboard, folder: Path) -> list[Path]:
    """Write the leaderboard in all forms to a folder, each atomically, and return the paths."""
    paths = [folder / name for name in FILES]
    for path in paths:
        write_atomically(path, RENDERERS[path.suffix](board).encode())
    return paths
