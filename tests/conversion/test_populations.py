"""Population codes: outputs in groups, as snnTorch counts them.

The table of elements in docs/conversion.md says what is true of each cell.
"""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spikecert import ConversionRefused, LInf, convert, from_snntorch
from spikecert.models import check_conversion
from spikecert.testing import check_sound
from support.element_rows import REFUSALS, ROWS
from support.element_table import COLUMNS, YES, line, refusal, tried
from support.elements import Row
from support.state_loops import OWN

snntorch: Any = pytest.importorskip("snntorch")
accuracy: Any = pytest.importorskip("snntorch.functional.acc")


def population(outputs: int = 12, last: bool = True) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), snntorch.Leaky(0.9, init_hidden=True), nn.Linear(8, outputs)]
    for layer in (layers[0], layers[2]):
        layer.weight.data.mul_(4.0)
    return nn.Sequential(*layers, *([snntorch.Leaky(0.8, init_hidden=True)] if last else []))


@torch.no_grad()
def test_groups_are_those_of_snntorch():
    module: Any = population()
    inputs = torch.rand(40, 5)
    made = convert(module, inputs, num_steps=6, classes=4)
    assert "groups of 3 neighbours" in made.notes[-1]
    for part in (module[1], module[3]):
        part.reset_mem()
    spikes = torch.stack([module(inputs) for _ in range(6)])
    theirs = accuracy._population_code(spikes, 4, 12) / 6
    assert torch.allclose(made.network(inputs), theirs, atol=1e-6)
    assert check_conversion(module, made.network, torch.rand(20, 5), num_steps=6).matches


def test_currents_are_summed_too_and_verdicts_hold():
    network = from_snntorch(population(6, last=False), torch.rand(8, 5), num_steps=4, classes=3)
    check_sound(network, torch.rand(3, 5), LInf(0.02), "trains")


def test_as_many_classes_as_outputs_change_nothing():
    network = from_snntorch(population(), torch.rand(8, 5), num_steps=4, classes=12)
    assert network.readout == "spikes"


@pytest.mark.parametrize(("classes", "reason"), [(5, "a divisor of their number"), (13, "got 13 for 12 outputs")])
def test_groups_of_several_sizes_are_refused(classes: int, reason: str):
    with pytest.raises(ConversionRefused, match=reason):
        from_snntorch(population(), torch.rand(8, 5), num_steps=4, classes=classes)


def test_another_order_of_groups_does_not_match():
    module, inputs = population(), torch.rand(40, 5)
    network = from_snntorch(module, inputs, num_steps=6, classes=4)
    last: Any = network.layers[-1]
    last.weight.data = last.weight.data.roll(1, 1)
    assert "none of which is the mean" in check_conversion(module, network, inputs, num_steps=6).reason


PAGE = (Path(__file__).parents[2] / "docs" / "conversion.md").read_text(encoding="utf-8")
WRITE = "PYTHONPATH=tests python benchmarks/element_table.py writes it"
QUICK = {
    "Conv2d",
    "sums of currents (MS-ResNet)",
    "ConvTranspose2d",
    "SEW IAND",
    "MaxPool2d of currents",
    "NIR CubaLI last",
    "QIFNode",
}
"""Rows that are tried in the tests that always run."""


def marked(rows: tuple[Row, ...]) -> list:
    """Return rows as parameters; those that are not quick are slow."""
    marks = [[] if row.name in QUICK else [pytest.mark.slow] for row in rows]
    return [pytest.param(row, marks=mark, id=row.name) for row, mark in zip(rows, marks, strict=True)]


def test_there_are_enough_rows_of_different_names():
    names = [row.name for row in (*ROWS, *REFUSALS)]
    assert len(ROWS) >= 45
    assert len(set(names)) == len(names)
    assert {f"{kind}, states by hand" for kind in (*OWN, "LIFRecurrentCell")} <= set(names)
    assert sum(name in PAGE for name in names) == len(names)


@pytest.mark.parametrize("row", marked(ROWS))
def test_a_row_says_what_is_true(row: Row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = tried(row)
    assert line(cells) in PAGE, WRITE
    assert YES in cells[1:5]
    assert len(cells) == len(COLUMNS)


@pytest.mark.parametrize("row", marked(REFUSALS))
def test_a_refusal_gives_the_reason_that_comes(row: Row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = refusal(row)
    assert line(cells) in PAGE, WRITE
    assert cells[-1]
    assert "\n" not in cells[-1]
