"""Real targets: what is learned, what is proven of errors and moves, what is picked, and data that do not fit."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecert import LIF, LInf, dataset, mlp, moves_at_most, verify
from spikecert.models import load, network_hash
from spikecert.training import (
    MSE,
    CertifiedLoss,
    CertifiedMoves,
    CrossEntropy,
    Dataset,
    GainPenalty,
    Huber,
    Split,
    fit,
    regression_dataset,
)
from spikecert.training.evaluation import root_mean_square
from spikecert.training.journal import EpochMetrics, best_epoch
from spikecert.training.objectives.judging import certified_errors
from support.command_line import run

__all__ = ["run"]


@pytest.fixture(scope="module")
def plane() -> Dataset:
    """Return two numbers whose targets are two linear forms of them."""
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return regression_dataset("plane", (x, x @ torch.tensor([[0.5, -0.25], [0.25, 0.5]])), limits=(-1.0, 1.0))


def start(data: Dataset, width: int = 24):
    torch.manual_seed(0)
    return mlp((*data.shape, width, data.classes), 4, LIF(0.9))


@pytest.mark.parametrize("objective", [MSE(), Huber(0.5), MSE() + 0.01 * GainPenalty(0.1)])
def test_a_linear_map_is_learned(plane: Dataset, objective) -> None:
    network = start(plane)
    run = fit(network, plane, objective, epochs=20, optimizer="adam", learning_rate=0.02)
    assert run.best.clean_accuracy is None
    assert run.best.rmse == pytest.approx(root_mean_square(run.network, plane.validation))
    assert run.best.rmse == min(one.rmse for one in run.history if one.rmse is not None)
    assert root_mean_square(run.network, plane.test) < 0.35 * root_mean_square(network, plane.test)


def test_the_losses_are_what_they_say() -> None:
    network = mlp((2, 3, 2), 2).eval()
    x, t = torch.rand(5, 2), torch.rand(5, 2) * 4
    off = network(x).detach() - t
    assert float(MSE().loss(network, x, t, None).total.detach()) == pytest.approx(float((off**2).mean()))
    width, far = 0.75, off.abs()
    huber = torch.where(far <= width, off**2 / 2, width * (far - width / 2)).mean()
    assert float(Huber(width).loss(network, x, t, None).total.detach()) == pytest.approx(float(huber))
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="width: got"):
            Huber(wrong)


@pytest.mark.parametrize("bounds", ["interval", "trains", "windows"])
def test_bounds_of_moves_hold_what_runs_do(plane: Dataset, bounds: str) -> None:
    network, radius, x = start(plane).eval(), 0.05, plane.test.inputs[:40]
    loss = CertifiedMoves(radius, 0.0, bounds, lower=-1.0).loss(network, x, x, None)
    near = (x + radius * (2 * torch.rand(200, *x.shape) - 1).sign()).clamp(-1, 1)
    with torch.no_grad():
        moved = (network(near.flatten(0, 1)).unflatten(0, near.shape[:2]) - network(x)).abs().amax(0)
    assert float(moved.max()) > 0
    assert float(loss.terms["moves"]) >= float(moved.mean())
    assert float(CertifiedMoves(0.0, 0.0, "interval", lower=-1.0).loss(network, x, x, None).total.detach()) == 0.0
    loss.total.backward()
    assert any(float(weight.grad.abs().sum()) > 0 for weight in network.parameters() if weight.grad is not None)


def test_certified_errors_hold_for_runs_and_are_what_trains_proves(plane: Dataset) -> None:
    network, threat, delta = start(plane).eval(), LInf(0.02, -1.0, 1.0), 0.03
    split = plane.test.take(torch.arange(60))
    found = certified_errors(network, split, threat, delta)
    assert found is not None
    proven = verify(network, split.inputs, moves_at_most(delta), threat, "trains")
    assert found.share == sum(verdict.status == "verified" for verdict in proven) / 60
    assert 0 < found.share < 1
    signs = (2 * torch.rand(100, *split.inputs.shape) - 1).sign()
    worst = torch.zeros_like(split.labels)
    with torch.no_grad():
        for sign in signs:
            x = (split.inputs + 0.02 * sign).clamp(-1, 1)
            worst = worst.maximum((network(x) - split.labels).abs())
    assert float(worst.square().mean().sqrt()) <= found.rmse
    assert root_mean_square(network, split) <= found.rmse
    same = certified_errors(network, split, LInf(0.0, -1.0, 1.0), delta)
    assert same is not None
    assert same.share == 1.0
    assert same.rmse == pytest.approx(root_mean_square(network, split), rel=1e-4)


def test_certified_training_moves_less_and_is_picked_by_certified_errors(plane: Dataset) -> None:
    settings = {"epochs": 15, "optimizer": "adam", "learning_rate": 0.02}
    plain = fit(start(plane), plane, MSE(), **settings)
    aim = MSE() + 2.0 * CertifiedMoves(0.05, delta=0.05, ramp=0.3, lower=-1.0)
    held = fit(start(plane), plane, aim, **settings)
    errors = [one.certified_rmse for one in held.history]
    assert held.best.certified_rmse == min(error for error in errors if error is not None)
    assert held.best.rmse is not None
    assert held.best.certified_rmse is not None
    assert held.best.certified_rmse >= held.best.rmse
    threat = LInf(0.05, -1.0, 1.0)
    both = [certified_errors(run.network, plane.test, threat, 0.05) for run in (plain, held)]
    assert both[0] is not None
    assert both[1] is not None
    assert both[1].rmse < both[0].rmse


def test_a_stopped_run_goes_on_and_its_files_tell_errors(plane: Dataset, tmp_path: Path) -> None:
    aim = MSE() + CertifiedMoves(0.02, lower=-1.0)
    settings = {"epochs": 3, "optimizer": "adam", "learning_rate": 0.02}
    whole = fit(start(plane), plane, aim, folder=tmp_path / "run", **settings)
    again = fit(start(plane), plane, aim, folder=tmp_path / "run", **settings)
    assert network_hash(again.network) == network_hash(whole.network)
    assert again.history == whole.history
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert [float(row["rmse"]) for row in rows] == [one.rmse for one in whole.history]
    assert {"certified_rmse", "certified_share", "terms/mse"} <= rows[0].keys()
    assert "clean_accuracy" not in rows[0]
    drawn = (tmp_path / "run" / "history.svg").read_text(encoding="utf-8")
    assert "validation, RMSE" in drawn
    assert ">certified<" in drawn


def test_the_epoch_of_the_least_error_is_the_best() -> None:
    def epoch(number: int, rmse: float, worst: float | None) -> EpochMetrics:
        return EpochMetrics(number, 1.0, {}, None, None, 0.1, 1.0, rmse, worst)

    assert best_epoch((epoch(1, 2.0, None), epoch(2, 1.0, None), epoch(3, 1.0, None))) == 2
    assert best_epoch((epoch(1, 0.5, 3.0), epoch(2, 1.0, 2.0), epoch(3, 0.9, 2.0))) == 3
    assert best_epoch((epoch(1, 0.5, None), epoch(2, 1.0, 2.0), epoch(3, 0.1, None))) == 2


def test_what_does_not_fit_is_refused(plane: Dataset) -> None:
    x, digits = plane.train.inputs, dataset("digits")
    short = replace(plane, train=Split(x, plane.train.labels[:, :1]))
    for data, network, objective, told in (
        (plane, start(plane), CrossEntropy(), "labels: got torch.float32, numbers, and CrossEntropy"),
        (plane, start(plane), MSE() + CertifiedLoss(), "labels: got torch.float32, numbers, and CertifiedLoss"),
        (digits, start(digits), 0.5 * MSE(), "labels: got torch.int64, classes, and MSE learns numbers"),
        (plane, mlp((2, 4, 3), 2), MSE(), "network: got 3 logits, expected the data set's 2 numbers of a target"),
        (short, start(plane), MSE(), r"dataset: got targets of shape \(288, 1\)"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^{told}"):
            fit(network, data, objective, epochs=1)
    for wrong, told in (
        ((x, x[:5]), "train: got 5 targets for"),
        ((x, x[:, :, None]), "train: got targets of"),
        ((x, x > 0), "train: got targets of torch.bool"),
        ((x, x * float("nan")), "train: got targets of NaN or inf"),
        ((x * 9, x), "train: got inputs from"),
        ((x[:1], x[:1]), "dataset: got 1 samples"),
    ):
        with pytest.raises(ValueError, match=told):
            regression_dataset("mine", wrong, limits=(-1.0, 1.0))
    with pytest.raises(ValueError, match="test: got targets of shape"):
        regression_dataset("mine", (x, x), test=(x, x[:, 0]), limits=(-1.0, 1.0))
    with pytest.raises(TypeError, match="train: got NoneType"):
        regression_dataset("mine", None)
    for wrong in ({"epsilon": -1.0}, {"delta": -1.0}, {"delta": float("nan")}, {"bounds": "none"}, {"ramp": 2.0}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: got"):
            CertifiedMoves(**wrong)  # type: ignore[arg-type]


def test_one_output_takes_a_vector_of_targets_and_digits_have_values() -> None:
    values, digits = dataset("digit-values"), dataset("digits")
    assert values.classes == 1
    assert torch.equal(values.test.labels[:, 0], digits.test.labels.float())
    assert torch.equal(values.train.inputs, digits.train.inputs)
    assert regression_dataset("mine", (np.random.rand(20, 3), np.arange(20))).train.labels.shape[1] == 1


def test_the_command_line_trains_on_an_archive_of_targets(run, plane: Dataset, tmp_path: Path) -> None:
    parts = {"train": plane.train, "test": plane.test}
    arrays = {
        f"{name}_{kind}": value.numpy()
        for name, part in parts.items()
        for kind, value in (("inputs", (part.inputs + 1) / 2), ("targets", part.labels))
    }
    np.savez(tmp_path / "plane.npz", **arrays)  # type: ignore[arg-type]
    asked = ("train", "--data", tmp_path / "plane.npz", "--network", "mlp:16", "--neuron", "lif", "--epochs", 4)
    aim = ("--objective", "mse+certified-moves", "--size", "1/50", "--delta", "1/10", "--num-steps", 4)
    done = run(*asked, *aim, "--out", tmp_path / "out", "--json")
    assert done.status == 0
    history = json.loads(done.out)["history"]
    assert history[-1]["rmse"] < history[0]["rmse"]
    assert 0 <= history[-1]["certified_share"] <= 1
    assert load(tmp_path / "out" / "network.safetensors")(plane.test.inputs[:3]).shape == (3, 2)
    told = run(*asked, "--objective", "huber", "--seeds", "0,1", "--num-steps", 4, "--out", tmp_path / "two")
    assert told.out.splitlines()[0].split() == [
        "seed",
        "epoch",
        "RMSE",
        "RMSE,",
        "certified",
        "moves",
        "at",
        "most",
        "δ",
    ]
    assert told.out.splitlines()[3].startswith("mean")
    wrong = run(*asked, "--objective", "cross-entropy", "--out", tmp_path / "wrong")
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    np.savez(tmp_path / "named.npz", **arrays, names=np.array(["a"]))  # type: ignore[arg-type]
    wrong = run("train", "--data", tmp_path / "named.npz", "--objective", "mse", "--out", tmp_path / "wrong")
    assert "holds names beside targets" in wrong.err
