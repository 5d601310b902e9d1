"""The site builds without a warning, holds every page, and asks nothing of any other machine."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.browser import Browser, browser_path

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "embed": "src", "object": "data"}
BUDGET = 300

pytestmark = pytest.mark.slow  # half a minute: by night, and by hand where pages change


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; no variable of a proxy is set, and there is nothing to fetch."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-E", "-q", "-W", "--keep-going", "-b", "html"]
    places = [str(ROOT / "docs"), str(target / "html"), "-d", str(target / "doctrees")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command[:-2], *command[-2:], *places[2:], *places[:2]], capture_output=True, text=True,
                          env=environment, timeout=BUDGET)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return target / "html"


class Requests(HTMLParser):
    """Collects what a page loads, and the text of its inline styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in LOADED and LOADED[tag] in values:
            self.found.append(values[LOADED[tag]])
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev", "index", "search", "author"):
            self.found.append(values.get("href", ""))
        self.found += re.findall(r"url\(([^)]*)\)", values.get("style", ""))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        reader = Requests()
        reader.feed(page.read_text(encoding="utf-8"))
        away = [place for place in reader.found if urlsplit(place.strip("\"' ")).scheme not in ("", "data")]
        assert away == [], page.name
        local = [place for place in reader.found if not place.startswith(("data:", "#", "//"))]
        lost = [place for place in local if not (page.parent / urlsplit(place).path).exists()]
        assert lost == [], page.name
        assert not any(place.startswith("//") for place in reader.found)


def test_styles_load_nothing_from_elsewhere(site: Path) -> None:
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", text), style.name
        assert not re.search(r"@import\s+(url\()?[\"']?(https?:)?//", text), style.name


@pytest.mark.parametrize(("page", "text"), [
    ("index.html", "Ten minutes with a network of your own"),
    ("theory.html", "simplified-solution"),
    ("generated/tour.html", "are decided"),
    ("generated/benchmarks.html", "alpha-crown"),
    ("api/certify.html", "Decide whether any allowed perturbation"),
    ("api/testing.html", "check_sandwich"),
    ("security.html", "Files from strangers"),
])  # fmt: skip
def test_the_pages_are_there(site: Path, page: str, text: str) -> None:
    assert text in (site / page).read_text(encoding="utf-8")


def test_mathematics_is_drawn_by_a_local_script(site: Path) -> None:
    text = (site / "theory.html").read_text(encoding="utf-8")
    assert re.search(r'<script[^>]*src="_static/mathjax/[^"]*\.js', text)


WIDE = "[...document.querySelectorAll('.table-wrapper')].filter(e => e.scrollWidth > e.clientWidth).length"


@pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine")
def test_no_page_and_no_table_scrolls_sideways_at_1280_pixels(site: Path) -> None:
    """Long formulas scroll by themselves."""
    with Browser() as browser:
        for page in sorted(site.glob("*.html")):
            browser.visit(page, (1280, 900))
            assert browser.evaluate("document.documentElement.scrollWidth") <= 1280, page.name
            assert browser.evaluate(WIDE) == 0, page.name
