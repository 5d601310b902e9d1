"""Gradients of a loss through a spiking network, under a surrogate of the attacker's choice."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models.networks import SpikingNetwork
from ...models.surrogates import Surrogate
from ..perturbations import RangedSet
from ..perturbations.shapes import expand, normal
from ..replay import margins
from ..ties import STRICT
from .losses import Loss


@dataclass(frozen=True)
class Slope:
    """A loss at some points: its gradient (batch, ...), its values (batch,), and the margins there (batch,)."""

    gradient: Tensor
    losses: Tensor
    margins: Tensor


def differentiate(
    network: SpikingNetwork, points: Tensor, labels: Tensor, loss: Loss, ties: str = STRICT
) -> Slope:
    """Return the slope of `loss` at `points`, with margins that are at most 0 where `ties` says so."""
    with torch.enable_grad():
        leaf = points.detach().clone().requires_grad_()
        logits = network(leaf)
        losses = loss(logits, labels)
        gradient = gradient_at(losses.sum(), leaf)
    return Slope(gradient, losses.detach(), margins(logits.detach(), labels, ties))


def gradient_at(value: Tensor, leaf: Tensor) -> Tensor:
    """Return the gradient of a number, 0 where it does not depend on `leaf`: a delay may outlast the steps."""
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(value, leaf, allow_unused=True, materialize_grads=True)[0]


@torch.no_grad()
def margins_at(network: SpikingNetwork, points: Tensor, labels: Tensor, ties: str) -> Tensor:
    """Return the margins at `points`, (batch,)."""
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


def attack_view(network: SpikingNetwork, surrogate: Surrogate | None) -> SpikingNetwork:
    """Return a view of `network` that shares its weights, frozen, and backpropagates through `surrogate`.

    The forward pass is the same; None keeps the network's own surrogates.
    """
    shared: dict[int, Tensor] = {
        id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()
    }
    shared |= {id(b): b for b in network.buffers()}
    view = copy.deepcopy(network, shared)
    if surrogate is not None:
        for neuron in view.neurons:
            neuron.surrogate = surrogate
    return view
