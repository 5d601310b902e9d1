"""Everything that training must refuse: one clear error each, naming the argument."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.training import (
    MSMPPD,
    Augmentation,
    Dataset,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    PGDTraining,
    Ramp,
    Retraction,
    SingleStep,
    Split,
    dataset,
    fit,
)


def data(inputs: Tensor | None = None, labels: Tensor | None = None, classes: int = 3) -> Dataset:
    inputs = torch.rand(6, 4) if inputs is None else inputs
    split = Split(inputs, torch.arange(len(inputs)) % 3 if labels is None else labels)
    return Dataset("made up", split, split, split, (4,), classes)


def network(classes: int = 3) -> SpikingNetwork:
    return mlp((4, 5, classes), num_steps=2)


def train(changed: Dataset | None = None, **settings: Any) -> object:
    return fit(network(), changed or data(), **{"epochs": 1, **settings})


def with_nan(tensor: Tensor, at: int = 0) -> Tensor:
    tensor[at] = torch.nan
    return tensor


def broken_network() -> SpikingNetwork:
    broken = network()
    with_nan(broken.layers[0].bias.data)  # type: ignore[union-attr, arg-type]
    return broken


def without_validation() -> Dataset:
    return replace(data(), validation=Split(torch.zeros(0, 4), torch.zeros(0).long()))


def no_firing_layer() -> SpikingNetwork:
    return SpikingNetwork(nn.Linear(4, 3), LIF(reset="none"), num_steps=2, readout="potential")


Case = tuple[Callable[[], object], type[Exception], str]

CASES: dict[str, Case] = {
    "dataset: unknown": (lambda: dataset("imagenet"), ValueError, "dataset: got 'imagenet', expected one of"),
    "root: no recordings": (lambda: dataset("nmnist"), FileNotFoundError, "nmnist needs Train/0.*pass it as root"),
    "root: none": (lambda: dataset("mnist"), FileNotFoundError, "mnist needs the file .* pass it as root"),
    "root: cifar": (lambda: dataset("cifar10"), FileNotFoundError, "needs the file data_batch_1 .*pass root"),
    "epochs: zero": (lambda: train(epochs=0), ValueError, "epochs: got 0"),
    "batch_size: zero": (lambda: train(batch_size=0), ValueError, "batch_size: got 0"),
    "learning_rate: zero": (lambda: train(learning_rate=0.0), ValueError, "learning_rate: got 0.0"),
    "learning_rate: NaN": (lambda: train(learning_rate=float("nan")), ValueError, "learning_rate: got nan"),
    "momentum: one": (lambda: train(momentum=1.0), ValueError, "momentum: got 1.0"),
    "weight_decay: negative": (lambda: train(weight_decay=-1.0), ValueError, "weight_decay: got -1.0"),
    "optimizer: unknown": (lambda: train(optimizer="lion"), ValueError, "optimizer: got 'lion'"),
    "optimizer: unknown, rate given": (
        lambda: train(optimizer="lion", learning_rate=0.1),
        ValueError,
        "optimizer: got 'lion', expected one of sgd, adam",
    ),
    "schedule: unknown": (lambda: train(schedule="steps"), ValueError, "schedule: got 'steps'"),
    "precision: unknown": (lambda: train(precision="int8"), ValueError, "precision: got 'int8'"),
    "accumulate: zero": (lambda: train(accumulate=0), ValueError, "accumulate: got 0"),
    "steps_at_once: zero": (lambda: train(steps_at_once=0), ValueError, "steps_at_once: got 0"),
    "seed: negative": (lambda: train(seed=-1), ValueError, "seed: got -1"),
    "settings: a dictionary": (lambda: train(settings={"epochs": 1}), TypeError, "settings: got dict"),
    "settings: unknown": (lambda: train(epoch=1), TypeError, ".* got an unexpected keyword argument 'epoch'"),
    "objective: text": (lambda: train(objective="ce"), TypeError, "objective: got str"),
    "objective: sum with a number": (lambda: MSMPPD() + 1, TypeError, "unsupported operand"),  # type: ignore
    "network: NaN": (lambda: fit(broken_network(), data()), ValueError, "network: layers.0.bias: got NaN or inf"),
    "network: classes": (lambda: fit(network(4), data()), ValueError, "network: got 4 logits"),
    "network: nothing fires": (
        lambda: fit(no_firing_layer(), data(), MSMPPD()),
        ValueError,
        "network: got no layer that fires",
    ),
    "inputs: width": (lambda: train(data(torch.rand(6, 5))), ValueError, r"inputs: got features \(5,\)"),
    "inputs: NaN": (lambda: train(data(with_nan(torch.rand(6, 4), at=3))), ValueError, "inputs: got NaN or inf"),
    "labels: floats": (lambda: train(data(labels=torch.rand(6))), TypeError, "labels: got torch.float32"),
    "labels: range": (
        lambda: train(data(labels=torch.full((6,), 3))),
        ValueError,
        "labels: got values from 3 to 3",
    ),
    "labels: count": (lambda: data(labels=torch.zeros(5).long()), ValueError, "labels: got 5 for 6 inputs"),
    "validation: empty": (lambda: train(without_validation()), ValueError, "dataset: got an empty validation"),
    "network: rate code": (
        lambda: fit(mlp((4, 2), encoding="rate"), data(), MSMPPD()),
        ValueError,
        'network: got encoding "rate"',
    ),
    "rho: negative": (lambda: MSMPPD(rho=-0.1), ValueError, "rho: got -0.1"),
    "rho: inf": (lambda: MSMPPD(rho=float("inf")), ValueError, "rho: got inf"),
    "mix: above one": (lambda: MSMPPD(mix=1.1), ValueError, "mix: got 1.1"),
    "norm: unknown": (lambda: MSMPPD(norm="linf"), ValueError, "norm: got 'linf'"),
    "layers: unknown": (lambda: MSMPPD(layers="first"), ValueError, "layers: got 'first'"),
    "batch_statistics: unknown": (lambda: MSMPPD(batch_statistics="x"), ValueError, "batch_statistics: got 'x'"),
    "perturbation: number": (lambda: MSMPPD(perturbation=0.1), TypeError, "perturbation: got"),  # type: ignore
    "weight: negative": (lambda: GainPenalty(-0.1), ValueError, "weight: got -0.1"),
    "weight: text": (lambda: GainPenalty("1"), TypeError, "weight: got str, expected a number or a schedule"),  # type: ignore
    "weight: a ramp from below": (lambda: GainPenalty(Ramp(-1, 1)), ValueError, r"weight: got Ramp\(start=-1"),
    "mix: a ramp above one": (lambda: MSMPPD(mix=Ramp(0, 2)), ValueError, r"mix: got Ramp\(start=0.0, stop=2.0"),
    "target: zero": (lambda: GainPenalty(target=0.0), ValueError, "target: got 0.0"),
    "iterations: zero": (lambda: GainPenalty(iterations=0), ValueError, "iterations: got 0"),
    "layers: of a penalty": (lambda: GainPenalty(layers="first"), ValueError, "layers: got 'first'"),
    "norms: of a penalty": (
        lambda: GainPenalty(input_norm="linf"),
        ValueError,
        "input_norm, output_norm: got linf→l2",
    ),
    "norms: end to end": (
        lambda: GainPenalty(output_norm="linf", layers="end-to-end"),
        ValueError,
        'got l2 and linf, expected equal norms with "end-to-end"',
    ),
    "network: no gain": (lambda: fit(mlp((4, 3)), data(), GainPenalty()), ValueError, "got no spiking layer"),
    "network: no margin": (
        lambda: fit(no_firing_layer(), data(), MarginOverGain()),
        ValueError,
        "network: got no layer that fires",
    ),
    "epsilon: of a margin": (lambda: MarginOverGain(epsilon=0.0), ValueError, "epsilon: got 0.0"),
    "norm: of a margin": (lambda: MarginOverGain(norm="l1"), ValueError, "norm: got 'l1'"),
    "layers: of a margin": (lambda: MarginOverGain(layers="last"), ValueError, "layers: got 'last'"),
    "ramp: backwards": (lambda: Ramp(0, 1, 0.6, 0.5), ValueError, "begin: got 0.6 with end 0.5"),
    "ramp: NaN": (lambda: Ramp(float("nan"), 1), ValueError, "start: got nan"),
    "objective: times text": (lambda: "2" * MSMPPD(), TypeError, "can't multiply|unsupported operand"),  # type: ignore
    "objective: times minus one": (lambda: -1 * MSMPPD(), ValueError, "weight: got -1"),
    "epsilon: negative": (lambda: SingleStep(epsilon=-0.1), ValueError, "epsilon: got -0.1"),
    "epsilon: NaN": (lambda: SingleStep(epsilon=float("nan")), ValueError, "epsilon: got nan"),
    "start: negative": (lambda: SingleStep(start=-1.0), ValueError, "start: got -1.0"),
    "lower: above upper": (lambda: SingleStep(lower=1.0, upper=0.0), ValueError, "lower: got 1.0"),
    "training pgd: epsilon": (lambda: PGDTraining(-0.1), ValueError, "epsilon: got -0.1"),
    "training pgd: steps": (lambda: PGDTraining(0.1, 0), ValueError, "steps: got 0"),
    "training pgd: step_size": (lambda: PGDTraining(0.1, 1, 0.0), ValueError, "step_size: got 0.0"),
    "training pgd: range": (lambda: PGDTraining(lower=1.0), ValueError, "lower: got 1.0"),
    "crop: negative": (lambda: Augmentation(crop=-1), ValueError, "crop: got -1"),
    "cutout: odd": (lambda: Augmentation(cutout=3), ValueError, "cutout: got 3, expected an even"),
    "augmentation: vectors": (
        lambda: train(augmentation=Augmentation()),
        ValueError,
        r"augmentation: got inputs \(4,\)",
    ),
    "beta: zero": (lambda: Retraction(0.0), ValueError, "beta: got 0.0"),
    "share: none of the rows": (lambda: Retraction(share=0.0), ValueError, "share: got 0.0, expected a number in"),
    "share: more than all": (lambda: Retraction(share=1.5), ValueError, "share: got 1.5"),
    "sigma: negative": (lambda: GaussianNoise(sigma=-1.0), ValueError, "sigma: got -1.0"),
    "sigma: range": (lambda: GaussianNoise(lower=1.0), ValueError, "lower: got 1.0"),
}


@pytest.mark.parametrize(("call", "error", "message"), CASES.values(), ids=CASES.keys())
def test_it_raises_and_names_the_argument(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_missing_fashion_mnist_names_the_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikecert.training.data.mnist.DEBIAN_FOLDER", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="install Debian's package dataset-fashion-mnist"):
        dataset("fashion-mnist", tmp_path)
