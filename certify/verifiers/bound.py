"""Verify by propagating what is known of the spikes, layer by layer."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, circuit
from ...models.networks import SpikingNetwork
from ..bounds.propagation import LogitBounds, logit_bounds
from ..bounds.room import at_once
from ..bounds.signals.signals import SpikeBound
from ..perturbations import Perturbation
from ..problem import Problem
from .base import ClassMarginVerifier, Phase


@dataclass(frozen=True)
class BoundVerifier(ClassMarginVerifier):
    """Propagates one or more kinds of knowledge of the spikes.

    Args:
        name: how verdicts name it.
        stages: what it knows of a spiking layer's output, cheapest first; a later stage sees only the samples
            that the ones before left open, and must never be looser. The first runs in float32 where it may
            (see `margin_bounds`): what that leaves open, a later stage decides in float64.
    """

    asks_rows: ClassVar[bool] = True
    name: str
    stages: tuple[SpikeBound, ...]

    def stages_for(self, made: Circuit) -> tuple[SpikeBound, ...]:
        """Return the stages that pay for a network."""
        return self.stages

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return the stages."""
        return tuple(partial(bounded, stage, index == 0) for index, stage in enumerate(self.stages_for(made)))

    @torch.no_grad()
    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set, by the tightest stage."""
        return logit_bounds(circuit(network), perturbation.enclosure(inputs), self.stages[-1])


def bounded(stage: SpikeBound, quick: bool, problem: Problem, known: Tensor) -> Tensor:
    """Return the bounds of one stage, some samples after others where they would take much memory."""
    made, inputs, found = problem.circuit, problem.inputs, []
    for some, labels in zip(
        *(each.split(at_once(made, inputs)) for each in (inputs, problem.labels)), strict=True
    ):
        found.append(problem.goal.bounds(made, problem.perturbation.enclosure(some), labels, stage, quick))
    return torch.cat(found)
