"""docs/tables.md: its tables are about the protocols as they are, and its script finds its places."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from spikecert import protocols
from spikecert.protocols.planning import cells
from spikecert.protocols.tables import MOST_COLUMNS, architectures
from support.result_tables import whole_table

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
TABLES = ("results-digits", "results-fashion-mnist", "digits", "fashion-mnist")
DEEPER = ("depth-mnist", "depth-fashion-mnist", "depth-objectives")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_script", ROOT / "benchmarks" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def block(name: str) -> str:
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- end {name} -->", DOCUMENT, re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize("name", [*TABLES, *DEEPER])
def test_a_table_has_the_protocols_rows_and_settings(name: str) -> None:
    found, text = protocols.protocol(name), block(name)
    assert [row[0] for row in whole_table(text)[1:]] == [cell.row for cell in cells(found)]
    told = re.search(r"seeds (\d+(?:, \d+)*)[;.]", text)
    assert told is not None
    assert {int(seed) for seed in told[1].split(", ")} <= set(found.seeds)  # fewer with --quick
    assert f"{architectures(found)} on {found.data}, T = {found.num_steps}, λ = {found.decay:g}" in text
    assert f"the first {found.evaluation.samples} test samples" in text
    assert f" {found.training.epochs} epochs; seeds" in text
    assert found.train_samples is None or f"the first {found.train_samples} training samples" in text


@pytest.mark.parametrize("name", DEEPER)
def test_deeper_networks_are_certified_no_further_than_attacks_leave_them(name: str) -> None:
    """ε of certificates rise, and all lie below the attacks', from other samples: within the spread of both."""
    heads, *lines = whole_table(block(name))
    for line in lines:
        share = {head: float(field.split(" ")[0]) for head, field in zip(heads, line, strict=True) if "%" in head}
        certified = [value for head, value in share.items() if head.startswith("certified")]
        assert certified == sorted(certified, reverse=True)
        assert share["ensemble-fast %"] <= share["pgd20 %"] <= share["fgsm %"] <= share["clean %"]


@pytest.mark.parametrize("name", TABLES[:2])
def test_certified_is_never_above_what_attacks_leave(name: str) -> None:
    heads, *lines = whole_table(block(name))
    for line in lines:
        share = {head: float(field.split(" ")[0]) for head, field in zip(heads, line, strict=True) if "%" in head}
        assert share["certified trains %"] <= share["certified auto %"] <= share["ensemble %"] <= share["clean %"]
        assert share["ensemble %"] <= share["pgd %"]


def test_the_script_replaces_a_block_and_misses_none(script: ModuleType) -> None:
    text = "a\n<!-- x -->\nold\n<!-- end x -->\nb"
    assert script.put(text, "x", "new\n") == "a\n<!-- x -->\nnew\n<!-- end x -->\nb"
    with pytest.raises(ValueError, match="has no <!-- y -->"):
        script.put(text, "y", "new")
    for name in (*TABLES, *DEEPER, "correlations"):
        assert script.put(DOCUMENT, name, block(name)) == DOCUMENT


def test_tables_fit_a_page() -> None:
    """A name and so many figures are less wide than a page of 1280 pixels (measured in a browser)."""
    widest = max(len(line.split("|")) - 2 for line in DOCUMENT.splitlines() if line.startswith("| "))
    assert widest == 1 + MOST_COLUMNS
