"""What is certified of validation samples: what certified training picks its epoch by."""

import math

import torch
from torch import Tensor

from ...certify import LInf, Perturbation
from ...certify.answering import CHUNK
from ...certify.problem import Problem
from ...certify.questions import moves_at_most
from ...certify.questions.classes import property_goal
from ...certify.ties import settled_ties
from ...certify.verifiers import TRAINS
from ...certify.verifiers.base import Verifier
from ...models.circuit import circuit
from ...models.networks import SpikingNetwork
from ..bounds.interval_bounds import worst_logits
from ..data import Split
from ..evaluation import CertifiedErrors, on_network
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


@torch.no_grad()
def certified_errors(network: SpikingNetwork, split: Split, threat: LInf, delta: float) -> CertifiedErrors | None:
    """Return what is proven of the first `JUDGED` samples of `split`, in evaluation mode.

    A row of "moves at most δ" is δ − (y − y⁰) or δ − (y⁰ − y); a bound v of it from below says y ≤ y⁰ + δ − v, or
    y ≥ y⁰ − δ + v. None where the run may overflow.
    """
    inputs, targets = on_network(network, split.take(torch.arange(min(JUDGED, len(split)))))
    made = circuit(network)
    stage, errors, held = TRAINS.stages_for(made)[-1], list[Tensor](), 0
    with evaluation_mode(network):
        for x, wanted in zip(inputs.split(CHUNK), targets.split(CHUNK), strict=True):
            goal, places = property_goal(network, x, moves_at_most(delta)), torch.arange(len(x), device=x.device)
            try:
                lower = goal.bounds(made, threat.enclosure(x), places, stage)
            except OverflowError:
                return None
            held += int(goal.holds(goal.proven(lower, places)).sum())
            up, down = lower.unflatten(1, (-1, 2)).unbind(2)
            off = network(x).double() - wanted.double()
            errors.append((off + delta - up).abs().maximum((off - delta + down).abs()).square())
    mean = float(torch.cat(errors).mean())
    return CertifiedErrors(math.sqrt(mean), held / len(inputs)) if math.isfinite(mean) else None
