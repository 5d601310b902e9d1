"""Verify rate codes by splitting their open bits, window by window of the steps.

The least margin of a rate-coded network, window by window of its steps.

Let a row's margin be c + Σ_t A[t]·s[t] for the last layer's spikes s. For any cut of the steps into windows,

    min over the set of c + Σ_t A[t]·s[t]  ≥  c + Σ_windows min over the set of Σ_{t in window} A[t]·s[t],

and a window's minimum is at least that over the bits of its own steps, each open one 0 or 1 by itself, from
potentials anywhere in the boxes that all runs keep before it (known.py). A node fixes some of these bits. The
interval recursion from the boxes through the window holds every run that has them, layer by layer and step by
step: an open bit moves a current by half its column around the middle, an open spike the next layer's by half of
its. Each open spike of the last layer costs A where that is below 0. Both children of a node have all its runs
between them, so the least bound of the nodes that are open or closed bounds the window, whichever are split; a
child's is at least its parent's.

Where no layer forgets (λ = 1) and all subtract d, what came in is known better than what is left of it. With L[t]
the sum of a neuron's currents up to step t and S[t] its count, v[t] = L[t] − d·S[t−1], and

    S[t] = S[t−1] + (1 if L[t] − d·S[t−1] ≥ θ, else 0)  does not fall with L[t], nor with S[t−1]:

from S[t−1] + 1 or more it ends at S[t−1] + 1 at least. So by induction the runs of both ends of L have the fewest
and the most spikes up to each step, a spike at the lower end being one above `surely`, at the upper end one from
`perhaps` on. The next layer's L is Σ W·S[t] + b·t of these counts, and costs that are the same at all steps are
about S[T]. Windows there are all steps at once.

A window of few steps has few bits, and is searched to its end in milliseconds; a longer one knows of more
potentials where they come from. So windows grow, until the row is proven or the time is up. Whatever is known of
windows of all lengths, the best cut is one path from step to step, found by dynamic programming (partition.py).
Rounding: known.py; a sum of t widened currents is t widenings off.
"""

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...kernels.bits import CompiledBits, bits_kernel
from ...models.circuit import Circuit
from ...models.constants import at_least, settle, wholes
from ...models.networks import SpikingNetwork
from ..bounds.prices.stages import staged
from ..bounds.propagation import LogitBounds
from ..bounds.signals.windows import Box
from ..perturbations import Perturbation
from ..problem import Problem
from ..search import Limits
from ..verdicts import Verdict
from ..verifiers.base import ClassMarginVerifier, Phase, falsified
from ..verifiers.trains import TRAINS
from .known import KnownNetwork
from .partition import AT_ONCE, Partition, counted, window
from .patterns import Asked, Patterns


@dataclass(frozen=True)
class BitSearch:
    """How to search.

    Args:
        most: splits of a row, over all windows of one length.
        capacity: nodes that may be open in a window.
        lengths: of windows, in turn; those before stay.
    """

    most: int = 2**18
    capacity: int = 2**20
    lengths: tuple[int, ...] = (1, 2, 3, 5)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "most", "capacity")
        settle(self, _lengths, "lengths")

    def run(
        self,
        network: KnownNetwork,
        row: int,
        kernel: CompiledBits,
        limits: Limits,
        asked: Asked = lambda fixed, ones: None,
    ) -> float:
        """Return a lower bound of a row's margin, above its floor; one above 0 is not improved.

        What `asked` takes is an input that may fail.
        """
        steps, whole = len(network.certain), counted(network, row)
        known = Partition(steps, float(network.constant[row]), self.capacity, kernel)
        best = -float("inf")
        if whole is not None and not limits.expired():
            known.add(slice(0, steps), whole)
            best = known.searched(self.most // AT_ONCE, limits)
        patterns = None if network.counts else Patterns.of(network, row, kernel)
        if patterns is not None:
            return max(best, patterns.run(self.most, limits, asked))
        for length in dict.fromkeys(min(length, steps) for length in self.lengths):
            if best > 0.0 or limits.expired():
                break
            for start in range(steps):
                part = slice(start, min(start + length, steps))
                made = None if part in known else window(network, row, part)
                if made is not None:
                    known.add(part, made)
            best = known.searched(self.most // AT_ONCE, limits)
        return best


def _lengths(name: str, values: object) -> tuple[int, ...]:
    """Return lengths of windows: of less than one step none would be made, and nothing would cost anything."""
    return tuple(at_least(1)(f"{name}[{index}]", value) for index, value in enumerate(wholes(name, values)))


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
                    self.search.run(found, row, kernel, problem.limits, note) + floor[index, column]
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
