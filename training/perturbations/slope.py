"""The gradient that adversarial perturbations climb."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...certify.attacks.gradients import gradient_at
from ...models.networks import SpikingNetwork


def loss_slope(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return ∇CE(f(x), y) of each sample's own loss, also where gradients are switched off.

    Raises:
        FloatingPointError: if it is not finite, as with diverged weights; its sign would hide that.
    """
    point = inputs.detach().requires_grad_()
    with torch.enable_grad():
        loss = cross_entropy(network(point), labels, reduction="sum")
        gradient = gradient_at(loss, point)
    if not bool(torch.isfinite(gradient).all()):
        raise FloatingPointError("perturbation: the gradient of the loss is NaN or inf, expected finite values")
    return gradient
