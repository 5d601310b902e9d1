"""Verify by propagating what is known of the spikes, layer by layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit, circuit
from ...models.networks import SpikingNetwork
from ..bounds.propagation import LogitBounds, SpikeBound, logit_bounds, margin_bounds
from ..deadline import Expired, never
from ..perturbations import Perturbation
from ..problem import Problem
from .base import MarginVerifier


@dataclass(frozen=True)
class BoundVerifier(MarginVerifier):
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
    def margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        """Return a lower bound of each sample's margin over the set, (batch,), float64."""
        return self.class_margins(network, inputs, labels, perturbation, expired).amin(1)

    @torch.no_grad()
    def class_margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        """Return a lower bound of logit_y − logit_k for each class k, (batch, classes); +inf at k = y."""
        return self._of(circuit(network), inputs, labels, perturbation, expired)

    @torch.no_grad()
    def lower(self, problem: Problem) -> Tensor:
        """Return a lower bound of each sample's margin, (batch,)."""
        of = problem.inputs, problem.labels, problem.perturbation, problem.expired
        return self._of(problem.circuit, *of).amin(1)

    def _of(
        self, made: Circuit, inputs: Tensor, labels: Tensor, perturbation: Perturbation, expired: Expired
    ) -> Tensor:
        first, *others = self.stages_for(made)
        lower = margin_bounds(made, perturbation.enclosure(inputs), labels, first, quick=True)
        for stage in others:
            left = (lower.amin(1) <= 0).nonzero().flatten()
            if len(left) == 0 or expired():
                break
            found = margin_bounds(made, perturbation.enclosure(inputs[left]), labels[left], stage)
            lower[left] = lower[left].maximum(found)
        return lower

    @torch.no_grad()
    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set, by the tightest stage."""
        return logit_bounds(circuit(network), perturbation.enclosure(inputs), self.stages[-1])
