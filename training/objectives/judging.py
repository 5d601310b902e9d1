"""The share of validation samples that are certified: what certified training picks its epoch by."""

import torch

from ...certify import LInf, Perturbation
from ...certify.problem import Problem
from ...certify.ties import settled_ties
from ...certify.verification import CHUNK
from ...certify.verifiers.base import Verifier
from ...models.networks import SpikingNetwork
from ..bounds.interval_bounds import worst_logits
from ..data import Split
from ..evaluation import on_network
from ..perturbations import evaluation_mode

JUDGED = 1000
"""The most validation samples that are certified after an epoch."""


def certified_share(
    network: SpikingNetwork, split: Split, threat: Perturbation, verifier: Verifier, seed: int
) -> float:
    """Return the share of the first `JUDGED` samples of `split` that `verifier` certifies, in evaluation mode."""
    inputs, labels = on_network(network, split.take(torch.arange(min(JUDGED, len(split)))))
    verdicts, ties = [], settled_ties(network, None)
    with evaluation_mode(network):
        for part in zip(inputs.split(CHUNK), labels.split(CHUNK), strict=True):
            verdicts += verifier.decide(Problem(network, *part, threat, seed, ties=ties))
    return sum(verdict.status == "verified" for verdict in verdicts) / len(verdicts)


@torch.no_grad()
def bounded_share(network: SpikingNetwork, split: Split, threat: LInf, bounds: str) -> float:
    """Return the share of the first `JUDGED` samples of `split` whose worst logits are below 0."""
    inputs, labels = on_network(network, split.take(torch.arange(min(JUDGED, len(split)))))
    certified = 0
    with evaluation_mode(network):
        for x, y in zip(inputs.split(CHUNK), labels.split(CHUNK), strict=True):
            low, high = (x - threat.epsilon).clamp_min(threat.lower), (x + threat.epsilon).clamp_max(threat.upper)
            worst = worst_logits(network, low, high, y, bounds).scatter(1, y[:, None], -torch.inf)
            certified += int((worst < 0.0).all(1).sum())
    return certified / len(labels)
