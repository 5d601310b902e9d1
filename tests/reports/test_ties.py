"""Ties in records and reports: clean accuracy both ways, and nothing that ties is said to get another label."""

import csv
import io
from functools import cache

import pytest
import torch

from spikecert.reports import Data, Plan, RadiusPlan, Threat, load_record, measure, record, render
from spikecert.reports.comparing.comparing import compare
from spikecert.reports.pages.html_page import to_html
from spikecert.reports.pages.markdown import to_markdown
from spikecert.reports.pages.rendering import to_csv, to_latex
from spikecert.reports.pages.wording import meanings, ties_found, verdict
from spikecert.reports.records.records import Record
from support.ties import tied_network

INPUTS = torch.full((4, 2), 0.5)
LABELS = torch.tensor([0, 1, 2, 0])


@cache
def recorded(ties: str | None, name: str = "tied") -> Record:
    threat = Threat.of("linf", 0.05)
    radii = RadiusPlan(verifier="trains", tolerance=0.5, samples=1)
    plan = Plan(threat, ("fgsm",), ("trains",), radii=radii, ties=ties)
    data = Data(name="halves", split="test", samples=4, classes=3, shape=(2,))
    return record([measure(name, tied_network(), INPUTS, LABELS, plan)], data, threat)


@pytest.mark.parametrize(
    ("ties", "clean", "certified", "told"), [(None, 2, 2, "argmax"), ("strict", 0, 0, "the latter")]
)
def test_clean_accuracy_is_told_both_ways(ties: str | None, clean: int, certified: int, told: str) -> None:
    found = recorded(ties)
    (model,), (point,) = found.models, found.models[0].points
    assert (point.clean, point.certified_by_any, point.tied, point.kept) == (clean, certified, 3, 2)
    assert (point.misclassified, point.lost, point.broken, point.undecided) == (1, 3 - clean, 0, 0)
    assert ties_found(model) == (
        "tied: the label of 3 of 4 (75.0 %) ties with another class as it is. Clean accuracy is 50.0 % by argmax, "
        f"which takes the lowest index, and 0.0 % if a tie is a failure; this report is about {told}."
    )
    for text in (to_markdown(found), to_html(found).replace("\u00a0", " "), to_latex(found).replace("\\%", "%")):
        assert ties_found(model) in text


def test_no_word_of_ties_where_there_are_none(handmade) -> None:
    found = handmade()
    assert ties_found(found.models[0]) == ""
    assert "by argmax" not in to_markdown(found)


def test_the_sentence_and_the_bar_part_what_is_wrong_from_what_was_broken() -> None:
    found = recorded(None)
    assert "; 1 (25.0 %) tied as they are, 1 (25.0 %) misclassified as they are." in verdict(found)
    page = to_html(found)
    assert '<span class="wrong" style="flex: 1 1 0"><b>– 1</b></span>' in page
    assert '<span class="tied" style="flex: 1 1 0"><b>= 1</b></span>' in page
    assert '<span class="broken"' not in page


def test_the_list_of_samples_says_what_ties() -> None:
    for ties, results in (
        (None, ["verified", "verified", "misclassified", "tied"]),
        ("strict", ["tied", "tied", "misclassified", "tied"]),
    ):
        lines = list(csv.DictReader(io.StringIO(to_csv(recorded(ties)))))
        proofs = [line for line in lines if line["kind"] == "verifier"]
        assert [line["clean"] for line in proofs] == ["tied", "tied", "wrong", "tied"]
        assert {line["ties"] for line in lines} == {ties or "argmax"}
        assert sorted(line["result"] for line in proofs) == sorted(results)
        assert {line["result"] for line in lines if line["kind"] == "attack"} <= {"held", "misclassified", "tied"}


def test_what_the_words_mean_goes_by_the_ties(handmade) -> None:
    argmax, strict = (dict(meanings(recorded(ties))) for ties in ("argmax", "strict"))
    assert "another label, or whose greatest logit is that of two classes" in strict["falsified"]
    assert "two classes" not in argmax["falsified"]
    assert "lowest index" in argmax["ties"]
    assert "is never verified" in strict["ties"]
    both = recorded("argmax").model_copy(
        update={"models": (*recorded("argmax", "A").models, *recorded("strict", "B").models)}
    )
    assert dict(meanings(both))["ties"].startswith("A: Where several")
    assert "B: The label must" in dict(meanings(both))["ties"]


def test_a_counterexample_that_ties_gets_no_other_label() -> None:
    """Below .5 class 1 fires once less: the tie at the edge is what breaks the sample, strictly taken."""
    net = tied_network(0.9)
    threat = Threat.of("linf", 0.5)
    inputs = torch.full((1, 2), 0.13)
    with torch.no_grad():
        assert net(inputs)[0].argsort(descending=True).tolist()[0] == 0
        assert float(net(inputs)[0, 0]) > float(net(inputs)[0, 1])
    data = Data(name="one", split="test", samples=1, classes=3, shape=(2,))
    plan = Plan(threat, ("ensemble-fast",), ("trains",), ties="strict")
    found = record([measure("one", net, inputs, torch.tensor([0]), plan)], data, threat)
    (case,) = found.models[0].counterexamples
    assert (case.predicted, case.tied) == (1, True)
    assert "classified tied with 1" in to_html(found)
    assert "| tied with 1 |" in to_markdown(found)


def test_records_open_again_and_old_ones_mean_strict(tmp_path, handmade) -> None:
    found = recorded(None)
    render(found, tmp_path / "record.json")
    again = load_record(tmp_path / "record.json")
    assert again == found
    assert again.models[0].ties == "argmax"
    assert again.models[0].radii is not None
    assert again.models[0].radii.ties == "argmax"
    assert handmade().models[0].ties == "strict"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.update(ties="strict"), "radii: got ties 'argmax' beside verdicts with 'strict'"),
        (
            lambda model: model["radii"].update(ties="strict"),
            "radii: got ties 'strict' beside verdicts with 'argmax'",
        ),
        (lambda model: model.update(ties="lowest"), "ties"),
        (lambda model: (model.update(ties="strict"), model.update(radii=None)), "classified right whose answer"),
        (lambda model: model["rows"][0].update(predicted=2), "classified right whose answer is not its label"),
        (lambda model: model["points"][0].update(tied=0), "points: the counts do not follow"),
    ],
)
def test_records_that_contradict_themselves_about_ties_are_refused(change, message: str) -> None:
    content = recorded(None).model_dump(mode="json", by_alias=True)
    change(content["models"][0])
    with pytest.raises(ValueError, match=message):
        Record.model_validate(content)


def test_records_about_other_ties_are_not_compared() -> None:
    with pytest.raises(
        ValueError, match=r"^records: got ties 'argmax' of tied and 'strict' of tied, expected the"
    ):
        compare(recorded("argmax"), recorded("strict"))
    assert compare(recorded("argmax"), recorded(None)).models[0].changes == ()


def test_ties_of_a_plan_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^ties: got 'lowest', expected one of argmax, strict$"):
        recorded("lowest")
