"""What a split of the search is to the checker: a current between two rows of the first layer, or a step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from ..bounds.stages import Stage
from ..bounds.train_table import TableTrains, TrainTable
from .tree import Tree


class CheckerSplits(ABC):
    """The splits of one first layer."""

    @staticmethod
    def of(stage: Stage) -> "CheckerSplits":
        """Return those of a staged network's first layer."""
        return RowSplits(stage.found.table) if isinstance(stage.found, TableTrains) else StepSplits()

    @abstractmethod
    def value(self, place: int) -> float:
        """Return what the checker splits at for the search's `place`."""

    @abstractmethod
    def anyhow(self, tree: Tree, node: int) -> tuple[int, float, int] | None:
        """Return a neuron, the checker's value and the search's place for a node that the search would not split.

        None where the checker, too, has nothing left to split.
        """


@dataclass(frozen=True)
class RowSplits(CheckerSplits):
    """A table's rows: the search splits behind a row, the checker at a current between it and the next."""

    table: TrainTable

    def value(self, place: int) -> float:
        """Return a current between row `place` and the next."""
        after = min(place + 1, len(self.table.lower) - 1)
        return float(self.table.upper[place] + self.table.lower[after]) / 2

    def anyhow(self, tree: Tree, node: int) -> tuple[int, float, int] | None:
        """Choose the neuron with most of the checker's rows, in their middle."""
        allowed = tree.allowed[node]
        counts = allowed.sum(1)
        neuron = int(counts.argmax())
        if counts[neuron] < 2:
            return None
        kept = tree.middles[allowed[neuron]]
        current = float(kept[len(kept) // 2 - 1] + kept[len(kept) // 2]) / 2
        ends = torch.stack([self.table.lower, self.table.upper]).clamp(-1e30, 1e30)
        return neuron, current, int((ends.mean(0) <= current).sum().clamp_min(1)) - 1


class StepSplits(CheckerSplits):
    """Spikes at steps, counted from 0 by both."""

    def value(self, place: int) -> float:
        """Return the step."""
        return float(place)

    def anyhow(self, tree: Tree, node: int) -> tuple[int, float, int] | None:
        """Choose the first step that is open."""
        steps = np.argwhere(tree.allowed[node].all(2))
        return None if len(steps) == 0 else (int(steps[0, 0]), float(steps[0, 1]), int(steps[0, 1]))
