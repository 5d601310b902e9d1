"""The trains of a layer as the paths of a layered automaton: every question about them is a shortest path."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.deadline import check_time
from ...rounding import StateSlack
from ..signals.box import Box
from ..signals.signals import equal_weights
from ..trains.base import Trains

TOGETHER = 2**22
"""How many lengths of paths are held at once."""


@dataclass(frozen=True)
class Edges:
    """The edges of one step, E of them, alike for all neurons; which a neuron has is told by `exists`.

    Attributes:
        sources, targets: of each edge, the states before and behind it, (E,).
        spikes: how many spikes it has, (E,).
        exists: (E, batch, ...) of bool.
        count: how many states there are behind it.
    """

    sources: Tensor
    targets: Tensor
    spikes: Tensor
    exists: Tensor
    count: int

    def least(self, length: Tensor, weights: Tensor) -> Tensor:
        """Return the least lengths of paths to each state behind this step, (rows, count, batch, ...).

        Args:
            length: those before it, (rows, states, batch, ...).
            weights: of a spike, (rows,).
        """
        costs = weights.reshape(-1, *([1] * (length.dim() - 1))) * self.spikes.to(length).reshape(
            -1, *([1] * (length.dim() - 2))
        )
        found = (length[:, self.sources] + costs).masked_fill_(~self.exists, torch.inf)
        return self.gathered(found, 1, "amin")

    def gathered(self, values: Tensor, dim: int, how: str) -> Tensor:
        """Return the least ("amin") or greatest ("amax") value of the edges into each state; `dim` is theirs."""
        shape = (*values.shape[:dim], self.count, *values.shape[dim + 1 :])
        index = self.targets.reshape(-1, *([1] * (values.dim() - dim - 1))).expand_as(values)
        return values.new_zeros(shape).scatter_reduce_(dim, index, values, how, include_self=False)


@dataclass(frozen=True)
class PathTrains(Trains):
    """The spikes of a layer.

    Attributes:
        moves: the edges of each step.
        box: how many spikes each step has at least and at most, (T, batch, ...).
        known: where the numbers of the state lie before each step, whatever the label, (T, numbers, batch, ...).
        allowance: what was paid for the run's rounding.
    """

    moves: tuple[Edges, ...]
    box: Box
    known: Box
    allowance: StateSlack

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.moves)

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether there is at most one spike a step."""
        return all(int(step.spikes.max()) <= 1 for step in self.moves)

    def steps(self) -> Box:
        """Return the spikes step by step."""
        return self.box

    def magnitude(self) -> Tensor:
        """Return the most spikes that a neuron has at a step."""
        return self.box.upper.amax(0)

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over all paths: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None:
            return self._ends(torch.ones_like(rows[:1]))[0].scaled(weights)
        return self._ends(rows)

    def _ends(self, rows: Tensor) -> Box:
        most = max(step.exists.numel() for step in self.moves)
        parts = torch.cat((rows, -rows)).split(max(1, TOGETHER // max(1, most)))
        lower, upper = torch.cat([self._least(part) for part in parts]).chunk(2)
        return Box(lower, -upper)

    def _least(self, rows: Tensor) -> Tensor:
        """Return min over paths of Σ_t rows[r, t]·s[t], (rows, batch, ...)."""
        length = rows.new_zeros(len(rows), 1, *self.box.lower.shape[1:])
        for t, step in enumerate(self.moves):
            check_time()
            length = step.least(length, rows[:, t])
        return length.amin(1)
