"""Verify by propagating what is known of the spikes, layer by layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit, circuit
from ...models.networks import SpikingNetwork
from ..bounds.propagation import LogitBounds, logit_bounds, margin_bounds
from ..bounds.signals import SpikeBound
from ..perturbations import Perturbation
from ..problem import Problem
from .base import ClassMarginVerifier


@dataclass(frozen=True)
class BoundVerifier(ClassMarginVerifier):
    """Propagates one or more kinds of knowledge of the spikes.

    Args:
        name: how verdicts name it.
        stages: what it knows of a spiking layer's output, cheapest first; a later stage sees only the samples
            that the ones before left open, and must never be looser. The first runs in float32 where it may
            (see `margin_bounds`): what that leaves open, a later stage decides in float64.
    """

    name: str
    stages: tuple[SpikeBound, ...]

    def stages_for(self, made: Circuit) -> tuple[SpikeBound, ...]:
        """Return the stages that pay for a network."""
        return self.stages

    @torch.no_grad()
    def lower(self, problem: Problem) -> Tensor:
        """Return a lower bound of logit_y − logit_k for each class k, (batch, classes); +inf at k = y."""
        made, goal, labels = problem.circuit, problem.goal, problem.labels
        enclosure = problem.perturbation.enclosure
        first, *others = self.stages_for(made)
        lower = goal.tightened(margin_bounds(made, enclosure(problem.inputs), labels, first, quick=True))
        for stage in others:
            left = (~goal.proven(lower, labels)).any(1).nonzero().flatten()
            if len(left) == 0 or problem.expired():
                break
            found = margin_bounds(made, enclosure(problem.inputs[left]), labels[left], stage)
            lower[left] = lower[left].maximum(goal.tightened(found))
        return lower

    @torch.no_grad()
    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set, by the tightest stage."""
        return logit_bounds(circuit(network), perturbation.enclosure(inputs), self.stages[-1])
