"""What is put into one record: radii that were written beside it, and the models of several.

Put radii that `spikecert radius --out` wrote into a record of the same network and samples.

Put the models of several records side by side in one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, FiniteFloat, ValidationError

from ...files import FileKind
from ..records.radii import RadiusTable
from ..records.records import ModelRecord, Record, first_error
from ..records.rows import Count, Part, Seconds, Sets, Sha256, Ties

SCHEMA = "spikecert.radii/2"
RADII = FileKind("radii", f"a file of schema {SCHEMA}", most=2**28)


class _RadiusRow(Part):
    index: Count
    label: Count
    lower: Seconds
    upper: Seconds
    exact: bool
    attacked: bool
    verifier: str | None


class RadiiFile(Part):
    """The content of radii.json, as far as a record takes it over."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: Literal["spikecert.radii/2"] = Field(alias="schema")
    sha256: Sha256
    data: str
    threat: Sets
    verifier: str
    tolerance: Annotated[FiniteFloat, Field(gt=0)]
    timeout: FiniteFloat | None
    seed: Count
    ties: Ties = "strict"
    radii: tuple[_RadiusRow, ...] = Field(min_length=1)

    def table(self) -> RadiusTable:
        """Return the radii as a part of a record."""
        content: dict[str, Any] = self.model_dump(include={"verifier", "tolerance", "timeout", "seed", "ties"})
        rows = [{**row.model_dump(), "verifier": row.verifier or ""} for row in self.radii]
        return RadiusTable.model_validate({**content, "norm": self.threat.norm, "samples": rows})


def load_radii(path: str | Path) -> RadiiFile:
    """Read a radii.json.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is none, or contradicts itself.
    """
    content = RADII.json(path)
    try:
        radii = RadiiFile.model_validate(content)
        radii.table()
    except ValidationError as error:
        raise ValueError(f"radii: {path} is not valid: {first_error(error)}") from error
    return radii


def with_radii(record: Record, radii: RadiiFile) -> Record:
    """Return the record with the radii beside the verdicts of their network.

    Raises:
        ValueError: if no model of the record is that network, or the samples are not the same, or radii and
            verdicts contradict each other.
    """
    if radii.data != record.data.name:
        raise ValueError(f"radii: got radii on {radii.data}, expected {record.data.name} as in the record")
    if name := radii.threat.differing(record.threat):
        raise ValueError(
            f"radii: got radii of sets that differ from the record's in their {name}, expected the same"
        )
    if all(model.architecture.sha256 != radii.sha256 for model in record.models):
        raise ValueError(f"radii: got radii of network {radii.sha256[:12]}…, which is not in the record")
    models = [_attached(model, radii) for model in record.models]
    try:
        return Record.model_validate({**dict(record), "models": models})
    except ValidationError as error:
        raise ValueError(f"radii: they do not fit the record: {first_error(error)}") from error


def _attached(model: ModelRecord, radii: RadiiFile) -> ModelRecord:
    if model.architecture.sha256 != radii.sha256:
        return model
    try:
        return ModelRecord.model_validate({**dict(model), "radii": radii.table()})
    except ValidationError as error:
        raise ValueError(f"radii: they do not fit the record: {first_error(error)}") from error


def join(records: Sequence[Record]) -> Record:
    """Return one record with the models of all; a single record is returned as it is.

    Models of one name get the number of their record, so that two versions can be compared.

    Raises:
        ValueError: for no record, or for records that are not about the same samples and the same threat model.
    """
    if not records:
        raise ValueError("records: got none, expected at least one")
    first = records[0]
    for other in records[1:]:
        for name in ("data", "threat"):
            here, there = getattr(first, name), getattr(other, name)
            if not (here == there if name == "threat" else here.agrees(there)):
                raise ValueError(
                    f"records: got different {name}, {here!r} and {there!r}, expected the same in all"
                )
    if len(records) == 1:
        return first
    commands = dict.fromkeys(record.command for record in records if record.command)
    seeds = {f"{name} {k}": seed for k, record in enumerate(records, 1) for name, seed in record.seeds.items()}
    return first.model_copy(
        update={
            "title": " and ".join(dict.fromkeys(record.title for record in records)),
            "command": "\n".join(commands),
            "configuration": None,
            "seeds": seeds,
            "models": _named_apart(records),
        }
    )


def _named_apart(records: Sequence[Record]) -> tuple[ModelRecord, ...]:
    names = [model.name for record in records for model in record.models]
    return tuple(
        model.model_copy(update={"name": f"{model.name} ({k})"}) if names.count(model.name) > 1 else model
        for k, record in enumerate(records, 1)
        for model in record.models
    )
