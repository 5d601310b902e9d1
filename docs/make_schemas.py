"""Write the JSON schemas of what spikecert writes and reads into docs/schemas: `python docs/make_schemas.py`."""

import json
from pathlib import Path

from pydantic import BaseModel

from spikecert.asking.run_files import Configuration
from spikecert.asking.values import schema_of
from spikecert.reports import Record
from spikecert.reports.comparing.comparing import Comparison
from spikecert.reports.comparing.difference_record import DifferenceRecord, EquivalenceRecord
from spikecert.runs.plants import Plant

FOLDER = Path(__file__).parent / "schemas"
MODELS: dict[str, type] = {
    "record-3.json": Record,
    "comparison-3.json": Comparison,
    "run-2.json": Configuration,
    "plant-1.json": Plant,
    "difference-1.json": DifferenceRecord,
    "equivalence-2.json": EquivalenceRecord,
}


def schema(model: type) -> str:
    """Return the JSON schema of a model, as files hold it."""
    pydantic = issubclass(model, BaseModel)
    content = model.model_json_schema(by_alias=True) if pydantic else schema_of(model)
    told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, model in MODELS.items():
        (FOLDER / name).write_text(schema(model), encoding="utf-8")


if __name__ == "__main__":
    main()
