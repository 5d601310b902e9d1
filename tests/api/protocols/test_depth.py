"""Variants of different depth in one table: their networks, the caption, and the picture over depth.

The protocol of tasks that need memory: rows have data sets of their own, and events that move.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikecert import load, protocols
from spikecert.protocols import Options, Results, reproduce
from spikecert.protocols.configuration import parse
from spikecert.protocols.depth import KINDS, depth_figure, hidden_layers, kind
from spikecert.protocols.planning import cells
from spikecert.training.data.temporal.pulses import TASKS

STEP = {"kind": "SingleStep", "epsilon": 0.05}
DEEPER = {"architecture": "mlp:8-6"}


def variant(name: str, start: dict[str, str], *rho: float) -> dict[str, Any]:
    """Return one variant; all are two-sided here, as nothing is said about what they learn."""
    term = {"kind": "MSMPPD", "rho": list(rho), "two_sided": True, "perturbation": STEP}
    return {"name": name, "start": start, "terms": [term]}


CONTENT: dict[str, Any] = {
    "title": "Depths",
    "data": "digits",
    "architecture": "mlp:8",
    "num_steps": 2,
    "training": {"epochs": 1},
    "evaluation": {
        "epsilons": [0.05],
        "samples": 6,
        "attacks": ["pgd20", "ensemble-fast"],
        "certification": {"epsilons": [0.01, 0.02], "samples": 4, "verifiers": ["trains"]},
    },
    "variants": [
        variant("1 hidden layer", {}, 0.0, 1.0),
        variant("1 hidden layer, two-sided", {}, 1.0),
        variant("2 hidden layers", DEEPER, 0.0, 1.0),
        variant("2 hidden layers, two-sided", DEEPER, 1.0),
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("depth")


@pytest.fixture(scope="module")
def found(folder: Path) -> Results:
    return reproduce(parse("depths", CONTENT), folder, Options(train_samples=30))


def test_a_variant_may_have_an_architecture_of_its_own(found: Results, folder: Path) -> None:
    assert "mlp:8, mlp:8-6 on digits" in (folder / "results.md").read_text()
    hidden = [len(load(path).neurons) for path in sorted(folder.glob("runs/*/network.safetensors"))]
    assert hidden == [1, 1, 1, 2, 2, 2]
    assert len({run.key for run in found.runs}) == 6


def test_the_picture_has_a_line_for_each_kind_over_the_depths(found: Results) -> None:
    assert [(hidden_layers(run), kind(run)) for run in found.runs] == [(n, name) for n in (1, 2) for name in KINDS]
    for axis in depth_figure([found]).axes:
        means, marks = axis.lines[0::2], axis.lines[1::2]
        assert [line.get_label() for line in marks] == list(KINDS)
        assert all(np.array_equal(line.get_xdata(), [1, 2]) for line in means)
        assert all(np.array_equal(a.get_ydata(), b.get_ydata()) for a, b in zip(means, marks, strict=True))


def test_each_task_is_certified_beside_its_twin_without_memory() -> None:
    rows = cells(protocols.protocol("temporal"))
    assert {cell.data for cell in rows} == set(TASKS)
    for task in TASKS:
        memory, none = (next(cell for cell in rows if cell.row == f"{task}{end}") for end in ("", ", λ = 0"))
        assert (memory.start.decay, none.start.decay) == (None, 0.0)


def test_digits_in_sequence_are_certified_beside_twins_without_loops_and_memory() -> None:
    rows = {cell.row: cell for cell in cells(protocols.protocol("temporal-digits"))}
    for task in ("recall", "blocks"):
        start = rows[f"{task}, no loop, λ = 0"].start
        assert (start.decay, start.architecture and start.architecture[:4]) == (0.0, "mlp:")
        assert (rows[task].start.architecture or "recurrent").startswith("recurrent")


def test_rows_run_on_their_own_data(tmp_path: Path) -> None:
    found = protocols.protocol("temporal")
    quick = found.evaluation.model_copy(update={"attacks": ("spike-shift",)})
    options = Options(epochs=1, samples=3, train_samples=40, seeds=(0,), only="λ = 0")
    results = reproduce(found.model_copy(update={"evaluation": quick}), tmp_path, options)
    assert len({run.key for run in results.runs}) == len(TASKS)
    for run in results.runs:
        (point,) = run.points
        assert point.samples == 3
        assert point.certified["trains"] <= point.certified["auto"] <= point.robust["spike-shift"] <= point.clean
    text = (tmp_path / "results.md").read_text()
    assert "on order, delayed-xor, gap, coincidence, copying, T = 10" in text
    assert "shifted events (budget jitter, merge add), ε = 1" in text
