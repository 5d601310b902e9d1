"""The run record: everything that a report says, versioned, and refused where it contradicts itself.

Records of older schemas, as the schema of today says them.
"""

import hashlib
import json
import reprlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ...files import FileKind
from ...models.source import UNCONFIRMED
from ...models.validation import one_line
from .radii import RadiusTable, radius_contradiction, unmatched
from .rows import Part, SampleRow, Scalar, Seconds, SignRow, Tally, Ties, contradiction, tally
from .schema import SCHEMA, Architecture, Counterexample, Data, Environment, GainTable, GrowthRow, Threat, Training

FIRST = "spikecert.record/1"
"""Had no `lost` in its counts, no `written` of its threat, and no `names` of its classes."""
OLDER = (FIRST,)


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record's content in the newest schema; what is no record stays wrong, for validation to say how."""
    if content.get("schema") != FIRST:
        return content
    models = content.get("models")
    changed = [_model(model) for model in models] if isinstance(models, list) else models
    return {**content, "schema": SCHEMA, "models": changed}


def _model(model: Any) -> Any:
    if not isinstance(model, dict) or not isinstance(model.get("points"), list):
        return model
    strict = model.get("ties", "strict") == "strict"
    return {**model, "points": [_point(point, strict) for point in model["points"]]}


def _point(point: Any, strict: bool) -> Any:
    """Add how many ties are failures: all of them, or those that argmax gives to another class."""
    if not isinstance(point, dict) or "lost" in point:  # which the first schema does not know
        return point
    tied, kept = (point.get(name, 0) for name in ("tied", "kept"))
    if not (isinstance(tied, int) and isinstance(kept, int)):
        return point
    return {**point, "lost": tied if strict else tied - kept}


RECORD = FileKind("record", f"a JSON file with schema {SCHEMA}", most=2**28)

_INCIDENTAL = {
    "seconds",
    "created",
    "environment",
    "command",
    "reason",
    "configuration",
    "written",
    "names",
    "lost",
}
"""What enters no fingerprint: circumstances, how things are called, and what follows from the rest."""
_LATER = {
    "features": (None,),
    **dict.fromkeys(("radii", "growth", "activity", "sha256", "events", "signs"), (None, [])),
    **dict.fromkeys(("networks", "member", "asked", "outputs"), (None,)),
    **dict.fromkeys(("ties", "tied", "kept", "late"), (False, "strict")),
}
"""Fields that came after the first records, and what says nothing new in them: there the fingerprint stays."""


class ModelRecord(Part):
    """One network: what it is, how it was trained, its gains, and what was found for each sample.

    `ties` says what all of it is about: "argmax" (of the greatest logits the one of lowest index is predicted) or
    "strict" (a tie is a failure), which older records mean. `signs` has a row for each attack and ε at which
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

    schema_version: Literal["spikecert.record/2"] = Field(SCHEMA, alias="schema")
    title: str
    created: str
    command: str
    seeds: dict[str, int]
    settings: dict[str, Scalar] = Field(default_factory=dict)
    configuration: dict[str, Any] | None = None
    focus: float
    environment: Environment
    data: Data
    threat: Threat
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
        """Return a hash of the results alone, without wall times, dates, versions and commands.

        It is taken as of the first schema: what was found before there were others has the same.
        """
        content = {**self.model_dump(mode="json", by_alias=True), "schema": FIRST}
        text = json.dumps(_essential(content), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_record(path: str | Path) -> Record:
    """Read a record that `render(record, "….json")` wrote, of this schema or an older one.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is no record, has another schema version, or contradicts itself.
    """
    content = RECORD.json(path)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema not in (SCHEMA, *OLDER):
        raise ValueError(f"record: {path} has schema {reprlib.repr(schema)}, expected {SCHEMA!r} or an older one")
    try:
        return Record.model_validate(upgraded(content))
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
        return {
            key: _essential(inner)
            for key, inner in value.items()
            if key not in _INCIDENTAL and inner not in _LATER.get(key, ())
        }
    if isinstance(value, list):
        return [_essential(inner) for inner in value]
    return value
