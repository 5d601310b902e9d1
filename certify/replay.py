"""Run candidates through the real network, as a user would: one at a time, in the network's own dtype."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..models.networks import SpikingNetwork


@contextmanager
def evaluating(network: SpikingNetwork) -> Iterator[SpikingNetwork]:
    """Put `network` in evaluation mode for a while."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield network
    finally:
        for module, training in modes.items():  # a layer may be frozen in another mode than the network's
            module.training = training


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


@torch.no_grad()
def pull(
    network: SpikingNetwork, counterexamples: Tensor, inputs: Tensor, labels: Tensor, halvings: int = 12
) -> Tensor:
    """Return counterexamples nearer to `inputs`: bisection along the segments to them, (batch, ...).

    Each feature stays between the sample's and the counterexample's, so no distance grows. What fails in a batch
    but not alone is replaced by the counterexample that it came from.
    """
    low, high = inputs.minimum(counterexamples), inputs.maximum(counterexamples)
    shape = (-1, *([1] * (inputs.dim() - 1)))
    pulled, good, bad = counterexamples, inputs.new_zeros(len(inputs)), inputs.new_ones(len(inputs))
    for _ in range(halvings):
        middle = (good + bad) / 2
        moved = (inputs + middle.view(shape) * (counterexamples - inputs)).clamp(low, high)
        fails = misclassified(network, moved, labels)
        pulled = torch.where(fails.view(shape), moved, pulled)
        good, bad = torch.where(fails, good, middle), torch.where(fails, middle, bad)
    alone = [replays(network, *pair) for pair in zip(pulled, labels.tolist(), strict=True)]
    return torch.where(torch.tensor(alone, device=inputs.device).view(shape), pulled, counterexamples)
