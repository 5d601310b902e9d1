"""What a reader sees first: five categories that add up, ε as it was written, one ε as bars, what to do next."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.files.texts import fraction
from spikecert.reports import Threat
from spikecert.reports.pages.advice import advice
from spikecert.reports.pages.html_page import to_html
from spikecert.reports.pages.markdown import to_markdown
from spikecert.reports.pages.rendering import to_latex
from spikecert.reports.pages.safety_case import load_checked, render_summary, safety_case
from spikecert.reports.records.categories import CATEGORIES, Slice, slices
from spikecert.reports.records.records import Record
from spikecert.reports.records.rows import Finding, tally


class Words(HTMLParser):
    """Collects the text of a page, that of its code left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.within: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "code" not in self.within and "style" not in self.within:
            self.words += data


def at_one(record: Record) -> Record:
    """Return a record at the second of its ε alone."""
    (model,), epsilon = record.models, record.threat.epsilons[1]
    rows = tuple(row for row in model.rows if row.epsilon == epsilon)
    one = model.model_copy(update={"rows": rows, "points": tally(rows), "radii": None})
    threat = Threat.of("linf", epsilon)
    return record.model_copy(update={"models": (one,), "threat": threat})


def test_five_categories_add_up(handmade) -> None:
    for found in (handmade(), handmade("A", "B")):
        for point in found.models[0].points:
            parts = slices(point, found.threat)
            assert [part.category for part in parts] == list(CATEGORIES)
            assert sum(part.count for part in parts) == point.samples
            assert all(part.samples == point.samples for part in parts)
            assert min(part.count for part in parts) >= 0
    assert len({(category.key, category.sign) for category in CATEGORIES}) == len(CATEGORIES) == 5


def test_a_share_is_rounded_as_people_round() -> None:
    """2 of 30 are 6.7 % wherever they stand, beside what they add up to or not."""
    assert [Slice(CATEGORIES[0], count, 30).percent for count in (2, 26, 0)] == ["6.7 %", "86.7 %", "0.0 %"]


def test_the_page_shows_the_categories_and_their_sum(handmade) -> None:
    text = to_html(handmade("A", "B"))
    body = re.search(r'<table class="categories">.*?</table>', text, re.DOTALL)
    assert body is not None
    counts = [int(count) for count in re.findall(r"<td>(\d+) <", body[0])]
    assert counts == [6, 6, 2, 2, 1, 1, 0, 0, 1, 1, 10, 10]
    assert text.index("Assumed:") < text.index("Not covered:") < text.index('id="accuracy"')
    assert to_markdown(handmade()).count("| together | 10 (100.0 %) |") == 1


def test_epsilon_stands_as_it_was_written(handmade) -> None:
    epsilons, written = (0.5 / 255, 4 / 255, 0.05), (".5/255", "4/255", "5e-2")
    rows = tuple(row for row in handmade().models[0].rows)
    renamed = dict(zip(handmade().threat.epsilons, epsilons, strict=True))
    moved = tuple(row.model_copy(update={"epsilon": renamed[row.epsilon]}) for row in rows)
    model = handmade().models[0].model_copy(update={"rows": moved, "points": tally(moved), "radii": None})
    threat = Threat.of("linf", written)
    assert threat.epsilons == epsilons
    found = handmade(threat=threat, models=(model,), focus=0.5 / 255)
    for text in (to_html(found), to_markdown(found), to_latex(found)):
        assert all(part in text for part in written)
    assert "ε = .5/255 = 0.001961 in" in to_markdown(found)
    unwritten = handmade(threat=Threat.of("linf", epsilons), models=(model,), focus=0.5 / 255)
    assert found.fingerprint == unwritten.fingerprint
    assert found.threat == unwritten.threat
    assert load(found) == found
    assert load(found).threat.short(0.05) == "5e-2"


def load(record: Record) -> Record:
    return Record.model_validate_json(record.to_json())


@pytest.mark.parametrize("written", ["1/0", "one", "9" * 41, "1_0", "", "0x1", "∞", "1e400"])
def test_what_is_no_number_is_no_epsilon(written: str) -> None:
    with pytest.raises(ValueError, match=r"^epsilon: got"):
        Threat.of("linf", written)


@given(st.text("0123456789.eE+-/ _∞", max_size=8))
def test_a_fraction_is_a_number_or_none(text: str) -> None:
    value = fraction(text)
    if "/" not in text and value == value:
        assert value == float(text)
    assert value != value or "_" not in text


def test_one_epsilon_is_bars_and_several_are_lines(handmade) -> None:
    one, several = to_html(at_one(handmade())), to_html(handmade())
    assert "Accuracy over perturbation size: " not in one
    assert one.count('class="level ') == 5  # clean, one attack, two verifiers, what lies between
    assert 'style="margin-left: 60.0%; width: 20.0%"' in one
    assert "≤ 80.0 %" in one
    assert 'class="level ' not in several


def test_no_backtick_is_left_in_the_words(handmade) -> None:
    for found in (handmade(), at_one(handmade()), handmade(configuration={"seed": 0})):
        assert "`" not in Words(to_html(found)).words
    assert "`spikecert certify --radii`" in to_markdown(at_one(handmade()))


def bare(record: Record, **changes: object) -> Record:
    """Return the record with other settings, and rows changed by a function."""
    change = changes.pop("rows", lambda row: row)
    (model,) = record.models
    rows = tuple(change(row) for row in model.rows)  # type: ignore[operator]
    fresh = model.model_copy(update={"rows": rows, "points": tally(rows), "radii": None, "training": None})
    return record.model_copy(update={"models": (fresh,), **changes})


def test_advice_follows_from_what_was_found(handmade) -> None:
    told = " ".join(advice(bare(handmade())))
    for part in ("`--verifier auto --timeout 10`", "2 samples are undecided by bounds alone", "at most 20 s"):
        assert part in told
    assert "`spikecert train --objective certified --size 4/255`" in told
    assert "`--radii --samples 20`" in told
    assert "± 32 points" in told

    def slow(row):
        finding = Finding(status="unknown", seconds=3.0)
        return row.model_copy(update={"attacks": {}, "verdicts": {"auto": finding}})

    late = " ".join(advice(bare(handmade(), rows=slow, settings={"timeout": 3.0})))
    assert "9 samples are undecided after 3 s each" in late
    assert "Of 30 that took over a tenth of that, 0 were decided. `--timeout 30`" in late
    assert "Try smaller ε" in late

    def proved(row):
        return row.model_copy(
            update={"attacks": {}, "verdicts": {"trains": Finding(status="verified", seconds=0)}}
        )

    done = bare(
        handmade(),
        rows=lambda row: (
            proved(row)
            if row.correct
            else row.model_copy(
                update={"verdicts": {"trains": Finding(status="unknown", seconds=0)}, "attacks": {}}
            )
        ),
    )
    told = " ".join(advice(done))
    assert "Try larger ε" in told
    assert "Decide more" not in told
    assert "`--attack ensemble`" in told


def test_a_safety_case_claims_what_is_proved_and_lists_the_rest(handmade, tmp_path) -> None:
    found = handmade("A", "B")
    case = safety_case(found)
    assert case.claims[0] == (
        "A: for 6 of 10 samples (60.0 %) no input in [0, 1] within ε = 4/255 = 0.01569 (ℓ∞) gets another "
        "answer than the sample's label."
    )
    # the least p for which 6 or more of 10 have probability .05, by hand: P(p = .3035) = .05
    assert (
        case.risks[0]
        == "A: 2 undecided, 1 broken, 0 tied, 1 misclassified; of inputs like these at least 30.3 % proved."
    )
    html = render_summary(found, tmp_path / "case.html").read_text()
    text = render_summary(found, tmp_path / "case.md").read_text()
    for head in ("Claim", "Evidence", "Assumptions", "Residual risk"):
        assert f"## {head}" in text
        assert f"<h2>{head}</h2>" in html
    for page in (html, text):
        assert found.fingerprint in page
        assert "ab" * 32 in page
    with pytest.raises(ValueError, match=r"^path: got 'case.tex', expected a name that ends in .html, .md$"):
        render_summary(found, tmp_path / "case.tex")


def proof(**changes: object) -> dict[str, object]:
    """Return what `check-proof --json` says of a proof of ε = 4/255."""
    told = {"accepted": True, "label": 3, "norm": "linf", "epsilon": 4 / 255, "lower": 0.0, "upper": 1.0}
    return told | {"ties": "strict", "point_sha256": "cd" * 32, "property": None} | changes


@pytest.mark.parametrize(
    ("changes", "covers"),
    [
        ({}, 1),
        ({"epsilon": 5 / 255, "lower": -1.0, "upper": 2.0}, 1),
        ({"epsilon": 3.9 / 255}, 0),
        ({"lower": 0.1}, 0),
        ({"upper": 0.9}, 0),
        ({"norm": "l2"}, 0),
        ({"ties": "argmax"}, 0),
        ({"label": None, "property": {"told": "output[0] <= 0"}}, 0),
        ({"accepted": False}, 0),
    ],
)
def test_a_case_counts_the_proofs_that_are_of_its_claim(handmade, tmp_path, changes, covers) -> None:
    record = handmade()
    digest, given = record.models[0].architecture.sha256, [proof(**changes), proof(**changes)]
    told = {"network": digest, "accepted": 2, "refused": 0, "proofs": given}
    (tmp_path / "checked.json").write_text(json.dumps(told))
    case = safety_case(record, load_checked(tmp_path / "checked.json"))
    assert dict(case.evidence)["Proofs"].endswith(f"within [0, 1]: {covers}")


def test_a_case_tells_of_proofs_and_who_may_rely_on_it(handmade, tmp_path) -> None:
    record = handmade()
    digest = record.models[0].architecture.sha256
    told = {"network": digest, "accepted": 2, "samples": 2, "copies": 0, "refused": 1, "proofs": [proof()]}
    (tmp_path / "checked.json").write_text(json.dumps(told))
    checked = load_checked(tmp_path / "checked.json")
    text = render_summary(record, tmp_path / "case.md", checked).read_text()
    assert (
        "Proofs: 3 were written, and checked apart from the verifier: 2 accepted, 1 refused; different samples"
        in text
    )
    assert "within \\[0, 1\\]: 1" in text
    assert "Who may rely on it" in render_summary(record, tmp_path / "case.html").read_text()
    assert "none were given to this page" in render_summary(record, tmp_path / "case.md").read_text()
    (tmp_path / "checked.json").write_text(json.dumps({**told, "network": "0" * 64}))
    with pytest.raises(
        ValueError, match=r"^checked: got proofs of network 000000000000…, which is not in the record"
    ):
        render_summary(record, tmp_path / "case.md", load_checked(tmp_path / "checked.json"))
    (tmp_path / "checked.json").write_text("{}")
    with pytest.raises(ValueError, match=r"^checked: .*checked\.json is no output of check-proof --json"):
        load_checked(tmp_path / "checked.json")
