"""What an attack raises: losses of logits, one number per sample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..replay import margins

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
