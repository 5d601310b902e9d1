"""The four quick starts, word for word in new environments from the built wheel; their reports in a browser."""

import re
import shlex
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.snippets import blocks
from support.browser import DESKTOP, PHONE, Browser, browser_path
from support.wheels import ROOT, Installed, built, installed

__all__ = ["built"]

STARTS = {"snntorch": 4, "spikingjelly": 3, "safety": 4, "control": 2}
"""Each quick start, and how many commands its page has."""
MADE = {
    "snntorch": ("mine.safetensors", "report/report.html", "page.html"),
    "spikingjelly": ("mine.safetensors", "report/report.html"),
    "safety": ("net/network.safetensors", "report/report.html", "case.html"),
    "control": ("network.safetensors", "plots/bode.svg", "plots/horizon.svg", "plots/decay.svg"),
}
MINUTES = 5


def page(name: str) -> Path:
    return ROOT / "docs" / "start" / f"{name}.md"


def lines(name: str) -> list[list[str]]:
    """Return the commands of a page, split."""
    code = [text for language, text in blocks(page(name)) if language == "sh"]
    return [shlex.split(line) for text in code for line in text.splitlines() if line.strip()]


class Sums(HTMLParser):
    """Adds up the counts of each column of the table of categories."""

    def __init__(self, text: str) -> None:
        super().__init__()
        (body,) = re.findall(r'<table class="categories">(.*?)</table>', text, re.DOTALL)
        self.rows = [[int(count) for count in re.findall(r"<td>(\d+) ", row)] for row in body.split("<tr")[2:]]

    @property
    def agree(self) -> bool:
        """Return whether five rows add up to the last, in each column."""
        *parts, whole = self.rows
        return len(parts) == 5 and [sum(column) for column in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize("name", STARTS)
def test_a_quick_start_is_as_short_as_promised(name: str) -> None:
    assert len(lines(name)) == STARTS[name]
    assert {line[0] for line in lines(name)} <= {"pip", "spikecert"}
    assert f"start/{name}" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_a_quick_start_works_from_the_wheel(built: Path, tmp_path: Path, name: str) -> None:
    fresh = installed(built, tmp_path / "venv")
    start = time.monotonic()
    for language, code in blocks(page(name)):
        if language == "python":
            begin(fresh, tmp_path, code)
    for line in lines(name):
        if line[0] != "pip":  # which would ask a registry: dependencies are lent
            done = fresh.run(*line, cwd=tmp_path)
            assert done.returncode in (0, 1), done.stderr  # 1: some sample is falsified
            assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 60 * MINUTES
    assert all((tmp_path / made).stat().st_size > 0 for made in MADE[name])
    for made in tmp_path.glob("**/*.html"):
        if "venv" not in made.parts:
            looked_at(made, tmp_path)


def begin(fresh: Installed, folder: Path, code: str) -> None:
    """Write a block that names its file, run any other."""
    named = re.match(r"# (\w+\.py)\n", code)
    if named:
        (folder / named[1]).write_text(code, encoding="utf-8")
        return
    done = fresh.run("python", "-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr


def looked_at(made: Path, folder: Path) -> None:
    """Check that categories add up, and what a browser makes of the page: light, dark, on a phone, on paper."""
    assert Sums(made.read_text(encoding="utf-8")).agree
    if browser_path() is None:
        return
    with Browser() as browser:
        for size, dark in ((DESKTOP, False), (DESKTOP, True), (PHONE, False)):
            assert browser.visit(made, size, dark).complaints == []
            assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
        sheets = browser.pdf(folder / "page.pdf").read_bytes()
    assert sheets.count(b"/Type /Page") > sheets.count(b"/Type /Pages") > 0
