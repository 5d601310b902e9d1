"""Put the models of several records side by side in one."""

from collections.abc import Sequence

from ..records.records import ModelRecord, Record


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
            if not here.agrees(there):
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
