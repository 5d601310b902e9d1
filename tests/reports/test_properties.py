"""Records of a property: pages say what was asked, a safety case counts no proof of a class, nothing is mixed.

docs/schemas is what the models say, and the files that are written fit it.
"""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from spikecert.asking.threats import write_threat
from spikecert.reports import join, load_record, render
from spikecert.reports.comparing.comparing import compare
from spikecert.reports.comparing.leaderboard import leaderboard
from spikecert.reports.making.combining import RadiiFile, with_radii
from spikecert.reports.pages.markdown import to_markdown
from spikecert.reports.pages.safety_case import Checked, safety_case
from spikecert.reports.pages.wording import verdict
from spikecert.reports.records.schema import Counterexample

WORDS = "no output moves by more than .1 from the sample's own"


@pytest.fixture
def asked(handmade):
    """Return the hand-made record as one of a property: sample 9 fails as it is."""

    def make(text: str = "moves=.1"):
        plain = handmade()
        model = plain.models[0]
        rows = tuple(row.model_copy(update={"predicted": row.label}) for row in model.rows)
        cases = tuple(
            case.model_copy(update={"outputs": ((0.25, 0.5), (0.5, 0.125))}) for case in model.counterexamples
        )
        model = model.model_copy(update={"rows": rows, "counterexamples": cases})
        threat = replace(plain.threat, asked=text)
        return type(plain).model_validate({**dict(plain), "threat": threat, "models": (model,)})

    return make


def test_every_form_says_what_was_asked_and_nothing_of_a_class(asked, tmp_path):
    found = asked()
    assert f"provably keeps the property that {WORDS}, for 6 (60.0 %) of 10" in verdict(found)
    assert "1 (10.0 %) failing as they are" in verdict(found)
    for name in ("report.html", "report.md", "table.tex", "record.json"):
        text = render(found, tmp_path / name).read_text(encoding="utf-8")
        assert "misclassified" not in text, name
        assert "moves=.1" in text if name == "record.json" else "moves by more than .1 from the sample" in text
    assert "| 8 | 0.25, 0.5 | 0.5, 0.125 |" in to_markdown(found)
    rows = render(found, tmp_path / "samples.csv").read_text(encoding="utf-8").splitlines()
    assert {row.split(",")[10] for row in rows if row.split(",")[1] == "9"} <= {"failing", "certified", "attacked"}
    again = load_record(tmp_path / "record.json")
    assert again == found
    assert again.fingerprint == found.fingerprint != asked("moves=.2").fingerprint


def test_a_safety_case_counts_no_proof_of_a_class(asked):
    found = asked()
    told = {"accepted": True, "label": 3, "norm": "linf", "epsilon": 1.0, "lower": 0.0, "upper": 1.0}
    proof = {**told, "ties": "strict", "point_sha256": "cd" * 32}
    digest = found.models[0].architecture.sha256
    checked = Checked.model_validate({"network": digest, "accepted": 1, "refused": 0, "proofs": [proof]})
    assert checked.covered(found.threat, found.focus, "strict") == 0
    case = safety_case(found, checked)
    assert case.claims[0].endswith(f"within ε = 4/255 = 0.01569 (ℓ∞): {WORDS}. It is no claim about labels.")
    assert dict(case.evidence)["Proofs"].endswith("(check-proof --property does) is not compared here")


def test_records_of_other_questions_are_not_mixed(asked, handmade):
    found, other, plain = asked(), asked("moves=.2"), handmade()
    for one in (other, plain):
        with pytest.raises(ValueError, match=r"^records: got different threat"):
            join([found, one])
        with pytest.raises(ValueError, match=r"^records: got different property"):
            compare(found, one)
    assert compare(found, found).asked == "moves=.1"
    with pytest.raises(ValueError, match="about a property, expected classes"):
        leaderboard([found])
    table = plain.models[0].radii
    told = {"schema": "spikecert.radii/2", "sha256": found.models[0].architecture.sha256, "data": "digits"}
    rows = [dict(row) for row in table.samples]
    rest = {
        "threat": write_threat(plain.threat),
        "verifier": "linear",
        "tolerance": 1e-3,
        "timeout": None,
        "seed": 0,
        "radii": rows,
    }
    with pytest.raises(ValueError, match=r"^radii: got radii of sets that differ .* in their property"):
        with_radii(found, RadiiFile.model_validate(told | rest))


@pytest.mark.parametrize("text", ["nonsense", "", "moves=nan", "Y0 == 1"])
def test_what_is_no_property_is_no_record(asked, text):
    content = json.loads(asked().to_json())
    content["threat"]["property"] = text
    with pytest.raises(ValidationError, match="property: got"):
        type(asked()).model_validate(content)


def test_records_that_contradict_their_question_are_refused(asked, handmade):
    plain, found = handmade(), asked()
    cases = [one.models[0].counterexamples for one in (plain, found)]
    told = ("has no outputs beside a property", "has outputs beside labels")
    for one, other, line in zip((found, plain), cases, told, strict=True):
        models = (one.models[0].model_copy(update={"counterexamples": other}),)
        with pytest.raises(ValidationError, match=line):
            type(found).model_validate({**dict(one), "models": models})
    with pytest.raises(ValidationError, match="has labels or ties of its own beside a property"):
        type(found).model_validate({**dict(plain), "threat": found.threat})
    case = dict(found.models[0].counterexamples[0])
    for outputs in (((), ()), ((0.0,), (0.0, 1.0))):
        with pytest.raises(ValidationError, match="outputs: got two of different lengths"):
            Counterexample.model_validate(case | {"outputs": outputs})


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
    assert there == set(module.MODELS)
    for name, model in module.MODELS.items():
        text = (DOCS / "schemas" / name).read_text(encoding="utf-8")
        assert text == module.schema(model), "run: python docs/make_schemas.py"


def test_what_is_written_fits_its_schema(handmade):
    found = handmade("a", "b", configuration={"seed": 0})
    jsonschema.validate(json.loads(found.to_json()), published("record-3.json"))
    jsonschema.validate(json.loads(compare(found, found).to_json()), published("comparison-3.json"))
    run = {"model": {"path": "x"}, "certify": {"verifiers": ["trains"]}, "threat": {"epsilon": [0.1, "8/255"]}}
    jsonschema.validate(run, published("run-2.json"))


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
        jsonschema.validate(content, published("record-3.json"))
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not valid"):
        load_record(tmp_path / "record.json")
