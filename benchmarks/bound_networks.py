"""The networks of benchmarks/bounds.py: data, layers, T, training, and the ε at which they are measured."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from spikecert import LIF, MSMPPD, CertifiedLoss, CrossEntropy, SingleStep, SpikingNetwork, dataset, fit, mlp
from spikecert.training import Dataset, Objective, Split

TRAINED = 20_000
"""Training samples used, where a data set has more; validation is cut to a tenth of that."""
ONE_HIDDEN = (0.01, 0.02, 0.03, 0.05, 0.07)
DEEP = (0.005, 0.01, 0.02, 0.03, 0.05)
OBJECTIVES: dict[str, Objective] = {
    "accuracy": CrossEntropy(),
    "adversarial": MSMPPD(rho=0.0, perturbation=SingleStep(epsilon=0.05)),
    "interval loss": CertifiedLoss(0.05),
}


@dataclass(frozen=True)
class Case:
    """One network. `layers` is "conv" or the sizes of an MLP, such as "64-64-10"; neurons are LIF, λ = .9."""

    data: str
    layers: str
    num_steps: int
    objective: str
    epsilons: tuple[float, ...]

    @property
    def name(self) -> str:
        """Return what tables call it."""
        return f"{self.data} {self.layers}, T={self.num_steps}, {self.objective}"

    def samples(self, root: Path | None) -> Dataset:
        """Return the data, flat for an MLP, with splits cut to what is used."""
        whole = dataset(self.data, root)
        shape = (1, 8, 8) if self.layers == "conv" else (whole.train.inputs[0].numel(),)
        most = {"train": TRAINED, "validation": TRAINED // 10, "test": None}
        cut = {key: _reshaped(getattr(whole, key), shape, count) for key, count in most.items()}
        return replace(whole, **cut, shape=shape)

    def fresh(self) -> SpikingNetwork:
        """Return the untrained network, seeded."""
        torch.manual_seed(0)
        neuron = LIF(decay=0.9)
        if self.layers != "conv":
            return mlp(tuple(map(int, self.layers.split("-"))), num_steps=self.num_steps, neuron=neuron)
        convs = [nn.Conv2d(m, n, 3, stride=2, padding=1) for m, n in pairwise((1, 8, 16))]
        layers = [layer for conv in convs for layer in (conv, LIF(decay=0.9))]
        return SpikingNetwork(*layers, nn.Flatten(), nn.Linear(64, 10), num_steps=self.num_steps)

    def trained(self, samples: Dataset, cache: Path) -> SpikingNetwork:
        """Return the trained network; a run that was stopped goes on from `cache`."""
        large = len(samples.train) == TRAINED
        run = fit(
            self.fresh(),
            samples,
            OBJECTIVES[self.objective],
            epochs=8 if large else 60,
            batch_size=128 if large else 64,
            optimizer="adam",
            learning_rate=2e-3,
            folder=cache / self.name.replace(", ", "_").replace(" ", "-"),
        )
        return run.network


CASES = (
    Case("digits", "64-64-10", 8, "accuracy", ONE_HIDDEN),
    Case("digits", "64-64-10", 8, "adversarial", ONE_HIDDEN),
    Case("digits", "64-64-10", 16, "adversarial", ONE_HIDDEN),
    Case("digits", "64-128-10", 4, "interval loss", ONE_HIDDEN),
    Case("digits", "64-64-32-10", 4, "adversarial", DEEP),
    Case("digits", "64-128-64-10", 8, "adversarial", DEEP),
    Case("digits", "64-64-64-32-10", 8, "adversarial", DEEP),
    Case("digits", "conv", 4, "adversarial", DEEP),
    Case("fashion-mnist", "784-128-10", 4, "adversarial", ONE_HIDDEN),
    Case("fashion-mnist", "784-256-128-10", 8, "adversarial", DEEP),
    Case("fashion-mnist", "784-256-128-10", 8, "interval loss", DEEP),
)


def _reshaped(split: Split, shape: tuple[int, ...], count: int | None) -> Split:
    return Split(split.inputs[:count].reshape(-1, *shape), split.labels[:count])
