"""`spikecert report --against` and `--radii`: statuses for pipelines, and files that don't fit."""

import json

import pytest

from spikecert.reports import load_record

SMALL = ("--samples", 40, "--epsilon", "1/255,4/255", "--no-gains")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compared")


@pytest.fixture
def records(run, model, folder):
    paths = [folder / verifier / "record.json" for verifier in ("trains", "interval")]
    if not paths[0].is_file():
        for path in paths:
            run("certify", model, *SMALL, "--verifier", path.parent.name, "--out", path.parent)
    return paths


def test_the_same_record_twice_is_no_regression(run, records):
    outcome = run("report", records[0], "--against", records[0], "--fail-on-regression", "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    assert found["schema"] == "spikecert.comparison/3"
    assert found["models"][0]["changes"] == []


def test_a_lost_proof_is_status_1_where_it_is_asked_for(run, records):
    counts = [load_record(path).models[0].points[-1].certified_by_any for path in records]
    assert counts[1] < counts[0]
    before, after = records
    assert run("report", after, "--against", before).status == 0
    for extra in ((), ("--by-share",)):
        outcome = run("report", after, "--against", before, "--fail-on-regression", *extra)
        assert outcome.status == 1
        assert "verified | undecided" in outcome.out
        assert outcome.err.startswith("worse than before")
    assert run("report", before, "--against", after, "--fail-on-regression").status == 0


WRONG = {
    ("--by-share",): "by-share: got it alone",
    ("--fail-on-regression",): "fail-on-regression: got it alone, expected --against BEFORE beside it",
    (
        "--against",
        "OTHER",
        "--title",
        "mine",
    ): "against: got it beside other records, radii, a page, a title or figures",
    ("--against", "OTHER", "OTHER"): "against: got it beside other records",
    ("--against", "OTHER", "--replay"): "replay: got it beside",
    ("--replay", "--out", "page.html"): "out: got page.html beside --replay",
    ("--sample", "3"): "sample: got it alone, expected --replay beside it",
    ("--open",): "open: got no page to show",
    ("--summary",): "summary: got no file to write",
    ("--checked", "OTHER"): "checked: got a file",
}


@pytest.mark.parametrize("more", WRONG, ids=" ".join)
def test_options_that_do_not_go_together_are_one_line(run, records, more):
    found = run("report", records[0], *(records[1] if word == "OTHER" else word for word in more))
    assert (found.status, found.err.count("\n")) == (2, 1)
    assert WRONG[more] in found.err


def test_a_comparison_writes_a_page(run, records, tmp_path):
    outcome = run("report", records[1], "--against", records[0], "--out", tmp_path / "both.html")
    assert outcome.status == 0
    assert outcome.out == ""
    assert (tmp_path / "both.html").read_text().count("<svg") == 2


def test_radii_are_put_into_a_report(run, model, records, tmp_path):
    run("radius", model, "--samples", 4, "--verifier", "trains", "--tolerance", "1/64", "--out", tmp_path)
    arguments = ("report", records[0], "--radii", tmp_path / "radii.json")
    assert run(*arguments, "--out", tmp_path / "report.html").status == 0
    assert "4 of 40 samples" in (tmp_path / "report.html").read_text()
    joined = json.loads(run(*arguments, "--json").out)
    content = json.loads((tmp_path / "radii.json").read_text())
    assert [row["lower"] for row in joined["models"][0]["radii"]["samples"]] == [
        row["lower"] for row in content["radii"]
    ]

    for change, message in (
        ({"sha256": "ab" * 32}, "radii: got radii of network abababababab…, which is not in the record"),
        ({"data": "mnist"}, "radii: got radii on mnist, expected digits"),
        ({"threat": {"norm": "l2"}}, "radii of sets that differ from the record's in their norm"),
        ({"tolerance": 0}, "tolerance: Input should be greater than 0"),
        ({"schema": "other"}, "schema: Input should be 'spikecert.radii/2'"),
    ):
        (tmp_path / "radii.json").write_text(json.dumps({**content, **change}))
        outcome = run(*arguments)
        assert outcome.status == 2
        assert outcome.err.count("\n") == 1
        assert message in outcome.err


def test_certify_with_radii_and_attacks_is_a_whole_report(run, model, tmp_path):
    outcome = run(
        *(
            "certify",
            model,
            "--samples",
            4,
            "--epsilon",
            "1/255",
            "--verifier",
            "interval,trains",
            "--attack",
            "fgsm",
        ),
        *("--radii", "--tolerance", "1/32", "--out", tmp_path),
    )
    found = load_record(tmp_path / "record.json")
    assert outcome.status == int(found.models[0].points[0].falsified > 0)
    assert found.models[0].attacks == ("fgsm",)
    assert found.models[0].verifiers == ("interval", "trains")
    assert found.models[0].radii is not None
    assert found.models[0].radii.verifier == "trains"
    assert found.models[0].growth
    assert "radii: 4 samples" in outcome.out
    assert found.command.endswith("--verifier interval,trains --attack fgsm --radii --tolerance 1/32")
