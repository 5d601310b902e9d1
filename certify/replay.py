"""Run candidates through the real network, as a user would: one at a time, in the network's own dtype."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..models.networks import SpikingNetwork


@contextmanager
def evaluating(network: SpikingNetwork) -> Iterator[SpikingNetwork]:
    """Put `network` in evaluation mode for a while."""
    training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(training)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logit_y − max over k ≠ y of logit_k, (batch,). At most 0 means misclassified: ties count."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return logits.gather(1, labels[:, None]).squeeze(1) - others.amax(1)


@torch.no_grad()
def misclassified(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return whether each sample is misclassified in a batch, (batch,) of bool. Ties count."""
    return margins(network(inputs), labels) <= 0


@torch.no_grad()
def replays(network: SpikingNetwork, candidate: Tensor, label: int) -> bool:
    """Return whether `candidate`, run alone, is misclassified.

    A batch may sum in another order than a single sample; what is handed to a user must fail when run alone.
    """
    return bool(misclassified(network, candidate[None], torch.tensor([label], device=candidate.device)))
