"""docs/schemas is what the models say, and the files that are written fit it."""

import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from spikecert.reports import load_record
from spikecert.reports.comparing.comparing import compare

DOCS = Path(__file__).parents[2] / "docs"


def maker():
    spec = importlib.util.spec_from_file_location("make_schemas", DOCS / "make_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(name):
    return json.loads((DOCS / "schemas" / name).read_text(encoding="utf-8"))


def test_the_published_schemas_are_up_to_date():
    module = maker()
    there = {path.name for path in (DOCS / "schemas").iterdir()}
    assert there - set(module.MODELS) == {"record-1.json"}  # what older versions wrote
    for name, model in module.MODELS.items():
        text = (DOCS / "schemas" / name).read_text(encoding="utf-8")
        assert text == module.schema(model), "run: python docs/make_schemas.py"


def test_what_is_written_fits_its_schema(handmade):
    found = handmade("a", "b", configuration={"seed": 0})
    jsonschema.validate(json.loads(found.to_json()), published("record-2.json"))
    jsonschema.validate(json.loads(compare(found, found).to_json()), published("comparison-2.json"))
    run = {"model": {"path": "x"}, "certify": {"verifiers": ["trains"]}, "threat": {"epsilon": [0.1, "8/255"]}}
    jsonschema.validate(run, published("run-1.json"))


def without_schema(content):
    del content["title"]


def more_fields(content):
    content["surprise"] = 1


def other_status(content):
    content["models"][0]["rows"][0]["verdicts"]["trains"]["status"] = "certified"


def negative_radius(content):
    content["models"][0]["radii"]["samples"][0]["lower"] = -1


@pytest.mark.parametrize("change", [without_schema, more_fields, other_status, negative_radius])
def test_the_schema_refuses_what_the_reader_refuses(handmade, tmp_path, change):
    content = json.loads(handmade().to_json())
    change(content)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, published("record-2.json"))
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not valid"):
        load_record(tmp_path / "record.json")
