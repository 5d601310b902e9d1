"""What a network makes of a split: accuracy, clean or under a perturbation, or the error of real outputs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.constants import whole
from ..models.networks import SpikingNetwork
from .data import Split
from .perturbations import Perturber, evaluation_mode

BATCH = 512


@dataclass(frozen=True)
class CertifiedErrors:
    """What is proven of a network with real targets, by "trains".

    Attributes:
        rmse: the root of the mean squared error, each output of each sample at its worst over its ball, at most.
        share: the share of samples that move by at most δ.
    """

    rmse: float
    share: float


def on_network(network: SpikingNetwork, split: Split) -> tuple[Tensor, Tensor]:
    """Return inputs, and real targets, in the network's dtype, and labels as they are, on the network's device."""
    labels = split.labels.to(network.device, network.dtype if split.real else split.labels.dtype)
    return split.inputs.to(network.device, network.dtype), labels


def accuracy(network: SpikingNetwork, split: Split, attack: Perturber | None = None, seed: int = 0) -> float:
    """Return the share of `split` that `network` classifies correctly, in evaluation mode.

    Args:
        network: its mode is kept.
        split: samples and labels.
        attack: perturbs the inputs first, from a generator seeded with `seed`; None leaves them clean.
        seed: of the perturbation.
    """
    generator = torch.Generator().manual_seed(whole("seed", seed))
    correct = 0
    with evaluation_mode(network), torch.no_grad():
        for indices in torch.arange(len(split)).split(BATCH):
            inputs, labels = on_network(network, split.take(indices))
            if attack is not None:
                inputs = attack(network, inputs, labels, generator)
            correct += int((network(inputs).argmax(1) == labels).sum())
    return correct / len(split)


def root_mean_square(network: SpikingNetwork, split: Split) -> float:
    """Return the root of the mean of (f(x)_j − t_j)² over samples and outputs, in evaluation mode."""
    total = 0.0
    with evaluation_mode(network), torch.no_grad():
        for indices in torch.arange(len(split)).split(BATCH):
            inputs, targets = on_network(network, split.take(indices))
            total += float((network(inputs).double() - targets.double()).square().sum())
    return math.sqrt(total / split.labels.numel())
