"""What every attack shares: it proposes, and the base class projects, re-evaluates and keeps the worst."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..perturbations import Perturbation
from ..replay import evaluating, margins
from .result import AttackResult


@dataclass(frozen=True)
class Target:
    """What is attacked: the network in evaluation mode, the samples, the set around each."""

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation


class Attack(ABC):
    """Searches for misclassified inputs. A concrete attack writes only `propose`, and need not be careful:
    what it yields is projected into the set and run through the real network before it counts."""

    name: str

    @abstractmethod
    def propose(self, target: Target, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield candidates, one per sample each, with the shape of target.inputs."""

    def __call__(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        generator: torch.Generator,
    ) -> AttackResult:
        """Return the candidate of least margin for each sample; stops once every sample has fallen."""
        with evaluating(network):
            target = Target(network, inputs, labels, perturbation)
            worst = _Worst.start(target)
            for candidates in self.propose(target, generator):
                worst.consider(target, candidates)
                if worst.complete():
                    break
        return AttackResult(worst.inputs, worst.margins <= 0, worst.logits, self.name)


@dataclass
class _Worst:
    """The worst allowed input found so far."""

    inputs: Tensor
    logits: Tensor
    margins: Tensor

    @staticmethod
    @torch.no_grad()
    def start(target: Target) -> "_Worst":
        logits = target.network(target.inputs)
        return _Worst(target.inputs.clone(), logits, margins(logits, target.labels))

    @torch.no_grad()
    def consider(self, target: Target, candidates: Tensor) -> None:
        allowed = target.perturbation.project(candidates.detach(), target.inputs)
        logits = target.network(allowed)
        found = margins(logits, target.labels)
        better = found < self.margins
        self.inputs[better], self.logits[better] = allowed[better], logits[better]
        self.margins = found.minimum(self.margins)

    def complete(self) -> bool:
        return bool((self.margins <= 0).all())
