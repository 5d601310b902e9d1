"""The record: what it stores, what it refuses, and that it reads back."""

import json

import pytest
from pydantic import ValidationError

from spikecert.asking import Threat
from spikecert.reports import join, load_record, render
from spikecert.reports.records.records import RECORD, Record
from spikecert.reports.records.rows import Finding, SampleRow, contradiction, tally
from spikecert.reports.records.schema import GainTable


def test_counts_follow_from_rows_by_hand(handmade):
    two, four, eight = handmade().models[0].points
    assert (two.clean, two.robust["ensemble"], two.certified, two.falsified) == (
        9,
        9,
        {"interval": 6, "trains": 8},
        1,
    )
    assert (four.robust["ensemble"], four.certified_by_any, four.falsified, four.undecided) == (8, 6, 2, 2)
    assert (eight.robust["ensemble"], eight.certified_by_any, eight.falsified, eight.undecided) == (6, 3, 4, 3)


def test_every_sample_is_proved_broken_or_undecided(handmade):
    for point in handmade().models[0].points:
        assert point.certified_by_any + point.falsified + point.undecided == point.samples
        assert max(point.certified.values()) <= min(point.robust.values()) <= point.clean


def test_json_reads_back_to_an_equal_record(handmade, tmp_path):
    found = handmade("a", "b")
    path = render(found, tmp_path / "record.json")
    again = load_record(path)
    assert again == found
    assert again.fingerprint == found.fingerprint
    assert json.loads(path.read_text())["schema"] == "spikecert.record/3"


def test_fingerprint_is_about_results_only(handmade):
    found = handmade()
    assert handmade(created="another day", command="other").fingerprint == found.fingerprint
    assert handmade(focus=2 / 255).fingerprint != found.fingerprint
    slower = {**found.models[0].seconds, "trains at 0.1": 9.0}
    changed = found.model_copy(update={"models": (found.models[0].model_copy(update={"seconds": slower}),)})
    assert changed.fingerprint == found.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON file"),
        ("[" * 100_000, "is no JSON file"),
        ("[]", "has schema None, expected 'spikecert.record/3'"),
        ('{"schema": "spikecert.record/2"}', "has schema 'spikecert.record/2', expected 'spikecert.record/3'"),
        ('{"schema": "spikecert.record/3", "models": [{"points": [0]}, 3]}', "is not valid"),
        ('{"schema": "spikecert.record/3"}', "is not valid: title: Field required"),
    ],
)
def test_a_file_that_is_no_record_is_one_line(tmp_path, content, message):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_record(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"record: got .*nothing\.json, no such file, expected"):
        load_record(tmp_path / "nothing.json")


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "record.json"
    with path.open("wb") as file:
        file.truncate(RECORD.most + 1)
    with pytest.raises(ValueError, match="expected at most"):
        load_record(path)


def changed(handmade, tmp_path, change):
    content = json.loads(handmade().to_json())
    change(content)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content))
    return path


def prove_more(content):
    content["models"][0]["points"][0]["certified_by_any"] += 1


def prove_a_broken_sample(content):
    for row in content["models"][0]["rows"]:
        if row["index"] == 8:
            row["verdicts"]["trains"]["status"] = "verified"


def drop_a_verifier(content):
    del content["models"][0]["rows"][3]["verdicts"]["trains"]


def add_a_field(content):
    content["surprise"] = 1


def other_focus(content):
    content["focus"] = 0.5


def be_unconfirmed_in_silence(content):
    content["models"][0]["architecture"]["description"]["unconfirmed"] = True


def certify_by_gains(content):
    content["models"][0]["gains"]["simplified"] = False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (prove_more, "the counts do not follow from the rows"),
        (prove_a_broken_sample, "unsound: sample 8 is verified at ε = 0.0313725 and broken at ε = 0.0156863"),
        (drop_a_verifier, "different attacks or verifiers"),
        (add_a_field, "surprise: Extra inputs are not permitted"),
        (be_unconfirmed_in_silence, "expected it to say that the network is not confirmed by its source"),
        (other_focus, "focus: got 0.5, expected one of"),
        (certify_by_gains, "gains.simplified: Input should be True"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(handmade, tmp_path, change, message):
    path = changed(handmade, tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load_record(path)


def test_records_are_frozen(handmade):
    with pytest.raises(ValidationError, match="frozen"):
        handmade().title = "other"


def test_gains_can_not_be_called_a_certificate():
    with pytest.raises(ValidationError):
        GainTable.model_validate(
            {"input_norm": "l2", "output_norm": "l2", "horizon": "8 steps", "simplified": False, "layers": ()}
        )


@pytest.mark.parametrize("epsilons", [[], [0.0, 0.1], [-0.1], [True], ["nan"], ["1/0"], [None], [[0.1]], {}])
def test_epsilons_are_positive(handmade, epsilons):
    content = json.loads(handmade().to_json())
    content["threat"]["epsilon"] = epsilons
    with pytest.raises(ValidationError, match="epsilon: got"):
        Record.model_validate(content)


def test_epsilons_rise():
    assert Threat.of("linf", (0.2, "1/10", 0.1)).epsilons == (0.1, 0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"epsilon": (0.5, 1.0)}, "a whole number of events"), ({"range": (0, 2)}, r"expected \[0, 1\] for events")],
)
def test_flips_are_counted_on_events(changes, message):
    fields = {"norm": "flips", "range": (0.0, 1.0), "epsilon": (1.0, 3.0)}
    assert Threat.of(**fields).epsilons == (1.0, 3.0)
    with pytest.raises(ValueError, match=message):
        Threat.of(**{**fields, **changes})


def row(epsilon, status, broken):
    verdict = Finding(status=status, seconds=0.0)
    return SampleRow(
        index=0,
        label=1,
        predicted=1,
        correct=True,
        epsilon=epsilon,
        attacks={"a": broken},
        verdicts={"v": verdict},
    )


def test_contradiction_compares_across_epsilons():
    assert contradiction([row(0.1, "verified", False), row(0.2, "unknown", True)]) is None
    assert contradiction([row(0.1, "unknown", True), row(0.2, "verified", False)]) is not None
    assert contradiction([row(0.1, "verified", True)]) is not None


def test_tally_sorts_by_epsilon():
    assert [point.epsilon for point in tally([row(0.2, "unknown", False), row(0.1, "unknown", False)])] == [
        0.1,
        0.2,
    ]


def test_join_puts_models_side_by_side(handmade):
    one, two = handmade("a", command="first"), handmade("a", "b", command="second")
    joined = join([one, two])
    assert [model.name for model in joined.models] == ["a (1)", "a (2)", "b"]
    assert joined.command == "first\nsecond"
    assert Record.model_validate(joined.model_dump(by_alias=True)) == joined
    assert join([one]) is one


def test_join_refuses_other_samples(handmade):
    one = handmade()
    other = one.model_copy(update={"data": one.data.model_copy(update={"name": "mnist"})})
    with pytest.raises(ValueError, match="different data"):
        join([one, other])
    with pytest.raises(ValueError, match="got none"):
        join([])
