"""Run candidates through the real network, as a user would: alone and in a batch, in the network's own dtype."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..models.files.storage import network_hash
from ..models.networks import SpikingNetwork
from ..models.validation import check_rivals
from .ties import STRICT

Runs = Callable[[Tensor], Tensor]
"""A network, or what stands for one: from inputs to (batch, classes)."""

TOGETHER = 16
"""Samples of a batch for which torch may choose other algorithms than for one."""


@contextmanager
def evaluating(network: SpikingNetwork) -> Iterator[SpikingNetwork]:
    """Put `network` in evaluation mode for a while; to set what is so already takes a tenth of a millisecond."""
    modes = {module: module.training for module in network.modules()}
    if any(training is not False for training in modes.values()):
        network.eval()
    try:
        yield network
    finally:
        for module, training in modes.items():  # a layer may be frozen in another mode than the network's
            if module.training is not training:
                module.training = training


@contextmanager
def left_alone(name: str, network: SpikingNetwork, *given: object) -> Iterator[None]:
    """Let code of another package look at a network and at samples.

    Raises:
        ValueError: where it changed them: whatever comes of this run is about something else.
    """
    tensors = [one for one in given if isinstance(one, Tensor)]
    before, copies = network_hash(network), [one.clone() for one in tensors]
    yield
    if network_hash(network) != before or not all(map(torch.equal, tensors, copies)):
        raise ValueError(f"{name} changed the network or the samples, expected both as they were: nothing counts")


def margins(logits: Tensor, labels: Tensor, ties: str = STRICT) -> Tensor:
    """Return logit_y − max over k ≠ y of logit_k, (batch,): at most 0 iff the label is not what is predicted.

    With ties "argmax" a tie that goes to the label, y being the lowest index that attains the maximum, counts as
    the least normal number in place of 0.
    """
    check_rivals(logits.shape[1])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    found = logits.gather(1, labels[:, None]).squeeze(1) - others.amax(1)
    if ties == STRICT:
        return found
    places = torch.arange(logits.shape[1], device=logits.device)
    first = torch.where(logits == logits.amax(1, keepdim=True), places, logits.shape[1]).amin(1)  # as torch.argmax
    kept = (found == 0) & (first == labels)
    return torch.where(kept, torch.finfo(found.dtype).tiny, found)


def fails(logits: Tensor, labels: Tensor, ties: str) -> Tensor:
    """Return whether each sample is misclassified, (batch,) of bool: the one predicate of attacks and verdicts.

    With ties "argmax" iff some k < y has logit_k ≥ logit_y or some k > y has logit_k > logit_y: argmax, which
    takes the lowest index, is not y. With "strict" iff any k ≠ y has logit_k ≥ logit_y. Where the margin is NaN,
    after an overflow, nothing is said: False.
    """
    return margins(logits, labels, ties) <= 0


@torch.no_grad()
def misclassified(network: Runs, inputs: Tensor, labels: Tensor, ties: str) -> Tensor:
    """Return whether each sample is misclassified in a batch, (batch,) of bool."""
    return fails(network(inputs), labels, ties)


@torch.no_grad()
def replays(network: Runs, candidate: Tensor, label: int, ties: str) -> bool:
    """Return whether `candidate` is misclassified, run alone and in a batch of copies.

    A batch may sum in another order than a single sample; what is handed to a user must fail in both.
    """
    for size in (1, TOGETHER):
        labels = torch.full((size,), label, device=candidate.device)
        batch = candidate.repeat(size, *([1] * candidate.dim()))
        if not bool(misclassified(network, batch, labels, ties).all()):
            return False
    return True


@torch.no_grad()
def pull(
    network: Runs,
    counterexamples: Tensor,
    inputs: Tensor,
    labels: Tensor,
    ties: str,
    halvings: int = 12,
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
        failing = misclassified(network, moved, labels, ties)
        pulled = torch.where(failing.view(shape), moved, pulled)
        good, bad = torch.where(failing, good, middle), torch.where(failing, middle, bad)
    alone = [replays(network, *pair, ties) for pair in zip(pulled, labels.tolist(), strict=True)]
    return torch.where(torch.tensor(alone, device=inputs.device).view(shape), pulled, counterexamples)
