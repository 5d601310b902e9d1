"""Protocols: files as data, grids, options, resumption, and the tables."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikecert import load, protocols
from spikecert.protocols import Options, reproduce
from spikecert.protocols.configuration import Protocol, merged, parse
from spikecert.protocols.grid import cells
from spikecert.protocols.objectives import objective
from spikecert.protocols.prediction import correlation_table, correlations, scatter
from spikecert.protocols.results import Stability, mean_and_spread
from spikecert.reports import parts
from spikecert.training import CrossEntropy, PGDTraining
from spikecert.training.objectives import MSMPPD

NOISE = {"kind": "GaussianNoise", "sigma": "8/255"}
CONTENT: dict[str, Any] = {
    "title": "A small table",
    "data": "digits",
    "architecture": "mlp:8",
    "num_steps": 2,
    "decay": 0.9,
    "neurons": ["lif", "dlif"],
    "seeds": [0, 1],
    "training": {"epochs": 1, "learning_rate": "1/10"},
    "evaluation": {
        "epsilons": ["1/255", "8/255"],
        "samples": 10,
        "attacks": ["fgsm", "pgd7"],
        "verifiers": ["trains"],
        "stability": True,
    },
    "variants": [{"name": "noise", "terms": [{"kind": "MSMPPD", "rho": [0.0, 1.5], "perturbation": NOISE}]}],
}
QUICK = Options(epochs=1, samples=10, train_samples=30)


@pytest.fixture
def small() -> Protocol:
    torch.set_num_threads(1)
    return parse("small", CONTENT)


def test_rows_are_variants_times_neurons_times_values(small: Protocol) -> None:
    both = ("LIF", "DLIF")
    assert [c.row for c in cells(small)] == [f"noise, {n}, ρ = {r}" for n in both for r in ("0", "1.5")]
    assert [c.terms[0]["rho"] for c in cells(small)] == [0.0, 1.5, 0.0, 1.5]
    assert small.training.learning_rate == 0.1
    assert small.evaluation.epsilons == (1 / 255, 8 / 255)


def test_a_variant_may_differ_in_training() -> None:
    other = {"name": "other", "terms": [{"kind": "CrossEntropy"}], "training": {"epochs": 7}}
    found = cells(parse("p", {**CONTENT, "variants": [*CONTENT["variants"], other]}))
    assert [cell.training.epochs for cell in found] == [1, 1, 1, 1, 7, 7]
    assert {cell.training.learning_rate for cell in found} == {0.1}


def test_objectives_are_built_from_data() -> None:
    step = {"kind": "PGDTraining", "epsilon": "4/255", "steps": 3}
    found = objective([{"kind": "MSMPPD", "rho": 2.0, "two_sided": True, "perturbation": step}])
    assert found == MSMPPD(rho=2.0, two_sided=True, perturbation=PGDTraining(4 / 255, 3))
    assert objective([{"kind": "CrossEntropy"}, {"kind": "MSMPPD"}]) == CrossEntropy() + MSMPPD()


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([{"kind": "Hinge"}], "kind: got 'Hinge', expected one of"),
        ([{"kind": "MSMPPD", "rhos": 1.0}], "MSMPPD: .*rhos"),
        ([{"kind": "MSMPPD", "rho": -1.0}], "rho: got -1.0"),
        ([{"rho": 1.0}], "kind: got None"),
    ],
)
def test_wrong_objectives_are_one_line(terms: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objective(terms)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 3}, "protocol: p: epochs: Extra inputs"),
        ({"num_steps": 0}, "protocol: p: num_steps: "),
        ({"decay": "1/0"}, "protocol: p: "),
        ({"variants": []}, "protocol: p: variants: "),
    ],
)
def test_wrong_files_are_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse("p", {**CONTENT, **change})
    assert "\n" not in str(caught.value)


def test_files_extend_others_table_by_table() -> None:
    assert merged({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}, "c": 5}) == {
        "a": {"x": 1, "y": 4},
        "b": 3,
        "c": 5,
    }


def test_an_interrupted_table_goes_on(small: Protocol, tmp_path: Path) -> None:
    """Stopped in the third of eight runs: two are not run again, and the end is that of an unbroken call."""

    def stop(label: str, done: int, total: int) -> None:
        if label == "runs" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(small, tmp_path / "a", QUICK, stop)
    assert len(list((tmp_path / "a" / "runs").glob("*/run.json"))) == 2
    assert len((tmp_path / "a" / "results.csv").read_text().splitlines()) == 3
    trained: list[str] = []
    resumed = reproduce(small, tmp_path / "a", QUICK, lambda label, done, total: trained.append(label))
    assert len({label for label in trained if label.startswith("train")}) == 6
    whole = reproduce(small, tmp_path / "b", QUICK)
    incidental = {"training_seconds", "training_cpu", "seconds"}
    first, second = ([run.model_dump(exclude=incidental) for run in found.runs] for found in (resumed, whole))
    assert first == second
    labels: list[str] = []
    again = reproduce(small, tmp_path / "a", QUICK, lambda label, done, total: labels.append(label))
    assert set(labels) == {"runs"}
    assert again == resumed
    _check_tables(again, tmp_path / "a")


def test_an_interrupted_measurement_goes_on(
    small: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped behind the first of three parts, whose samples are not measured again."""
    monkeypatch.setattr(parts, "DECIDED", 4)
    options = replace(QUICK, only="noise, LIF, ρ = 0", seeds=(0,))

    def stop(label: str, done: int, total: int) -> None:
        if label.startswith("attack") and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(small, tmp_path / "a", options, stop)

    def there() -> dict[Path, int]:
        """Return when each part was written."""
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*.json")}

    kept, seen = there(), []
    assert len(kept) == 1
    resumed = reproduce(small, tmp_path / "a", options, lambda *_: seen.append(there()))
    assert max(map(len, seen)) == 2  # the third and last is told by nobody
    assert all(kept.items() <= found.items() for found in seen[:-1])
    assert not list(tmp_path.rglob("part*"))
    whole = reproduce(small, tmp_path / "b", options)
    assert [run.points for run in resumed.runs] == [run.points for run in whole.runs]


def _check_tables(results: protocols.Results, folder: Path) -> None:
    """Compare each table with the runs, and the runs with their networks."""
    text = (folder / "results.json").read_text()
    assert protocols.Results.model_validate(json.loads(text)) == results
    listed = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [(line["row"], int(line["seed"])) for line in listed] == [(run.row, run.seed) for run in results.runs]
    assert [float(line["clean %"]) for line in listed] == [10.0 * run.points[0].clean for run in results.runs]
    shares = [10.0 * run.points[1].certified["trains"] for run in results.runs[:2]]
    mean, spread = mean_and_spread(shares)
    markdown = (folder / "results.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| noise, LIF, ρ = 0 |"))
    heads = next(line for line in markdown.splitlines() if "clean %" in line).split("|")
    place = [head.strip() for head in heads].index("certified trains ε=0.0314 %")
    assert row.split("|")[place].strip() == f"{mean:.1f} ± {spread:.1f}"
    for path in (folder / "runs").iterdir():
        run = json.loads((path / "run.json").read_text())
        assert load(path / "network.safetensors").num_steps == 2
        assert all(value > 0 for value in run["stability"].values())
        assert run["points"][0]["certified"]["trains"] <= min(run["points"][0]["robust"].values())


def test_options_make_other_runs(small: Protocol, tmp_path: Path) -> None:
    one = Options(epochs=1, samples=4, train_samples=30, seeds=(0,), only="noise, LIF, ρ = 0")
    more = Options(epochs=2, samples=4, train_samples=30, seeds=(0,), only="noise, LIF, ρ = 0")
    found = [reproduce(small, tmp_path, options).runs for options in (one, more, one)]
    assert [len(runs) for runs in found] == [1, 1, 1]
    assert found[0] == found[2]
    assert found[0][0].key != found[1][0].key
    assert (found[0][0].epochs, found[1][0].epochs) == (1, 2)


def test_a_broken_result_is_one_line(small: Protocol, tmp_path: Path) -> None:
    options = Options(epochs=1, samples=2, train_samples=30, seeds=(0,), only="noise, LIF, ρ = 0")
    reproduce(small, tmp_path, options)
    (path,) = (tmp_path / "runs").glob("*/run.json")
    path.write_text("{")
    with pytest.raises(ValueError, match=r"out: .*run.json is no result of a run") as caught:
        reproduce(small, tmp_path, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(only="nothing"), "only: got 'nothing', expected a part of one of 'noise, LIF, ρ = 0'"),
        (Options(width="1/2"), "width: got 1/2 for mlp:8"),
    ],
)
def test_options_that_do_not_fit(small: Protocol, tmp_path: Path, options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reproduce(small, tmp_path, options)


@pytest.mark.parametrize("name", protocols.names())
def test_each_protocol_can_be_built(name: str) -> None:
    for cell in cells(protocols.protocol(name)):
        objective(cell.terms)


def test_rank_correlations_follow_the_order_of_the_runs(small: Protocol, tmp_path: Path) -> None:
    """The runs' figures are replaced by known ones: certified shares 0, 1, 2, 3 of 10 against gains and radii."""
    results = reproduce(small, tmp_path, Options(epochs=1, samples=10, train_samples=30, seeds=(0,)))
    runs = []
    for k, run in enumerate(results.runs):
        point = run.points[0].model_copy(update={"certified": {"trains": k}})
        stability = Stability(gain_l2=10.0 - k, gain_linf=5.0, radius=[0.1, 0.3, 0.2, 0.4][k])
        runs.append(run.model_copy(update={"points": (point,), "stability": stability}))
    known = results.model_copy(update={"runs": tuple(runs)})
    found = {item.figure: item.coefficient for item in correlations(known)}
    assert found == {"gain_l2": pytest.approx(-1.0), "gain_linf": None, "radius": pytest.approx(0.8)}
    table = correlation_table(correlations(known))
    assert "| small | surrogate network's ℓ2 gain | trains | -1.00 | 4 |" in table
    figure = scatter([known], "trains")
    assert len(figure.axes) == 3
    offsets = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert [tuple(map(float, pair)) for pair in offsets] == [(10.0 - k, 10.0 * k) for k in range(4)]
