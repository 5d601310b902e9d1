"""A tiny network whose samples take a search some batches, and what is asked of it."""

import torch

from spikecert import LIF, SpikingNetwork, mlp
from spikecert.certify.branching.bounding import Climb
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Search
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.verifiers import Complete

EPSILON = 0.12
Given = tuple[SpikingNetwork, torch.Tensor, torch.Tensor]


def searched(
    sizes: tuple[int, ...] = (4, 8, 6, 3),
    num_steps: int = 4,
    samples: int = 5,
    neuron: LIF | None = None,
    seed: int = 0,
) -> Given:
    """Return a network of large weights and samples with their classes: bounds leave them open at `EPSILON`."""
    torch.manual_seed(seed)
    network = mlp(sizes, num_steps=num_steps, neuron=neuron or LIF(decay=0.9)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    inputs = torch.rand(samples, sizes[0])
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


def all_margins(case: Given, perturbation: Perturbation) -> MarginQuestion:
    """Ask for the margins over all other classes of each sample."""
    network, inputs, labels = case
    with torch.no_grad():
        others = torch.ones_like(network(inputs), dtype=torch.bool).scatter(1, labels[:, None], False)
    return MarginQuestion.of_margins(network, inputs, labels, perturbation, others)


def brief(batch: int) -> Complete:
    """Return a search that climbs little, so that it takes more nodes."""
    return Complete(Search(batch=batch, start=Climb(2), climb=Climb(1)), enumeration=None)
