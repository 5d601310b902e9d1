"""The run record: everything that a report says, versioned, and refused where it contradicts itself."""

import hashlib
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ...asking.threats import plain_threat
from ...files import FileKind
from ...models.source import UNCONFIRMED
from ...models.validation import one_line
from .radii import RadiusTable, radius_contradiction, unmatched
from .rows import Part, SampleRow, Scalar, Seconds, Sets, SignRow, Tally, Ties, contradiction, tally
from .schema import SCHEMA, Architecture, Counterexample, Data, Environment, GainTable, GrowthRow, Training

RECORD = FileKind("record", f"a JSON file with schema {SCHEMA}", most=2**28)

_INCIDENTAL = {
    "seconds",
    "created",
    "environment",
    "command",
    "reason",
    "configuration",
    "names",
}
"""What enters no fingerprint: circumstances, how things are called, and what follows from the rest."""


class ModelRecord(Part):
    """One network: what it is, how it was trained, its gains, and what was found for each sample.

    `ties` says what all of it is about: "argmax" (of the greatest logits the one of lowest index is predicted) or
    "strict" (a tie is a failure). `signs` has a row for each attack and ε at which
    something says that what the attack left may be less robust than it seems.
    """

    name: str
    architecture: Architecture
    training: Training | None = None
    gains: GainTable | None = None
    seconds: dict[str, Seconds] = Field(default_factory=dict)
    points: tuple[Tally, ...] = Field(min_length=1)
    rows: tuple[SampleRow, ...] = Field(min_length=1)
    counterexamples: tuple[Counterexample, ...] = ()
    radii: RadiusTable | None = None
    growth: tuple[GrowthRow, ...] = ()
    ties: Ties = "strict"
    signs: tuple[SignRow, ...] = ()

    @model_validator(mode="after")
    def _check_consistency(self) -> "ModelRecord":
        def strictly_tied(row: SampleRow) -> bool:
            return row.tied and self.ties == "strict"

        if self.architecture.unconfirmed and UNCONFIRMED not in self.name:
            raise ValueError(f"name: got {self.name!r}, expected it to say that the network is {UNCONFIRMED}")
        _check_sources(self.rows)
        conflict = contradiction(self.rows)
        if conflict is None and self.radii is not None:
            stray = unmatched(self.rows, self.radii)
            if stray is not None:
                raise ValueError(stray)
            conflict = radius_contradiction(self.rows, self.radii)
        if conflict is not None:
            raise ValueError(f"unsound: {conflict}; a verifier or an attack has a bug, so this is no result")
        if self.radii is not None and self.radii.ties != self.ties:
            raise ValueError(
                f"radii: got ties {self.radii.ties!r} beside verdicts with {self.ties!r}, expected one"
            )
        if any(row.correct and (row.predicted != row.label or strictly_tied(row)) for row in self.rows):
            raise ValueError("rows: got a sample as classified right whose answer is not its label, or tied")
        if tally(self.rows) != self.points:
            raise ValueError("points: the counts do not follow from the rows")
        return self

    @property
    def attacks(self) -> tuple[str, ...]:
        """Return the names of the attacks that were run."""
        return tuple(self.rows[0].attacks)

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Return the names of the verifiers that were run."""
        return tuple(self.rows[0].verdicts)

    def at(self, epsilon: float) -> Tally:
        """Return the counts at `epsilon`, which must be one of the record's."""
        return next(point for point in self.points if point.epsilon == epsilon)


class Record(Part):
    """A whole run: one threat model, one set of samples, one or more models measured on them.

    `configuration` is the content of the file that `spikecert run` was given; None for other runs.
    """

    schema_version: Literal["spikecert.record/3"] = Field(SCHEMA, alias="schema")
    title: str
    created: str
    command: str
    seeds: dict[str, int]
    settings: dict[str, Scalar] = Field(default_factory=dict)
    configuration: dict[str, Any] | None = None
    focus: float
    environment: Environment
    data: Data
    threat: Sets
    models: tuple[ModelRecord, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_agreement(self) -> "Record":
        if self.focus not in self.threat.epsilons:
            raise ValueError(f"focus: got {self.focus}, expected one of the epsilons {self.threat.epsilons}")
        asked = self.threat.asked is not None
        for model in self.models:
            if asked and any(row.tied or row.label != row.predicted for row in model.rows):
                raise ValueError(f"models: {model.name!r} has labels or ties of its own beside a property")
            if tuple(point.epsilon for point in model.points) != self.threat.epsilons:
                raise ValueError(f"models: {model.name!r} was not measured at the epsilons of the threat model")
            if any(point.samples != self.data.samples for point in model.points):
                raise ValueError(f"models: {model.name!r} was not measured on all {self.data.samples} samples")
            if model.radii is not None and model.radii.norm != self.threat.norm:
                norms = f"{model.radii.norm!r} beside verdicts in {self.threat.norm!r}"
                raise ValueError(f"models: {model.name!r} has radii in {norms}, expected one norm")
        stray = [case for model in self.models for case in model.counterexamples if bool(case.outputs) != asked]
        if stray:
            raise ValueError(
                f"counterexamples: sample {stray[0].index} has {'no ' if asked else ''}outputs beside "
                f"{'a property, expected some' if asked else 'labels, expected none'}"
            )
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models: got the names {names}, expected each once")
        return self

    @property
    def fingerprint(self) -> str:
        """Return a hash of the results alone: no wall times, dates, versions, commands, nor how ε was written."""
        content = {**self.model_dump(mode="json", by_alias=True), "threat": plain_threat(self.threat)}
        text = json.dumps(_essential(content), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def frame(self) -> Any:
        """Return what each attack and each verifier found of each sample at each ε, as a table of pandas.

        Columns: model, index, label, predicted, correct, tied, epsilon, kind ("attack" or "verifier"), method,
        result ("broken", "held", or a verdict's status), margin, seconds, reason (None, NaN of attacks).

        Raises:
            ModuleNotFoundError: without pandas.
        """
        try:
            import pandas  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError:
            raise ModuleNotFoundError("frame: needs pandas: pip install pandas, or render to .csv") from None
        return pandas.DataFrame(
            [line for model in self.models for row in model.rows for line in _found(model, row)]
        )


def _found(model: ModelRecord, row: SampleRow) -> Iterator[dict[str, Any]]:
    """Yield a line for each attack and verifier."""
    head = {"model": model.name, **row.model_dump(exclude={"attacks", "verdicts"})}
    for name, broke in row.attacks.items():
        rest = {"margin": None, "seconds": None, "reason": None}
        yield {**head, "kind": "attack", "method": name, "result": "broken" if broke else "held", **rest}
    for name, found in row.verdicts.items():
        rest = found.model_dump(include={"margin", "seconds", "reason"})
        yield {**head, "kind": "verifier", "method": name, "result": found.status, **rest}


def load_record(path: str | Path) -> Record:
    """Read a record that `render(record, "….json")` wrote.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is no record, has another schema version, or contradicts itself.
    """
    content = RECORD.json(path)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"record: {path} has schema {reprlib.repr(schema)}, expected {SCHEMA!r}")
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"record: {path} is not valid: {first_error(error)}") from error


def _check_sources(rows: tuple[SampleRow, ...]) -> None:
    attacks, verifiers = list(rows[0].attacks), list(rows[0].verdicts)
    if any(list(row.attacks) != attacks or list(row.verdicts) != verifiers for row in rows):
        raise ValueError("rows: got different attacks or verifiers in different rows, expected the same in all")


def first_error(error: ValidationError) -> str:
    """Return the first error in one line: the place, what is wrong there, how many more there are."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))[:100] or "record"
    return f"{place}: {one_line(first['msg'])}" + (
        f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    )


def _essential(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _essential(inner) for key, inner in value.items() if key not in _INCIDENTAL}
    if isinstance(value, list):
        return [_essential(inner) for inner in value]
    return value
