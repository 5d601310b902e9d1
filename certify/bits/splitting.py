"""Verify rate codes by splitting their open bits window by window: see search.py."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ...kernels.bits import CompiledBits
from ...models.circuit import Circuit
from ...models.networks import SpikingNetwork
from ..bounds.prices.stages import staged
from ..bounds.propagation import LogitBounds
from ..perturbations import Perturbation
from ..problem import Problem
from ..verifiers.base import ClassMarginVerifier, Phase
from ..verifiers.trains import TRAINS
from .compiled_bits import bits_kernel
from .known import KnownNetwork
from .search import BitSearch


@dataclass(frozen=True)
class BitSplitting(ClassMarginVerifier):
    """Splits what "trains" leaves open of a rate code with given draws; other networks keep its bound.

    It takes a C compiler, and a sequence of dense layers and convolutions on the CPU.

    Args:
        search: how to split.
    """

    asks_rows: ClassVar[bool] = True
    search: BitSearch = field(default_factory=BitSearch)
    name: str = "bits"

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return the bounds of "trains", and those by splits."""
        return (*TRAINS.phases(made), self._split) if splits_bits(made) else TRAINS.phases(made)

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return those of "trains"."""
        return TRAINS.logits(network, inputs, perturbation)

    def _split(self, problem: Problem, known: Tensor) -> Tensor:
        """Return better bounds of margins, −inf elsewhere, (batch, columns), of each sample the worst one first.

        A sample is left where one margin is not proven: the others would not decide it.
        """
        goal, kernel = problem.goal, bits_kernel()
        floor = goal.floor(problem.labels, known.shape[1])
        asked = goal.left(goal.proven(known, problem.labels))
        bound = torch.full_like(known, -torch.inf)
        assert isinstance(kernel, CompiledBits)
        for index in asked.any(1).nonzero().flatten().tolist():
            columns = asked[index].nonzero().flatten()
            columns = columns[known[index, columns].argsort()]
            samples = torch.full_like(columns, index)
            specifications = goal.specifications(problem.labels, samples, columns, floor)
            box = problem.perturbation.enclosure(problem.inputs[index : index + 1])
            network = staged(problem.circuit, box)
            rows = specifications.about(samples * 0, torch.arange(len(columns)))
            found = None if network is None else KnownNetwork.of(network, rows)
            if found is None:
                continue
            for row, column in enumerate(columns.tolist()):
                if problem.expired():
                    return bound
                bound[index, column] = self.search.run(found, row, kernel, problem.expired) + floor[index, column]
                if not bool(goal.proven(goal.tightened(bound), problem.labels)[index, column]):
                    break
        return bound


def splits_bits(made: Circuit) -> bool:
    """Return whether a network's input is a rate code of given draws, and there is a kernel that splits it."""
    return made.source.draws is not None and isinstance(bits_kernel(), CompiledBits)
