"""Pages begin with what they are for; figures on the first pages are those of the tables behind them."""

import re
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "generated" not in path.parts)
INCLUDED = ("changelog", "contributing", "security")


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem not in INCLUDED], ids=lambda page: page.stem)
def test_a_page_begins_with_words(page: Path) -> None:
    title, _, rest = page.read_text(encoding="utf-8").partition("\n")
    first = rest.strip().partition("\n\n")[0]
    assert title.startswith("# ")
    assert not first.startswith(("|", "```", "!", ":", "#", "<", "$")), first
    if page.parent.name != "api":
        assert len(first.split()) >= 6 or page.stem == "index", first


def rows(text: str) -> dict[str, list[str]]:
    found = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return {row[0].split(" (")[0]: row[1:] for row in reversed([*found])}  # the first table counts


def block(tables: str, name: str) -> str:
    found = re.search(f"<!-- {name} -->(.*?)<!-- end {name} -->", tables, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_results_are_those_of_the_tables() -> None:
    """The page of results has the numbers of the tables that `benchmarks/results.py` writes."""
    tables = (DOCS / "tables.md").read_text(encoding="utf-8")
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    objectives = rows(block(tables, "results-digits").split("training CPU")[0])
    told = rows(page)
    for name, row in (("natural", "natural"), ("adversarial", "adversarial"), ("bounds in the loss", "certified")):
        given = [cell.split()[0] for cell in objectives[row]]
        assert [cell.strip("* ") for cell in told[name]] == [given[0], given[2], given[3]]
    depth = rows(block(tables, "depth-mnist"))
    natural, term = ([cell.split()[0] for cell in depth[f"2 hidden layers, ρ = {rho}"]] for rho in (0, 1))
    assert f"from {natural[4]} to {term[4]} % left at ε = .1" in page
    assert f"from {natural[6]} to {term[6]} % proved at ε = .03" in page
    assert f"{float(natural[0]) - float(term[0]):.1f} points of clean accuracy" in page
    correlation = block(tables, "correlations")
    expected = {"surrogate network's ℓ2 gain": ("+.18", "−.34"), "pattern-preserving radius": ("+.81", "+.66")}
    for figure, numbers in expected.items():
        found = re.findall(rf"\| {re.escape(figure)} \| trains \| ([+-])0(\.\d\d) ", correlation)[:2]
        assert [sign.replace("-", "−") + value for sign, value in found] == list(numbers)
        assert all(number in page for number in numbers)


def test_the_first_picture_is_of_the_tables() -> None:
    made = run_path(str(DOCS / "make_landing.py"))
    assert made["TARGET"].read_text(encoding="utf-8") == made["drawn"](), "python docs/make_landing.py draws it"


def test_the_commands_are_those_of_today() -> None:
    made = run_path(str(DOCS / "make_commands.py"))
    assert made["TARGET"].read_text(encoding="utf-8") == made["page"](), "python docs/make_commands.py writes it"


def test_the_readme_tells_each_command_s_figures_as_pages_do() -> None:
    """What README says of the command line are commands that exist, with options that they have."""
    from spikecert.cli import COMMANDS

    made = run_path(str(DOCS / "make_commands.py"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.partition("#")[0] for line in re.findall(r"^spikecert (.*)$", text, re.MULTILINE)]
    assert len(lines) > 15
    for line in lines:
        name, *words = line.split()
        if name in COMMANDS:
            told = made["helped"](name)
            assert all(word in told for word in words if word.startswith("--")), line
        else:
            assert name.startswith("--"), line
