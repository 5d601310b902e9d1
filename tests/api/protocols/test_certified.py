"""The certified protocols: variants with networks of their own, local fields, and what they must reach.

docs/tables.md: its tables are about the protocols as they are, and its script finds its places.
"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from spikecert import load, protocols
from spikecert.protocols import Options, reproduce
from spikecert.protocols.configuration import parse
from spikecert.protocols.planning import cells
from spikecert.protocols.tables import MOST_COLUMNS, architectures
from spikecert.training import LocalFields
from support.result_tables import whole_table

FIELDS = {"height": 8, "width": 8, "largest": 1.0}
CONTENT: dict[str, Any] = {
    "title": "A small certified table",
    "data": "digits",
    "architecture": "mlp:16",
    "num_steps": 2,
    "decay": 0.9,
    "training": {"epochs": 1, "optimizer": "adam"},
    "evaluation": {"epsilons": [0.01], "samples": 5, "verifiers": ["trains"]},
    "variants": [
        {"name": "as it is", "terms": [{"kind": "CrossEntropy"}]},
        {
            "name": "its own",
            "terms": [{"kind": "CertifiedLoss", "epsilon": 0.01}],
            "start": {"num_steps": 3, "decay": 0.25, "threshold": 0.5, "local_fields": FIELDS},
        },
    ],
}


def test_a_variant_may_differ_in_its_network(tmp_path: Path) -> None:
    results = reproduce(parse("p", CONTENT), tmp_path, Options(train_samples=200))
    networks = [load(folder / "network.safetensors") for folder in sorted((tmp_path / "runs").iterdir())]
    constants = [(n.num_steps, n.neurons[0].dynamics.decay, n.neurons[0].dynamics.threshold) for n in networks]
    assert constants == [(2, 0.9, 1.0), (3, 0.25, 0.5)]
    inside = LocalFields(**FIELDS)
    for network, local in zip(networks, (False, True), strict=True):
        layer = network.layers[0]
        assert isinstance(layer, nn.Linear)
        kept = layer.weight.detach().clone()
        inside(network)
        assert torch.equal(layer.weight, kept) is local
    assert len({run.key for run in results.runs}) == 2


def test_constants_and_precision_decide_the_key(tmp_path: Path) -> None:
    keys = set()
    for start in (
        {},
        {"num_steps": 1},
        {"decay": 0.5},
        {"threshold": 0.5},
        {"reset": "none"},
        {"firing": {}},
        {"local_fields": FIELDS},
    ):
        variant = {"name": "v", "terms": [{"kind": "CrossEntropy"}], "start": start}
        (run,) = reproduce(
            parse("p", {**CONTENT, "variants": [variant]}), tmp_path, Options(train_samples=50)
        ).runs
        keys.add(run.key)
    assert len(keys) == 7


def test_networks_may_be_rate_coded(tmp_path: Path) -> None:
    content = {**CONTENT, "encoding": "rate", "variants": CONTENT["variants"][:1]}
    (run,) = reproduce(parse("p", content), tmp_path, Options(train_samples=50)).runs
    (folder,) = (tmp_path / "runs").iterdir()
    assert load(folder / "network.safetensors").encoding == "rate"
    assert run.points[0].samples == 5


def test_fields_and_a_retraction_do_not_go_together(tmp_path: Path) -> None:
    training = {**CONTENT["training"], "retraction": {"beta": 0.1}}
    with pytest.raises(ValueError, match="local_fields: got them with a retraction in 'its own'"):
        reproduce(parse("p", {**CONTENT, "training": training}), tmp_path, Options(only="its own"))


@pytest.mark.slow
def test_digits_reach_what_they_claim(tmp_path: Path) -> None:
    """A fifth of the epochs, one seed: well above the published loss already."""
    chosen = protocols.protocol("certified-digits")
    quick = chosen.evaluation.model_copy(update={"verifiers": ("trains",), "attacks": ()})
    chosen = chosen.model_copy(update={"evaluation": quick})
    (run,) = reproduce(chosen, tmp_path, Options(epochs=20, seeds=(0,), only="trains")).runs
    (point,) = run.points
    assert point.samples == 300
    assert point.clean >= 0.96 * 300
    assert point.certified["trains"] >= 0.88 * 300


def test_fashion_mnist_is_the_architecture_that_is_claimed() -> None:
    found = protocols.protocol("certified-fashion-mnist")
    assert (found.data, found.architecture) == ("fashion-mnist", "mlp:512-256")
    assert found.evaluation.epsilons == (0.02, 0.06, 0.08)
    assert found.evaluation.samples is None
    assert all((cell.start.num_steps or found.num_steps) <= 10 for cell in cells(found))


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
