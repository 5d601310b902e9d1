"""What the files say: self-contained, escaped, complete, the same each time."""

import base64
import csv
import io
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from spikecert.asking import Threat
from spikecert.asking.threats import short, with_value
from spikecert.reports import RENDERERS, render
from spikecert.reports.figures import BOTTOM, LABEL_SPACING, TOP, panels
from spikecert.reports.pages.html_page import picture, to_html
from spikecert.reports.pages.junit import to_junit
from spikecert.reports.pages.markdown import to_markdown
from spikecert.reports.pages.rendering import COLUMNS, to_csv, to_latex
from spikecert.reports.pages.wording import GAINS_CAPTION, essentials, gain_text, norm_ends, verdict
from spikecert.reports.records.rows import tally

from .conftest import EPSILONS, VERIFIED, finding, model, rows

RADII = [(0.05, 0.2), (0.04, 0.1), (0.035, 0.035), (0.02, 1.0), (0.02, 0.05)]
RADII += [(0.016, 0.03), (0.008, 0.02), (0.008, 0.03), (0.0, 0.015), (0.0, 0.0)]
EVIL = "<script>alert(1)</script>\"'&|`=cmd"


class Page(HTMLParser):
    """Collects tags with attributes, and checks that tags close in order."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("suffix", sorted(RENDERERS))
def test_the_same_record_gives_the_same_bytes(handmade, tmp_path, suffix):
    first = render(handmade("a", "b"), tmp_path / f"one{suffix}").read_bytes()
    assert first == render(handmade("a", "b"), tmp_path / f"two{suffix}").read_bytes()
    assert first


def test_an_unknown_suffix_is_refused(handmade, tmp_path):
    with pytest.raises(ValueError, match=r"path: got 'report.pdf', expected a name that ends in \.html, \.md"):
        render(handmade(), tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())


def test_html_asks_for_nothing(handmade):
    text = to_html(handmade("a", "b"))
    page = Page(text)
    assert not page.open
    assert not page.all("script")
    assert not page.all("link")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not re.search(r"https?:|@import|(?:src|href)=\"(?!data:)", text)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_html_escapes_all_that_comes_from_a_record(handmade):
    found = handmade(EVIL, title=EVIL, command=EVIL, seeds={EVIL: 0}, settings={EVIL: EVIL})
    text = to_html(found)
    assert "<script" not in text
    assert "alert(1)" in text
    assert not Page(text).all("script")


def test_html_has_one_described_figure_per_model(handmade):
    page = Page(to_html(handmade("a", "b")))
    drawn = page.all("svg")
    assert len(drawn) == 2 * (3 + 2)  # accuracy, sandwich, growth; membranes and raster of one counterexample
    assert all(figure["role"] == "img" for figure in drawn)
    figures = [figure for figure in drawn if "aria-labelledby" in figure]
    assert len(figures) == 2 * 3
    assert all("aria-labelledby" in figure or figure["aria-label"] for figure in drawn)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for figure in figures:
        assert all(name in ids for name in figure["aria-labelledby"].split())


def test_html_draws_each_method_and_the_band(handmade):
    text = to_html(handmade())
    for label in ("clean", "robust: ensemble", "proved: interval", "proved: trains"):
        assert f">{label}</text>" in text
    assert text.count('<polygon class="band"') == 1


def test_html_says_what_must_be_said(handmade):
    text = to_html(handmade())
    for needed in (
        GAINS_CAPTION,
        "T = 8",
        "10 samples",
        "8/255 = 0.03137",
        "ℓ∞",
        "ab" * 32,
        "spikecert demo --seed 0",
    ):
        assert needed in text.replace("\u00a0", " ")
    assert handmade().fingerprint in text


def test_html_tables_have_scopes(handmade):
    assert all("scope" in head for head in Page(to_html(handmade())).all("th"))


def test_verdict_sentence_by_hand(handmade):
    assert verdict(handmade("A", "B")) == (
        "For every perturbation up to ε = 4/255 = 0.01569 in ℓ∞ (inputs within [0, 1], T = 8), 2 networks "
        "provably keep the class of 6 of 10 test samples of digits, as the table says."
    )
    assert verdict(handmade()).endswith(
        "of 10 test samples of digits; 2 (20.0 %) undecided, 1 (10.0 %) broken by a perturbation, 1 (10.0 %) "
        "misclassified as they are."
    )


def test_labels_do_not_overlap_and_stay_inside(handmade):
    for panel in panels(handmade()):
        places = sorted(line.label_y for line in panel.series)
        assert all(after - before >= LABEL_SPACING - 1e-9 for before, after in pairwise(places))
        assert places[-1] <= BOTTOM
        assert places[0] >= TOP - LABEL_SPACING


def test_marks_lie_where_the_numbers_are(handmade):
    (panel,) = panels(handmade())
    trains = next(line for line in panel.series if line.label == "proved: trains")
    heights = [(BOTTOM - mark.y) / (BOTTOM - TOP) for mark in trains.marks]
    assert heights == pytest.approx([0.8, 0.6, 0.3])


def test_markdown_holds_numbers_and_escapes(handmade):
    text = to_markdown(handmade(EVIL))
    assert (
        "| 4/255 = 0.01569 | 90.0 % | 80.0 % | 30.0 % | 60.0 % | 60.0 % | 20.0 % | 10.0 % | 0.0 % | 10.0 % |"
        in text
    )
    assert GAINS_CAPTION in text
    assert "| pgd | layer 0: 1 of 4 |" in text
    assert "| layer 0 | noise | 7.8960 | 3.9480 | 9.5000 | 4 of 10 |" in text
    assert "<script" not in text
    assert "\\|" in text


def test_csv_has_one_line_per_finding(handmade):
    found = handmade("a", "b")
    lines = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == 2 * (10 * 3 * 3 + 10 * 2)
    verified = [line for line in lines if line["method"] == "trains" and line["result"] == "verified"]
    assert len(verified) == 2 * (8 + 6 + 3)
    assert {float(line["epsilon"]) for line in lines if line["kind"] != "radius"} == set(found.threat.epsilons)
    proved = [float(line["epsilon"]) for line in lines if line["result"] == "certified"]
    assert proved == [lower for lower, _ in RADII] * 2
    assert sum(line["result"] == "not broken" for line in lines) == 2  # sample 3, twice


def test_csv_never_starts_a_formula(handmade):
    lines = list(csv.DictReader(io.StringIO(to_csv(handmade("=cmd|' /C calc'!A0")))))
    assert lines[0]["model"].startswith("'=")


def test_picture_is_a_png_of_the_right_size():
    source = picture([0.0, 0.5, 1.0, 0.25], (4,), 0.0, 1.0)
    assert source is not None
    content = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content[16:24] == bytes([0, 0, 0, 2, 0, 0, 0, 2])
    assert picture([0.0] * 12, (3, 2, 2), 0.0, 1.0) is not None
    assert picture([0.0] * 6, (6,), 0.0, 1.0) is None


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_picture_shows_its_values(channels: int, mode: str):
    """Read by another reader; what lies outside of the ends is as dark or as light as they."""
    values = [(7 * k) % 12 / 8 - 0.25 for k in range(channels * 6)]
    source = picture(values, (channels, 2, 3), 0.0, 1.0)
    assert source is not None
    found = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
    assert (found.mode, found.size) == (mode, (3, 2))
    levels = [round(255 * min(max(value, 0.0), 1.0)) for value in values]
    bands = [list(band.tobytes()) for band in found.split()]
    assert bands == [levels[k * 6 : (k + 1) * 6] for k in range(channels)]


def test_numbers_for_people():
    told = {8 / 255: "8/255 = 0.03137", 0.03: "0.03", 1e308: "1e+308"}
    assert {value: with_value(short(value), value) for value in told} == told
    assert gain_text(None) == "none finite"
    assert gain_text(1.00001) == "1.0001"
    assert norm_ends((1.99999, 2.00001)) == ("1.9999", "2.0001")


def test_junit_has_a_test_for_each_sample_at_each_epsilon(handmade):
    found: Any = ElementTree.fromstring(to_junit(handmade("a", EVIL + "\x1b")).split("\n", 1)[1])
    assert [suite.tag for suite in found] == ["testsuite"] * 6
    assert [tuple(suite.get(key) for key in ("tests", "failures", "skipped")) for suite in found[:3]] == [
        ("10", "0", "2"),
        ("10", "1", "3"),
        ("10", "3", "4"),
    ]
    for suite in found:
        cases = list(suite)
        passed = [case for case in cases if not len(case)]
        kinds = [case[0].tag for case in cases if len(case)]
        assert len(cases) == int(suite.get("tests"))
        assert kinds.count("failure") == int(suite.get("failures"))
        assert len(passed) + len(kinds) == len(cases)
        assert all(case.get("classname") == suite.get("name") for case in cases)
    assert EVIL in found[5].get("name")
    assert found[0][9][0].get("message") == "fails as it is"


def test_a_record_is_a_frame_where_pandas_is_installed(handmade, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
    record = handmade("a", "b")
    lines = record.frame()
    assert len(lines) == sum(len(row.attacks) + len(row.verdicts) for model in record.models for row in model.rows)
    proved = [line for line in lines if line["result"] == "verified" and line["method"] == "trains"]
    assert len(proved) == 2 * sum(VERIFIED["trains"])
    assert {(line["model"], line["margin"]) for line in proved} == {("a", 0.25), ("b", 0.25)}
    broken = [line["index"] for line in lines if line["result"] == "broken" and line["epsilon"] == EPSILONS[2]]
    assert broken == 2 * [6, 7, 8, 9]
    assert len({tuple(line) for line in lines}) == 1, "all lines have the same columns"
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"frame: needs pandas: pip install pandas"):
        record.frame()


def sixty_four(handmade, moving: int = 63):
    """Return a record of 64 features in three units, of which some do not move."""
    units = ("degC", "kPa", "")
    told = {f"f{k}": {"unit": units[k % 3], "range": [-k, k + 1], "epsilon": 0.5 + k % 2} for k in range(moving)}
    told |= {f"f{k}": {"range": [0, 1]} for k in range(moving, 64)}
    plain = model().model_copy(update={"radii": None})
    return handmade(threat=Threat.of("box", EPSILONS, features=told), models=(plain,))


def test_headline_captions_and_tables_stay_short_whatever_the_features(handmade):
    record = sixty_four(handmade)
    by = "21 by 0.5 to 1.5"
    assert record.threat.words == f"units of each feature ({by} degC, {by} kPa, {by} without unit, 1 not at all)"
    assert record.threat.ends == "their ranges"
    assert len(verdict(record)) < 400
    assert max(map(len, re.findall(r"\\caption\{.*\}", to_latex(record)))) < 700
    assert max(len(line) for line in to_html(record).split("\n") if "<svg" not in line and "{" not in line) < 1200
    cells = re.findall(
        r'<th scope="row">(f\d+)</th><td>(\S+)</td><td>(\S+)</td><td>(\S+)</td><td>(\w*)</td>', to_html(record)
    )
    assert cells[:2] == [("f0", "0.5", "0", "1", "degC"), ("f1", "1.5", "-1", "2", "kPa")]
    assert len(cells) == 64
    few = {"t": {"unit": "degC", "range": [-1, 1], "epsilon": 1}}
    assert "t by 1 degC" in Threat.of("box", EPSILONS, features=few).words
    assert not Threat.of("box", EPSILONS, features=few).details


def test_sections_of_what_was_not_asked_are_left_out(handmade):
    found = to_html(handmade())
    plain = to_html(handmade(models=(model().model_copy(update={"radii": None, "gains": None, "growth": ()}),)))
    for name in ("radii", "gains"):
        assert f'<h2 id="{name}">' in found
        assert f'<h2 id="{name}">' not in plain
    assert "--radii" in plain
    assert found.count(GAINS_CAPTION) == 1, "a warning once"


def test_a_network_that_guesses_is_told_of_on_the_first_screen(handmade):
    lost = tuple(
        row.model_copy(
            update={
                "correct": row.index == 0,
                "predicted": (row.index + (row.index > 0)) % 10,
                "attacks": {"ensemble": False},
                "verdicts": {name: finding(0, 0) for name in VERIFIED},
            }
        )
        for row in rows()
    )
    poor = model("a").model_copy(
        update={"rows": lost, "points": tally(lost), "radii": None, "counterexamples": ()}
    )
    record = handmade(models=(poor,))
    assert [name for name, _ in essentials(record)] == ["Look first", "Assumed", "Not covered"]
    for text in (to_html(record), to_markdown(record)):
        assert "right about as often as a guess" in text
    assert "Look first" not in to_html(handmade())


def test_the_latex_table_is_narrow_and_has_a_cell_for_each_column(handmade):
    text = to_latex(handmade("a", "b"))
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    widths = {line.count("&") for line in body.splitlines() if "&" in line and "multicolumn" not in line}
    assert widths == {5}
    assert r" & & Robust" not in text
    assert r" &  & \multicolumn{1}{c}{Robust} & \multicolumn{2}{c}{Certified} &  \\" in body
    assert max(len(line) for line in body.splitlines()) < 90
