"""The pages in a browser: loaded by headless Chromium where there is one, and read by a parser everywhere."""

import re
from html.parser import HTMLParser

import pytest

from spikecert.reports import Record, render
from spikecert.reports.comparing.compared import render_comparison
from spikecert.reports.comparing.comparing import compare
from spikecert.reports.pages.safety_case import render_summary
from support.browser import DESKTOP, PHONE, Browser, browser_path

SECTIONS = ["accuracy", "radii", "hardest", "gains", "threat", "environment", "next"]
PICTURES = ("Accuracy over perturbation size", "Radius of each sample", "Membrane potentials", "Proven gain")
HERE = pytest.mark.skipif(browser_path() is None, reason="no Chromium here: the tests by parser still run")


class Outline(HTMLParser):
    """Collects section headings in order, and everything that could make a request."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.sources, self.policy = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "h2":
            self.headings.append(found.get("id"))
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "video", "audio")
        assert not any(name.startswith("on") for name, _ in attrs)


@pytest.fixture(params=["report", "comparison"])
def page(request, handmade, tmp_path):
    found = handmade("a", "b")
    longer = found.to_json().replace('"ensemble"', '"ensemble-fast"')  # the longest label that a demo has
    found = Record.model_validate_json(longer)
    if request.param == "report":
        return render(found, tmp_path / "report.html")
    one = handmade()
    return render_comparison(compare(one, one), one, one, tmp_path / "comparison.html")


def test_sections_come_in_the_order_of_a_reader(handmade, tmp_path):
    text = render(handmade("a", "b"), tmp_path / "report.html").read_text()
    assert Outline(text).headings == SECTIONS
    places = [text.index(title) for title in PICTURES]
    assert places == sorted(places)
    assert text.index('class="verdict"') < places[0]


def test_a_page_can_ask_for_nothing(page):
    text = page.read_text()
    outline = Outline(text)
    assert all(source.startswith("data:image/png;base64,") for source in outline.sources)
    assert outline.policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


@HERE
def test_a_browser_finds_nothing_to_complain_about(page, tmp_path):
    with Browser() as browser:
        backgrounds = set()
        for size in (DESKTOP, PHONE):
            for dark in (False, True):
                visit = browser.visit(page, size, dark)
                assert visit.complaints == []
                assert [url for url in visit.requests if not url.startswith("data:")] == [page.as_uri()]
                assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
                assert browser.evaluate(DRAWN) == browser.evaluate("document.querySelectorAll('svg').length") > 0
                assert browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
                assert browser.evaluate(CUT_OFF) == []
                assert browser.evaluate(FAINT) == []
                assert browser.evaluate(SUMS) in ([[10, 10]] * 2, [])  # a comparison has no such table
                backgrounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
                assert browser.screenshot(tmp_path / "page.png").stat().st_size > 10_000
        assert len(backgrounds) == 2
        assert browser.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


DRAWN = "[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height > 5).length"
CUT_OFF = """[...document.querySelectorAll('svg text')].filter(t => {
  const inner = t.getBoundingClientRect(), outer = t.ownerSVGElement.getBoundingClientRect();
  return inner.left < outer.left - 2 || inner.right > outer.right + 2 || inner.bottom > outer.bottom + 2;
}).map(t => t.textContent)"""


TEXTS = "p, li, th, td, h1, h2, h3, dt, dd, caption span, figcaption, b"
FAINT = f"""[...document.querySelectorAll('{TEXTS}')].filter(e => {{
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const light = color => [.2126, .7152, .0722].reduce((sum, w, k) => sum + w * linear(color[k] / 255), 0);
  let under = e;
  while (under && (parts(getComputedStyle(under).backgroundColor)[3] ?? 1) < 1) under = under.parentElement;
  const one = light(parts(getComputedStyle(e).color));
  const other = light(parts(getComputedStyle(under).backgroundColor));
  return e.textContent.trim() && (Math.max(one, other) + .05) / (Math.min(one, other) + .05) < 4.5;
}}).map(e => e.textContent.slice(0, 60))"""
"""Texts whose contrast with what lies under them is below 4.5 : 1."""
SUMS = """[...document.querySelectorAll('.categories thead th')].slice(1).map((_, k) => {
  const cells = [...document.querySelectorAll('.categories tbody tr')].map(row => row.cells[k + 1]);
  const rows = cells.map(cell => parseInt(cell.textContent));
  return [rows.slice(0, -1).reduce((a, b) => a + b), rows.at(-1)];
})"""


@HERE
def test_a_safety_case_is_one_sheet(handmade, tmp_path):
    page = render_summary(handmade("a", "b"), tmp_path / "case.html")
    with Browser() as browser:
        assert browser.visit(page).complaints == []
        assert browser.evaluate(FAINT) == []
        sheets = browser.pdf(tmp_path / "case.pdf").read_bytes()
    assert sheets.count(b"/Type /Page") - sheets.count(b"/Type /Pages") == 1


@HERE
def test_the_browser_would_see_a_request_and_an_error(tmp_path):
    page = tmp_path / "bad.html"
    faint = '<body style="background: #fff"><p style="color: #999">faint</p><p style="color: #666">plain</p>'
    page.write_text(f'{faint}<img src="missing.png"><script>console.error("no")</script>')
    with Browser() as browser:
        visit = browser.visit(page)
        assert browser.evaluate(FAINT) == ["faint"]
    assert any(url.endswith("missing.png") for url in visit.requests)
    assert any('"no"' in text for text in visit.complaints)
