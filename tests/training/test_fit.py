"""The training loop: what it learns, picks, refuses, and that it goes on after a kill as if nothing happened."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import DLIF, LIF, SpikingNetwork, Trace, load, mlp, network_hash
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.training import (
    MSMPPD,
    CertifiedLoss,
    CrossEntropy,
    Dataset,
    EpochMetrics,
    GaussianNoise,
    Loss,
    Objective,
    Ramp,
    Settings,
    SingleStep,
    Split,
    TensorBoard,
    TrainingRun,
    dataset,
    fit,
)
from spikecert.training.evaluation import accuracy
from spikecert.training.journal import best_epoch
from spikecert.training.state import FORMAT


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return dataset("digits")


def few(data: Dataset, count: int = 200) -> Dataset:
    cut = {name: getattr(data, name).take(torch.arange(count)) for name in ("train", "validation")}
    return replace(data, **cut)


def start(seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    return mlp((64, 24, 16, 10), 4, DLIF(4, decay=0.9))


def same(first: SpikingNetwork, second: SpikingNetwork) -> bool:
    return network_hash(first) == network_hash(second)


@pytest.mark.parametrize("decay", [0.9, 0.99])
def test_the_papers_objective_learns_the_digits(digits: Dataset, decay: float) -> None:
    torch.manual_seed(0)
    network = mlp((64, 64, 10), 8, DLIF(8, decay=decay))
    objective = MSMPPD(perturbation=SingleStep(0.05), two_sided=True)
    run = fit(network, digits, objective, epochs=15, optimizer="adam", learning_rate=0.01)
    assert accuracy(run.network, digits.test) >= 0.95
    robust = run.best.robust_accuracy
    assert robust is not None
    assert robust >= 0.85
    assert (run.best.clean_accuracy or 0.0) > robust
    assert run.history[-1].loss < 0.3 * run.history[0].loss
    assert not torch.equal(run.network.neurons[0].scale(8), torch.ones(8))  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_seed_decides_and_the_given_network_is_left_alone(digits: Dataset, optimizer: str) -> None:
    data, network = few(digits), start()
    before = network_hash(network)
    objective = MSMPPD(perturbation=GaussianNoise(0.1))
    first, again, other = (
        fit(network, data, objective, epochs=2, optimizer=optimizer, seed=seed) for seed in (3, 3, 4)
    )
    assert same(first.network, again.network)
    assert not same(first.network, other.network)
    assert network_hash(network) == before
    assert [m.loss for m in first.history] == [m.loss for m in again.history]


def test_the_global_random_state_plays_no_part(digits: Dataset) -> None:
    runs = []
    for seed in (1, 2):
        network = start()
        torch.manual_seed(seed)
        runs.append(fit(network, few(digits), MSMPPD(), epochs=1))
    assert same(runs[0].network, runs[1].network)


def test_history_and_progress(digits: Dataset) -> None:
    told: list[tuple[str, int, int]] = []
    run = fit(start(), few(digits, 130), MSMPPD(), epochs=3, batch_size=64, progress=lambda *a: told.append(a))
    assert told == [("train", step, 9) for step in range(1, 10)]
    assert [metrics.epoch for metrics in run.history] == [1, 2, 3]
    for metrics in run.history:
        assert set(metrics.terms) == {"clean", "perturbed", "ms_mppd"}
        expected = 0.5 * metrics.terms["clean"] + 0.5 * metrics.terms["perturbed"] + metrics.terms["ms_mppd"]
        assert metrics.loss == pytest.approx(expected, rel=1e-5)
    rates = [metrics.learning_rate for metrics in run.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01
    assert run.seconds == pytest.approx(sum(metrics.seconds for metrics in run.history))
    assert not run.network.training


def test_the_best_validation_epoch_is_returned_and_the_test_split_is_not_touched(digits: Dataset) -> None:
    poisoned = replace(few(digits), test=Split(torch.full((5, 64), torch.nan), torch.zeros(5).long()))
    run = fit(start(), poisoned, MSMPPD(), epochs=6, schedule="constant", learning_rate=0.3)
    assert run.best_epoch == best_epoch(run.history)
    assert accuracy(run.network, poisoned.validation) == run.best.clean_accuracy
    assert accuracy(run.network, poisoned.validation, SingleStep(), 0) == run.best.robust_accuracy


def metrics(epoch: int, clean: float, robust: float | None) -> EpochMetrics:
    return EpochMetrics(epoch, 1.0, {}, clean, robust, 0.1, 1.0)


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ([(0.9, 0.5), (0.8, 0.6), (0.95, 0.55)], 2),
        ([(0.9, 0.6), (0.95, 0.6), (0.95, 0.6)], 2),
        ([(0.9, None), (0.97, None), (0.96, None)], 2),
    ],
)
def test_what_the_best_epoch_is(accuracies: list[tuple[float, float | None]], best: int) -> None:
    history = tuple(metrics(k + 1, *pair) for k, pair in enumerate(accuracies))
    assert best_epoch(history) == best
    assert TrainingRun(start(), history, 1.0, best, start()).best.epoch == best


def test_float64_and_batch_norm_and_clean_training(digits: Dataset) -> None:
    torch.manual_seed(0)
    layers = (nn.Linear(64, 32), nn.BatchNorm1d(32), LIF(0.9), nn.Linear(32, 10))
    network = SpikingNetwork(*layers, num_steps=4).double()
    run = fit(network, few(digits, 290), epochs=8, batch_size=96)
    assert run.network.dtype == torch.float64
    assert run.best.robust_accuracy is None
    assert (run.best.clean_accuracy or 0.0) > 0.8
    assert run.network.layers[1].num_batches_tracked > 0  # type: ignore[operator]


def test_weight_decay_and_constant_schedule_count(digits: Dataset) -> None:
    data = few(digits)
    runs = [
        fit(start(), data, epochs=2, weight_decay=decay, schedule=schedule).network
        for decay, schedule in ((0.0, "cosine"), (0.1, "cosine"), (0.0, "constant"))
    ]
    assert len({network_hash(network) for network in runs}) == 3
    norms = [float(network.layers[0].weight.detach().norm()) for network in runs]  # type: ignore[union-attr, operator]
    assert norms[1] < norms[0]


def test_a_rate_may_stay_through_each_epoch(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """cosine-epochs: lr/2·(1 + cos(π·k/3)) in all steps of epoch k + 1; cosine falls step by step.

    held-cosine stays for three fifths of the run, and falls over the rest as cosine does over all.
    """
    rates: list[float] = []
    step = torch.optim.SGD.step

    def noting(self: torch.optim.SGD) -> None:
        rates.append(self.param_groups[0]["lr"])
        step(self)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    found = {}
    for schedule in ("cosine-epochs", "cosine", "held-cosine"):
        rates.clear()
        fit(start(), few(digits), epochs=3, learning_rate=0.1, schedule=schedule)
        found[schedule] = list(rates)
    steps = len(rates) // 3
    assert steps > 1
    expected = [rate for rate in (0.1, 0.075, 0.025) for _ in range(steps)]
    assert found["cosine-epochs"] == pytest.approx(expected)
    assert found["cosine"] == sorted(set(found["cosine"]), reverse=True)
    held, done = found["held-cosine"], [k / len(rates) for k in range(len(rates))]
    expected = [0.05 * (1 + math.cos(math.pi * max(0.0, share - 0.6) / 0.4)) for share in done]
    assert held == pytest.approx(expected)
    assert held.count(0.1) == sum(share <= 0.6 for share in done) > 1


def test_the_last_epochs_network_comes_beside_the_picked_one(digits: Dataset, tmp_path: Path) -> None:
    """Trained on by one epoch at a rate that breaks it: picked is another; resumed, both are the same again."""
    settings: dict[str, Any] = {"epochs": 3, "learning_rate": 30.0, "schedule": "constant", "momentum": 0.0}
    run = fit(start(), few(digits), folder=tmp_path, **settings)
    again = fit(start(), few(digits), folder=tmp_path, **settings)
    for found in (run, again):
        assert found.best_epoch < 3
        assert accuracy(found.last, few(digits).validation) == found.history[-1].clean_accuracy
        assert accuracy(found.network, few(digits).validation) == found.best.clean_accuracy
        assert not found.last.training
    assert network_hash(run.last) == network_hash(again.last) != network_hash(run.network)
    best = fit(start(), few(digits), epochs=1)
    assert best.last is best.network


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_stopped_run_goes_on_bitwise(digits: Dataset, tmp_path: Path, optimizer: str) -> None:
    data, objective = few(digits), MSMPPD(perturbation=GaussianNoise(0.1)) + CrossEntropy()

    def train(folder: Path | None, stop_after: int) -> TrainingRun:
        def stop(_: str, done: int, total: int) -> None:
            if done > stop_after * total // 5:
                raise KeyboardInterrupt

        return fit(start(), data, objective, epochs=5, optimizer=optimizer, folder=folder, progress=stop)

    whole = train(None, stop_after=5)
    for stop_after in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, stop_after)
    resumed = train(tmp_path, stop_after=5)
    assert same(resumed.network, whole.network)
    assert [replace(m, seconds=0) for m in resumed.history] == [replace(m, seconds=0) for m in whole.history]
    assert same(load(tmp_path / "network.safetensors"), whole.network)
    once_more = train(tmp_path, stop_after=0)  # finished: nothing is trained again
    assert once_more.history == resumed.history
    assert same(once_more.network, whole.network)


CHILD = """
import sys, torch
from spikecert import DLIF, mlp
from spikecert.training import MSMPPD, SingleStep, dataset, fit
torch.set_num_threads(1)
torch.manual_seed(0)
network = mlp((64, 32, 10), 4, DLIF(4, decay=0.9))
objective = MSMPPD(perturbation=SingleStep(0.05))
fit(network, dataset("digits"), objective, epochs=int(sys.argv[2]), folder=sys.argv[1], optimizer="adam")
"""


def child(folder: Path, epochs: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(epochs)])


@pytest.mark.slow
def test_a_killed_process_goes_on_bitwise(tmp_path: Path) -> None:
    """SIGKILL at an arbitrary moment in the middle of the run, a new process, the weights of an unbroken run."""
    epochs = 12
    killed = child(tmp_path / "killed", epochs)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert checkpoint.exists()
    assert not (tmp_path / "killed" / "network.safetensors").exists()
    assert child(tmp_path / "killed", epochs).wait() == 0
    assert child(tmp_path / "whole", epochs).wait() == 0
    networks = [load(tmp_path / name / "network.safetensors") for name in ("killed", "whole")]
    assert same(*networks)


def test_settings_and_keywords_say_the_same(digits: Dataset, tmp_path: Path) -> None:
    data, settings = few(digits, 64), Settings(epochs=1, optimizer="adam", batch_size=16)
    whole = fit(start(), data, settings=settings, folder=tmp_path)
    again = fit(start(), data, epochs=1, optimizer="adam", batch_size=16, learning_rate=1e-3, folder=tmp_path)
    assert whole.history == again.history, "it went on from the folder, whose run is the same"
    other = fit(start(), data, settings=settings, optimizer="sgd")
    assert same(other.network, fit(start(), data, epochs=1, batch_size=16).network)
    assert not same(other.network, whole.network)


OTHERS: dict[str, dict[str, Any]] = {
    "learning_rate": {"learning_rate": 0.05},
    "epochs": {"epochs": 3},
    "seed": {"seed": 1},
    "objective": {"objective": MSMPPD(rho=0.5)},
    "initial_weights": {"network": start(1)},
    "network": {"network": mlp((64, 16, 16, 10), 4)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_of_another_configuration_is_refused(digits: Dataset, tmp_path: Path, name: str) -> None:
    arguments: dict[str, Any] = {
        "network": start(),
        "dataset": few(digits, 64),
        "objective": MSMPPD(),
        "epochs": 1,
    }
    fit(**arguments, folder=tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(ValueError, match=rf"folder: .* another configuration: .*{name}") as caught:
        fit(**{**arguments, **OTHERS[name]}, folder=tmp_path)
    assert len(str(caught.value)) < 600
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_folder_of_other_data_is_refused(digits: Dataset, tmp_path: Path) -> None:
    fit(start(), few(digits, 64), epochs=1, folder=tmp_path)
    with pytest.raises(ValueError, match=r"folder: .* another configuration: dataset_hash"):
        fit(start(), few(digits, 65), epochs=1, folder=tmp_path)


@pytest.mark.parametrize("length", [0, 1000, -1])
def test_a_broken_checkpoint_is_one_clear_error(digits: Dataset, tmp_path: Path, length: int) -> None:
    fit(start(), few(digits, 64), epochs=1, folder=tmp_path)
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        fit(start(), few(digits, 64), epochs=1, folder=tmp_path)


def forged(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> None:
    """Change a checkpoint, and seal it again."""
    text, tensors = read_tensors(path, FORMAT)
    content = json.loads(text)
    change(content, tensors)
    write_tensors(path, FORMAT, json.dumps(content), tensors)


FORGED: dict[str, tuple[Callable[[dict[str, Any], dict[str, torch.Tensor]], object], str]] = {
    "no history": (lambda content, tensors: content.pop("history"), "'history'"),
    "a list": (lambda content, tensors: content.update(configuration=[1]), ""),
    "other metrics": (lambda content, tensors: content["history"][0].update(extra=1), "unexpected keyword"),
    "a loss of text": (lambda content, tensors: content["history"][0].update(loss="x"), "no figures of epoch 1"),
    "another epoch": (lambda content, tensors: content["history"][0].update(epoch=7), "no figures of epoch 1"),
    "no weights": (lambda content, tensors: tensors.pop("network.layers.0.weight"), "is missing"),
    "no best": (lambda content, tensors: tensors.pop("best.layers.0.weight"), "is missing"),
    "another group": (
        lambda content, tensors: tensors.update({"more.x": torch.ones(1)}),
        "'more.x' is no part of it",
    ),
    "no name": (
        lambda content, tensors: tensors.update({"optimizer.x": torch.ones(1)}),
        "invalid literal|not enough",
    ),
    "a moment of none": (
        lambda content, tensors: tensors.update({"optimizer.99.x": torch.ones(1)}),
        "out of range",
    ),
    "half of the moments": (lambda content, tensors: tensors.pop("optimizer.0.exp_avg"), "is missing"),
    "no steps": (
        lambda content, tensors: tensors.update({"optimizer.0.step": torch.tensor(0.0)}),
        "got optimizer.0.step",
    ),
    "a wide moment": (
        lambda content, tensors: tensors.update({"optimizer.0.exp_avg": torch.ones(2, 2)}),
        "got optimizer",
    ),
    "wide weights": (
        lambda content, tensors: tensors.update({"network.layers.0.weight": torch.ones(2, 2)}),
        "got network",
    ),
    "no generator": (
        lambda content, tensors: tensors.update({"generator.order": torch.ones(4)}),
        "got generator.order",
    ),
    "a broken generator": (
        lambda content, tensors: tensors.update({"generator.order": torch.zeros_like(tensors["generator.order"])}),
        "",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_checkpoint_is_one_line(digits: Dataset, tmp_path: Path, name: str) -> None:
    fit(start(), few(digits, 64), epochs=1, optimizer="adam", folder=tmp_path)
    change, told = FORGED[name]
    forged(tmp_path / "checkpoint.safetensors", change)
    with pytest.raises(
        ValueError, match=f"^folder: .*checkpoint.safetensors holds no state of a run: .*{told}"
    ) as caught:
        fit(start(), few(digits, 64), epochs=1, optimizer="adam", folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_holds_no_code(digits: Dataset, tmp_path: Path) -> None:
    fit(start(), few(digits, 64), epochs=1, folder=tmp_path)
    content = (tmp_path / "checkpoint.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"]["format"] == "spikecert.training/1"
    assert {key.split(".")[0] for key in header} == {"__metadata__", "network", "best", "optimizer", "generator"}
    files = {"checkpoint.safetensors", "network.safetensors", "history.csv", "history.svg", "tensorboard"}
    assert {file.name for file in tmp_path.iterdir()} == files


def test_divergence_is_one_clear_error(digits: Dataset) -> None:
    with pytest.raises(FloatingPointError, match=r"epoch \d+, step \d+ of 4, learning_rate 1e\+30"):
        fit(start(), few(digits), epochs=3, learning_rate=1e30, schedule="constant")


@dataclass(frozen=True)
class BrokenGradient(Objective):
    """A finite loss whose gradient is NaN in one layer: d√x/dx at 0, times 0."""

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        last = list(network.parameters())[-1]
        return Loss((0.0 * last).sum().sqrt() + network(inputs).mean(), {})


def test_a_gradient_that_is_nan_is_named(digits: Dataset) -> None:
    message = r"gradient: got NaN or inf for layers.4.bias at epoch 1, step 1 of .* of all layers are finite"
    with pytest.raises(FloatingPointError, match=message):
        fit(start(), few(digits), BrokenGradient())


def test_weights_that_become_nan_are_named(digits: Dataset) -> None:
    def broken(network: nn.Module, generator: torch.Generator) -> None:
        network.layers[2].bias.data[3] = torch.inf  # type: ignore[index, union-attr]

    message = "network: layers.2.bias became NaN or inf at epoch 1, step 1 of"
    with pytest.raises(FloatingPointError, match=message):
        fit(start(), few(digits), after_step=broken)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Overflow(Objective):
    """From its third loss on, multiply a layer's weights so that its currents overflow; add them to the loss."""

    layer: int
    seen: list[int] = field(default_factory=list)

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        self.seen.append(len(inputs))
        trace = network.trace(inputs)
        total = trace.logits.square().mean() + 0.0 * torch.stack([c.mean() for c in trace.currents]).sum()
        if len(self.seen) == 2:
            network.layers[self.layer].weight.data.fill_(1e38)  # type: ignore[union-attr, operator]
        return Loss(total, {})


@pytest.mark.parametrize("layer", [0, 2])
def test_nan_names_the_step_and_the_layer_where_it_began(digits: Dataset, layer: int) -> None:
    torch.manual_seed(0)
    network = mlp((64, 32, 16, 10), 4, LIF(0.9))
    network.layers[0].weight.data.abs_()  # type: ignore[union-attr, operator] (so that all neurons fire)
    said = rf"loss: got loss nan at epoch 1, step 3 of 4, .*; the current out of layers.{layer} \(Linear\) is"
    with pytest.raises(FloatingPointError, match=said):
        fit(network, few(digits), Overflow(layer), learning_rate=1e-9)


def test_a_perturbation_that_meets_nan_is_told_with_its_step(digits: Dataset) -> None:
    with pytest.raises(FloatingPointError, match=r"perturbation: .* at epoch 1, step [23] of 4"):
        fit(start(), few(digits), MSMPPD(), learning_rate=1e30, schedule="constant")


def test_the_history_is_a_table_in_the_folder(digits: Dataset, tmp_path: Path) -> None:
    data = few(digits, 64)
    run = fit(start(), data, MSMPPD(), epochs=2, folder=tmp_path)
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    for row, epoch in zip(rows, run.history, strict=True):
        assert int(row["epoch"]) == epoch.epoch
        assert float(row["loss"]) == epoch.loss
        assert {name: float(row[f"terms/{name}"]) for name in epoch.terms} == epoch.terms
        assert (float(row["clean_accuracy"]), float(row["robust_accuracy"])) == epoch.score[::-1]
    plain = fit(start(), data, epochs=1, folder=tmp_path / "plain")
    (row,) = csv.DictReader((tmp_path / "plain" / "history.csv").read_text().splitlines())
    assert row["robust_accuracy"] == ""
    assert float(row["seconds"]) == plain.seconds


def test_a_resumed_run_tells_tensorboard_each_epoch_once(digits: Dataset, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(_: str, done: int, total: int) -> None:
        if done > 2 * total // 3:
            raise KeyboardInterrupt

    data = few(digits, 64)
    with pytest.raises(KeyboardInterrupt):
        fit(start(), data, epochs=3, folder=tmp_path, progress=stop)
    run = fit(start(), data, epochs=3, folder=tmp_path)
    told = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(told.Tags()["scalars"]) == {
        "loss",
        "terms/cross_entropy",
        "clean_accuracy",
        "learning_rate",
        "seconds",
    }
    losses = [(event.step, event.value) for event in told.Scalars("loss")]
    assert losses == [(m.epoch, pytest.approx(m.loss)) for m in run.history]
    names = [path.name for path in (tmp_path / "tensorboard").iterdir()]
    assert len({name.split(".")[3] for name in names}) == len(names) == 2  # read in the order of their seconds


def test_without_tensorboard_the_rest_is_written(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    fit(start(), few(digits, 64), epochs=1, folder=tmp_path)
    files = {"checkpoint.safetensors", "network.safetensors", "history.csv", "history.svg"}
    assert {file.name for file in tmp_path.iterdir()} == files


@dataclass
class Listener:
    """A callback that keeps what it is told, and fails at an epoch."""

    fails: int = 0
    told: list[Any] = field(default_factory=list)

    def on_epoch(self, network: SpikingNetwork, history: tuple[EpochMetrics, ...]) -> None:
        self.told.append((network.state_dict().keys(), len(history), history[-1].epoch))
        if self.fails == len(history):
            raise KeyboardInterrupt

    def on_end(self) -> None:
        self.told.append("end")


def test_callbacks_are_told_of_each_epoch_and_of_the_end(digits: Dataset, tmp_path: Path) -> None:
    data, names = few(digits, 64), start().state_dict().keys()
    first, second = Listener(), Listener(fails=2)
    with pytest.raises(KeyboardInterrupt):
        fit(start(), data, epochs=3, callbacks=(first, second), folder=tmp_path)
    assert first.told == second.told == [(names, 1, 1), (names, 2, 2), "end"]
    third = Listener()
    run = fit(start(), data, epochs=3, callbacks=[third], folder=tmp_path)
    assert third.told == [(names, 2, 2), (names, 3, 3), "end"], "the epoch without a checkpoint is run again"
    whole = fit(start(), data, epochs=3)
    assert all(map(torch.equal, run.last.state_dict().values(), whole.last.state_dict().values()))
    with pytest.raises(TypeError, match=r"callbacks: got object, expected on_epoch and on_end \(Callback\)"):
        fit(start(), data, callbacks=[object()])  # type: ignore[list-item]
    board = TensorBoard(tmp_path / "board")
    fit(start(), data, epochs=1, callbacks=[board])
    assert [path.name.split(".")[0] for path in (tmp_path / "board").iterdir()] == ["events"]


def test_figures_follow_the_run(digits: Dataset) -> None:
    told: list[dict[str, float]] = []
    run = fit(
        start(), few(digits, 130), MSMPPD(), epochs=2, batch_size=64, figures=lambda _, f: told.append(dict(f))
    )
    assert [set(f) for f in told] == [{"loss"}] * 3 + [{"loss", "clean", "robust"}] * 3
    assert [told[2]["loss"], told[5]["loss"]] == pytest.approx([m.loss for m in run.history])
    first = run.history[0]
    assert (told[4]["clean"], told[4]["robust"]) == (first.clean_accuracy, first.robust_accuracy)


def test_a_term_that_some_steps_leave_out_is_the_mean_of_the_others(digits: Dataset) -> None:
    calls: list[float] = []

    @dataclass(frozen=True)
    class Sometimes(CrossEntropy):
        def loss(
            self,
            network: SpikingNetwork,
            inputs: Tensor,
            labels: Tensor,
            generator: torch.Generator | None,
        ) -> Loss:
            found = super().loss(network, inputs, labels, generator)
            calls.append(float(len(calls)))
            odd = {"odd": torch.tensor(calls[-1])} if len(calls) % 3 else {}
            return Loss(found.total, {**found.terms, **odd})

    run = fit(start(), few(digits, 130), Sometimes(), epochs=2, batch_size=64)
    assert len(calls) == 6
    assert [metrics.terms["odd"] for metrics in run.history] == [0.5, 3.5]


def test_products_in_bfloat16_train_and_membranes_stay_in_float32(digits: Dataset) -> None:
    seen: list[tuple[torch.dtype, torch.dtype]] = []

    @dataclass(frozen=True)
    class Watch(MSMPPD):
        def _pass(self, network: SpikingNetwork, inputs: Tensor) -> Trace:
            trace = super()._pass(network, inputs)
            seen.append((network.layers[0](inputs).dtype, trace.currents[-1].dtype))
            return trace

    kinds = [MSMPPD, Watch]
    full, mixed = (
        fit(start(), few(digits), kind(), epochs=4, optimizer="adam", learning_rate=0.01, precision=precision)
        for kind, precision in zip(kinds, ("full", "bfloat16"), strict=True)
    )
    assert set(seen) == {(torch.bfloat16, torch.float32)}
    assert mixed.network.dtype == torch.float32
    assert not same(full.network, mixed.network)
    assert mixed.history[-1].loss == pytest.approx(full.history[-1].loss, rel=0.05)


LAST_IS_FIRST = [MSMPPD(), 0.5 * (CrossEntropy() + 2.0 * MSMPPD()), MSMPPD(layers="all"), MSMPPD(Ramp(1.0, 0.0))]


@pytest.mark.parametrize("objective", LAST_IS_FIRST, ids=["alone", "in sums", "all layers", "that fades"])
def test_a_one_sided_term_at_the_first_spiking_layer_is_warned_of(digits: Dataset, objective: Objective) -> None:
    with pytest.warns(UserWarning, match=r"first spiking layer.*; take .*two_sided=True or rho=0") as caught:
        fit(mlp((64, 8, 10), 2), few(digits, 20), objective, epochs=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "\n" not in str(caught[0].message)


UNWARNED = {
    "two-sided": ((64, 8, 10), MSMPPD(two_sided=True)),
    "without its term": ((64, 8, 10), MSMPPD(rho=0.0)),
    "behind the first": ((64, 8, 8, 10), MSMPPD()),
    "not asked for": ((64, 8, 10), CrossEntropy()),
}


@pytest.mark.parametrize("name", UNWARNED)
def test_nothing_else_is_warned_of(digits: Dataset, name: str) -> None:
    widths, objective = UNWARNED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(mlp(widths, 2), few(digits, 20), objective, epochs=1)


@pytest.mark.parametrize("objective", [MSMPPD(0.5, perturbation=SingleStep(0.05)), CertifiedLoss(0.02)], ids=repr)
def test_batches_in_parts_train_as_whole_ones(digits: Dataset, objective: Objective) -> None:
    data = replace(digits, train=digits.train.take(torch.arange(90)))
    torch.manual_seed(0)
    start = mlp((64, 12, 10, 10), 3, LIF(0.9)).double()
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 45, "optimizer": "sgd", "learning_rate": 0.01}
    runs = [fit(start, data, objective, accumulate=parts, **settings) for parts in (1, 2, 7, 100)]
    for run in runs[1:]:
        for ours, whole in zip(run.network.parameters(), runs[0].network.parameters(), strict=True):
            torch.testing.assert_close(ours, whole, rtol=1e-9, atol=1e-12)
        assert run.history[-1].loss == pytest.approx(runs[0].history[-1].loss, rel=1e-9)
    assert not torch.equal(runs[0].network.layers[0].weight, start.layers[0].weight)  # type: ignore[arg-type]


def test_batches_that_are_needed_whole_are_not_parted(digits: Dataset) -> None:
    norm = SpikingNetwork(nn.Linear(64, 8), nn.BatchNorm1d(8), LIF(), nn.Linear(8, 10), num_steps=2)
    for network, what in ((norm, "batch norm"), (mlp((64, 8, 10), 2, encoding="rate"), 'encoding "rate"')):
        with pytest.raises(ValueError, match=f"accumulate: got 2 and a network with {what}"):
            fit(network, digits, CrossEntropy(), epochs=1, accumulate=2)
