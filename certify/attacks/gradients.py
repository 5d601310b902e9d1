"""Gradients of a loss through a spiking network, under a surrogate of the attacker's choice.

What an attack raises: losses of logits, one number per sample.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.deadline import check_time
from ..perturbations import RangedSet
from ..perturbations.base import expand, normal
from ..replay import margins
from ..ties import STRICT

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits (batch, classes) and classes (batch,), returns (batch,)."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy."""
    return F.cross_entropy(logits, labels, reduction="none")


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return max over k ≠ y of logit_k − logit_y (Carlini & Wagner, 2017)."""
    return -margins(logits, labels)


def logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the difference of logits ratio (Croce & Hein, 2020): the negative margin over z_(1) − z_(3).

    z_(i) is the i-th greatest logit. With fewer than three classes the ratio is constant, so the negative
    margin itself is returned.
    """
    if logits.shape[1] < 3:
        return negative_margin(logits, labels)
    greatest = logits.topk(3, dim=1).values
    return negative_margin(logits, labels) / (greatest[:, 0] - greatest[:, 2] + 1e-12)


def targeted(classes: Tensor) -> Loss:
    """Return the loss logit_c − logit_y toward one class c per sample, as a ratio where there are 4 classes.

    The denominator is Croce & Hein's: z_(1) − (z_(3) + z_(4))/2.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample, (batch,)."""
        gap = (logits.gather(1, classes[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)
        if logits.shape[1] < 4:
            return gap
        greatest = logits.topk(4, dim=1).values
        return gap / (greatest[:, 0] - 0.5 * (greatest[:, 2] + greatest[:, 3]) + 1e-12)

    return loss


def runner_up(logits: Tensor, labels: Tensor, rank: int) -> Tensor:
    """Return each sample's class of the `rank`-th greatest logit (1 is the greatest) among those not its label."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(rank, dim=1).indices[:, -1]


LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "margin": negative_margin, "dlr": logits_ratio}


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
