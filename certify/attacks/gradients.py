"""Gradients of a loss through a spiking network, under a surrogate of the attacker's choice."""

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.networks import SpikingNetwork
from ...models.surrogates import Surrogate
from ..replay import margins

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross-entropy: what an attack raises."""
    return F.cross_entropy(logits, labels, reduction="sum")


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed max over k ≠ y of logit_k − logit_y (Carlini & Wagner, 2017)."""
    return -margins(logits, labels).sum()


LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "margin": negative_margin}


def input_gradient(network: SpikingNetwork, inputs: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return d loss / d inputs, with the shape of `inputs`."""
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(network(leaf), labels), leaf)
    return gradient


def attack_view(network: SpikingNetwork, surrogate: Surrogate | None) -> SpikingNetwork:
    """Return a view of `network` that shares its weights, frozen, and backpropagates through `surrogate`.

    The forward pass is the same; None keeps the network's own surrogates.
    """
    shared: dict[int, Tensor] = {
        id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()
    }
    shared |= {id(b): b for b in network.buffers()}
    view = copy.deepcopy(network, shared)
    for neuron in view.neurons if surrogate is not None else ():
        neuron.dynamics = replace(neuron.dynamics, surrogate=surrogate)
    return view
