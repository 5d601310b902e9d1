"""The question about the class, as verifiers ask it: a margin logit_y − logit_k for each class k."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.networks import SpikingNetwork
from ...models.validation import check_rivals
from ..bounds.prices.prices import Specifications
from ..bounds.propagation import known_margins, margin_bounds
from ..bounds.signals.signals import Signal, SpikeBound
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..replay import Runs, margins, replays
from ..ties import STRICT, Goal


@dataclass(frozen=True)
class ClassGoal(Goal):
    """All margins of a sample's label, one a column; what a verifier needs to know of them."""

    def columns(self, lower: Tensor, labels: Tensor, width: int) -> Tensor:
        """Return what is known before any bound, (batch, classes), from the least of each sample, (batch, 1)."""
        check_rivals(width)
        return lower.expand(-1, width).scatter(1, labels[:, None], torch.inf)

    def holds(self, proven: Tensor) -> Tensor:
        """Return whether samples are verified whose columns are `proven`, (batch, classes) of bool."""
        return proven.all(1)

    def left(self, proven: Tensor) -> Tensor:
        """Return which columns are still to be proven."""
        return ~proven

    def together(self, column: int) -> list[int]:
        """Return the columns of which one is enough: itself alone."""
        return [column]

    def posed(self, network: SpikingNetwork, labels: Tensor) -> tuple[SpikingNetwork, Tensor, str]:
        """Return what attacks see: a network, its labels and what a tie is."""
        return network, labels, self.ties

    def least(self, lower: Tensor) -> Tensor:
        """Return each sample's margin from those of its columns, (batch,)."""
        return lower.amin(1)

    def bounds(
        self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound, quick: bool = False
    ) -> Tensor:
        """Return lower bounds of the columns over a set, (batch, classes)."""
        return margin_bounds(circuit, box, labels, spikes, quick)

    def read(self, circuit: Circuit, known: list[Signal], labels: Tensor, box: Box) -> Tensor:
        """Return the same from what is known of each node; rows are made in the dtype of `box`."""
        return known_margins(circuit, known, labels, box.lower)

    def values(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """Return what a run has, (batch,): at most 0 iff it fails, NaN where nothing can be said."""
        return margins(logits, labels, self.ties)

    def gaps(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """Return each column of runs, (batch, classes), float64, without what ties mean."""
        exact = logits.double()
        return exact.gather(1, labels[:, None]) - exact

    def replays(self, network: Runs, candidate: Tensor, label: int) -> bool:
        """Return whether an input fails, run alone and in a batch of copies."""
        return replays(network, candidate, label, self.ties)

    def stands(self, circuit: Circuit, point: Box, label: int) -> bool:
        """Return whether another class wins at a point for certain, in the run of a network's source as well."""
        label_here = torch.tensor([label], device=point.lower.device)
        ends = self.bounds(circuit, point, label_here, step_spikes)[0]
        other = int(ends.argmin())
        lower = self.tightened(self.bounds(circuit, point, torch.full_like(label_here, other), step_spikes))[
            0, label
        ]
        least = circuit.allowance.least
        tie = least == 0.0 and (self.ties == STRICT or other < label)
        return bool((lower > least) | ((lower >= 0.0) & tie))

    def specifications(self, labels: Tensor, samples: Tensor, columns: Tensor, floor: Tensor) -> Specifications:
        """Return some columns of some samples as specifications, above `floor`, (batch, classes)."""
        return Specifications.of_margins(labels, samples, columns, floor)
