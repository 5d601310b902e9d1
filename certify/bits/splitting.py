"""Verify rate codes by splitting their open bits window by window: see search.py."""

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...kernels.bits import bits_kernel
from ...models.circuit import Circuit
from ...models.networks import SpikingNetwork
from ..bounds.prices.stages import staged
from ..bounds.propagation import LogitBounds
from ..bounds.signals.box import Box
from ..perturbations import Perturbation
from ..problem import Problem
from ..verdicts import Verdict
from ..verifiers.base import ClassMarginVerifier, Phase, falsified
from ..verifiers.trains import TRAINS
from .known import KnownNetwork
from .search import BitSearch


@dataclass(frozen=True)
class BitSplitting(ClassMarginVerifier):
    """Splits what "trains" leaves open of a rate code with given draws; other networks keep its bound.

    It takes a sequence of dense layers and convolutions on the CPU.

    Args:
        search: how to split.
    """

    asks_rows: ClassVar[bool] = True
    search: BitSearch = field(default_factory=BitSearch)
    name: str = "bits"
    noted: list[Tensor] = field(default_factory=list[Tensor], init=False, repr=False, compare=False)

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return what bounds decide, and what fails of the inputs that splits could not refute."""
        own, started = replace(self), time.perf_counter()
        return [
            verdict if verdict.status != "unknown" else own._failing(problem, index, verdict, started)
            for index, verdict in enumerate(super(BitSplitting, own).decide(problem))
        ]

    def _failing(self, problem: Problem, index: int, verdict: Verdict, started: float) -> Verdict:
        """Return the verdict of an input that was noted and fails; where there is none, the one that is known."""
        for candidate in self.noted:
            found = falsified(problem, index, candidate, self.name, started, "splits end at an input that fails")
            if found.status == "falsified":
                return found
        return verdict

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
        for index in asked.any(1).nonzero().flatten().tolist():
            columns = asked[index].nonzero().flatten()
            columns = columns[known[index, columns].argsort()]
            samples = torch.full_like(columns, index)
            specifications = goal.specifications(problem.labels, samples, columns, floor)
            box = problem.perturbation.enclosure(problem.inputs[index : index + 1])
            network, made = staged(problem.circuit, box), _Rates.of(problem, index, box)
            rows = specifications.about(samples * 0, torch.arange(len(columns)))
            found = None if network is None else KnownNetwork.of(network, rows)
            if found is None:
                continue

            def note(fixed: Tensor, ones: Tensor, made: _Rates = made) -> None:
                self.noted.append(made.near(fixed, ones))

            for row, column in enumerate(columns.tolist()):
                if problem.expired():
                    return bound
                bound[index, column] = (
                    self.search.run(found, row, kernel, problem.expired, note) + floor[index, column]
                )
                if not bool(goal.proven(goal.tightened(bound), problem.labels)[index, column]):
                    break
        return bound


@dataclass(frozen=True)
class _Rates:
    """A sample's rates, (features,), their box, and the draws, (T, features); float64.

    Attributes:
        sample: the input itself, whose shape and type are taken.
    """

    sample: Tensor
    lower: Tensor
    upper: Tensor
    draws: Tensor

    @staticmethod
    def of(problem: Problem, index: int, box: Box) -> "_Rates":
        """Return those of one sample."""
        sample, kept = problem.inputs[index], problem.circuit.source.draws
        assert kept is not None
        draws = kept.thresholds(problem.circuit.num_steps, tuple(sample.shape)).flatten(1)
        return _Rates(sample, box.lower.flatten().double(), box.upper.flatten().double(), draws)

    def near(self, fixed: Tensor, ones: Tensor) -> Tensor:
        """Return an input of the set with the bits that are fixed, and elsewhere the sample's where it can."""
        bits = torch.where(fixed, ones, self.draws < self.sample.flatten())
        above = torch.where(bits, self.draws, -torch.inf).amax(0).maximum(self.lower)
        below = torch.where(bits, torch.inf, self.draws).amin(0).minimum(self.upper)
        return ((above + below) / 2).view_as(self.sample).to(self.sample)


def splits_bits(made: Circuit) -> bool:
    """Return whether a network's input is a rate code of given draws."""
    return made.source.draws is not None
