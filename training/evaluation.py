"""Accuracy of a network on a split, clean or under a perturbation."""

import torch
from torch import Tensor

from ..models.constants import whole
from ..models.networks import SpikingNetwork
from .data import Split
from .perturbations import Perturber, evaluation_mode

BATCH = 512


def on_network(network: SpikingNetwork, split: Split) -> tuple[Tensor, Tensor]:
    """Return inputs in the network's dtype, and labels, on the network's device."""
    return split.inputs.to(network.device, network.dtype), split.labels.to(network.device)


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
