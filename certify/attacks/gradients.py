"""Gradients of a loss through a spiking network, under a surrogate of the attacker's choice."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.deadline import check_time
from ..perturbations import RangedSet
from ..perturbations.base import expand, normal
from ..replay import margins
from ..ties import STRICT
from .losses import Loss


@dataclass(frozen=True)
class Slope:
    """A loss at some points: its gradient (batch, ...), its values (batch,), and the margins there (batch,).

    `finite` says where all of the gradient was a finite number; elsewhere it holds 0 for NaN, and what is greatest
    for inf.
    """

    gradient: Tensor
    losses: Tensor
    margins: Tensor
    finite: Tensor


def differentiate(
    network: Callable[[Tensor], Tensor], points: Tensor, labels: Tensor, loss: Loss, ties: str = STRICT
) -> Slope:
    """Return the slope of `loss` at `points`, with margins that are at most 0 where `ties` says so."""
    check_time()
    with torch.enable_grad():
        leaf = points.detach().clone().requires_grad_()
        logits = network(leaf)
        losses = loss(logits, labels)
        gradient = gradient_at(losses.sum(), leaf)
    finite = gradient.isfinite().flatten(1).all(1)
    gradient = gradient.nan_to_num(nan=0.0)  # a sample whose gradient is lost takes random steps
    return Slope(gradient, losses.detach(), margins(logits.detach(), labels, ties), finite)


def gradient_at(value: Tensor, leaf: Tensor) -> Tensor:
    """Return the gradient of a number, 0 where it does not depend on `leaf`: a delay may outlast the steps."""
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(value, leaf, allow_unused=True, materialize_grads=True)[0]


@torch.no_grad()
def margins_at(network: Callable[[Tensor], Tensor], points: Tensor, labels: Tensor, ties: str) -> Tensor:
    """Return the margins at `points`, (batch,)."""
    check_time()
    return margins(network(points), labels, ties)


def climb(perturbation: RangedSet, gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Return the steepest step that spans the set; a random one where the gradient vanished.

    No neuron of a sample within its surrogate's support means a gradient of exactly 0, which says nothing.
    """
    dead = ~(gradient != 0).flatten(1).any(1)
    if bool(dead.any()):
        gradient = torch.where(expand(dead, gradient), normal(gradient, generator), gradient)
    extent = perturbation.extent
    direction = perturbation.ascent(gradient)
    return direction * (extent.to(direction) if isinstance(extent, Tensor) else extent)
