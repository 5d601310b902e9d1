"""Whether the one-sided gradient of L_MS points where L_MS falls, and how large the currents have become."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from .ms_mppd import MSMPPD, firing_layers


def alignment(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    objective: MSMPPD,
    generator: torch.Generator | None = None,
) -> float | None:
    """Return the cosine between the gradient that training follows and the true gradient of L_MS.

    Training holds the clean current fixed (stopgrad); the true gradient lets it move too (`two_sided`). Where the
    cosine is below 0, a small step down the one raises L_MS. Both are over all parameters, in training mode.

    Args:
        network: stays as it is, the statistics of its batch norms included.
        inputs, labels: the batch.
        objective: its perturbation, norm, layers and batch statistics are taken.
        generator: of the perturbation.

    Returns:
        The cosine, or None where a gradient is 0.
    """
    trained = copy.deepcopy(network).train()
    perturbed = objective.perturbation(trained, inputs, labels, generator)
    sides = [replace(objective, rho=1.0, two_sided=two_sided) for two_sided in (False, True)]
    one, true = (_gradient(trained, side.stability(trained, inputs, perturbed)) for side in sides)
    size = float(one.norm()) * float(true.norm())
    return float(one @ true) / size if size > 0 else None


def _gradient(network: SpikingNetwork, value: Tensor) -> Tensor:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.double().flatten() for gradient in found])


def rms_current(network: SpikingNetwork, inputs: Tensor) -> float:
    """Return √(mean I²) of the last layer that fires, over time, samples and neurons, in its present mode."""
    place = len(firing_layers(network)) - 1
    with torch.no_grad():
        currents, _ = network.currents(inputs)
    return float(currents[place].double().square().mean().sqrt())
