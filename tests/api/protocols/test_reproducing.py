"""Protocols: files as data, grids, options, resumption, and the tables."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikecert import SpikingNetwork, load, protocols
from spikecert.models import network_hash
from spikecert.models.deadline import Progress
from spikecert.protocols import Options, reproduce, running
from spikecert.protocols.configuration import Protocol, merged, parse
from spikecert.protocols.planning import PlannedRun, cells, objective
from spikecert.protocols.prediction import correlation_table, correlations, scatter
from spikecert.protocols.reproducing import chosen, joined, reduced
from spikecert.protocols.results import Measured, Stability, mean_and_spread
from spikecert.protocols.running import measured
from spikecert.reports.making import parts
from spikecert.training import CrossEntropy, PGDTraining, dataset
from spikecert.training.objectives import MSMPPD
from support.result_tables import whole_table

NOISE = {"kind": "GaussianNoise", "sigma": "8/255"}
TERM = {"kind": "MSMPPD", "rho": [0.0, 1.5], "two_sided": True, "perturbation": NOISE}
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
    "variants": [{"name": "noise", "terms": [TERM]}],
}
QUICK = Options(epochs=1, samples=10, train_samples=30)


@pytest.fixture
def small() -> Protocol:
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
    heads, *rows = whole_table(markdown)
    row = next(row for row in rows if row[0] == "noise, LIF, ρ = 0")
    assert row[heads.index("certified trains ε=0.0314 %")] == f"{mean:.1f} ± {spread:.1f}"
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


def test_what_is_measured_otherwise_is_not_trained_again(small: Protocol, tmp_path: Path) -> None:
    told: list[str] = []
    base = {"epochs": 1, "train_samples": 30, "seeds": (0,), "only": "noise, LIF, ρ = 0"}
    first = reproduce(small, tmp_path, Options(**base, samples=4)).runs[0]
    more = reproduce(small, tmp_path, Options(**base, samples=8), lambda label, *_: told.append(label)).runs[0]
    assert not [label for label in told if label.startswith("train")]
    assert (first.points[0].samples, more.points[0].samples) == (4, 8)
    assert first.network == more.network
    assert first.training_cpu == more.training_cpu is not None
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_the_last_epoch_stands_beside_the_picked_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is asked for is in the table; the row of the last epoch is that of its own network."""
    networks: dict[str, str] = {}

    def noting(planned: PlannedRun, network: SpikingNetwork, progress: Progress, which: str = "") -> Measured:
        networks[f"{planned.label}{which}"] = network_hash(network)
        return measured(planned, network, progress, which)

    monkeypatch.setattr(running, "measured", noting)
    asked: dict[str, Any] = {
        "last_epoch": True,
        "noise": 0.5,
        "alignment": True,
        "certification": {"epsilons": [".1/255", "1/255"], "samples": 3},
    }
    content = {**CONTENT, "evaluation": {**CONTENT["evaluation"], **asked, "stability": False}}
    options = Options(epochs=6, samples=20, train_samples=60, seeds=(0,), only="LIF, ρ = 1.5")
    results = reproduce(parse("small", content), tmp_path, options)
    run = next(run for run in results.runs if run.last is not None and run.best_epoch < run.epochs)
    assert networks[f"{run.row}, seed 0"] == run.network != networks[f"{run.row}, seed 0, last epoch"]
    last = run.of_last_epoch
    assert last is not None
    assert last.network == networks[f"{run.row}, seed 0, last epoch"]
    assert (last.best_epoch, last.points) == (6, run.last.points if run.last else None)
    assert [tally.samples for tally in run.certified] == [3, 3]
    heads, *rows = whole_table((tmp_path / "results.md").read_text())
    assert [row[0] for row in rows] == [
        f"noise, {neuron}, ρ = 1.5{which}" for neuron in ("LIF", "DLIF") for which in ("", ", last epoch")
    ]
    for head in ("noise %", "certified linear ε=0.1/255 %", "cosine at end", "rms current at start"):
        assert head in heads
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 5


def test_all_images_leave_none_to_pick_by(small: Protocol, tmp_path: Path) -> None:
    """Trained on train and validation images, the last epoch is measured; --hold-out gives the choice back."""
    whole = parse("small", {**CONTENT, "images": "all", "evaluation": {"epsilons": [0.01]}})
    options = Options(epochs=4, samples=20, train_samples=30, seeds=(0,), only="noise, LIF, ρ = 0")
    run = reproduce(whole, tmp_path / "a", options).runs[0]
    assert (run.best_epoch, run.last) == (4, None)
    data = reduced(dataset("digits"), 30)
    assert len(joined(data).train) == 60
    assert torch.equal(joined(data).train.inputs[30:], data.validation.inputs)
    text = (tmp_path / "a" / "results.md").read_text()
    assert "validation samples trained on, too, and the last epoch measured" in text
    held = reproduce(whole, tmp_path / "b", replace(options, hold_out=True)).runs[0]
    assert held.last is not None
    assert held.network != run.network


def test_settings_of_the_architecture_reach_the_network(small: Protocol, tmp_path: Path) -> None:
    wrong = parse("small", {**CONTENT, "network": {"initialization": "paper"}})
    with pytest.raises(ValueError, match=r"^initialization: mlp has no such setting"):
        reproduce(wrong, tmp_path, replace(QUICK, seeds=(0,)))


def test_a_variant_may_have_neurons_of_its_own() -> None:
    variants = [{**CONTENT["variants"][0], "neurons": ["dlif"]}]
    found = [cell.row for cell in cells(parse("p", {**CONTENT, "variants": variants}))]
    assert found == ["noise, DLIF, ρ = 0", "noise, DLIF, ρ = 1.5"]


def test_rows_are_chosen_in_any_case_before_data_is_read(small: Protocol, tmp_path: Path) -> None:
    assert [cell.row for cell in chosen(small, "NOISE, dlif")] == ["noise, DLIF, ρ = 0", "noise, DLIF, ρ = 1.5"]
    missing = small.model_copy(update={"data": "cifar10"})
    with pytest.raises(ValueError, match=r"^only: got 'at', expected a part of one of 'noise, LIF, ρ = 0', "):
        reproduce(missing, tmp_path, Options(only="at"))


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
