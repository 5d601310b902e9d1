"""What a split of the search is to the checker: a current between two rows of the first layer, or a step."""

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...checking.certificates.trials import LeafTrials
from ..bounds.prices.stages import Stage
from ..bounds.trains.base import TrainTable
from .tree import Tree


class CheckerSplits(ABC):
    """The splits of one first layer."""

    @staticmethod
    def of(stage: Stage, trials: LeafTrials) -> "CheckerSplits | None":
        """Return those of a staged network's first layer; None where the checker knows its trains otherwise."""
        rows = stage.trains.rows
        if trials.split_by_rows:
            return None if rows is None else RowSplits(rows.table, trials)
        return StepSplits() if rows is None else None

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
    trials: LeafTrials

    def value(self, place: int) -> float:
        """Return a current between row `place` and the next, as the checker orders them: by their middles there.

        Rows that are reached by rounding alone lie on top of others, and each table makes them as wide as its own
        allowance: between the ends of two of them there may be the middle of a third.
        """
        rows, middles = self._matched
        before, behind = middles[rows <= place], middles[rows > place]
        if len(before) == 0 or len(behind) == 0:  # no neuron's current reaches these rows
            after = min(place + 1, len(self.table.lower) - 1)
            return float(self.table.upper[place] + self.table.lower[after]) / 2
        return float(before.max() + behind.min()) / 2

    @cached_property
    def _matched(self) -> tuple[np.ndarray, np.ndarray]:
        """The search's row for each of the checker's, and their middles: of the same train, where they meet."""
        names: dict[bytes, list[int]] = defaultdict(list)
        for row, train in enumerate(self.table.trains.numpy()):
            names[_name(train)].append(row)
        upper, found = self.table.upper.numpy(), list[tuple[int, float]]()
        for train, middle in zip(self.trials.trains, self.trials.middles.tolist(), strict=True):
            same = names[_name(train)]
            if same:
                meets = int(np.searchsorted(upper[same], middle))
                found.append((same[min(meets, len(same) - 1)], middle))
        rows, middles = np.array(found).reshape(-1, 2).T
        return rows.astype(int), middles

    def anyhow(self, tree: Tree, node: int) -> tuple[int, float, int] | None:
        """Choose the neuron with most of the checker's rows, in their middle."""
        allowed = tree.allowed[node]
        counts = allowed.sum(1)
        neuron = int(counts.argmax())
        if counts[neuron] < 2:
            return None
        kept = self.trials.middles[allowed[neuron]]
        current = float(kept[len(kept) // 2 - 1] + kept[len(kept) // 2]) / 2
        rows, middles = self._matched
        return neuron, current, int(rows[middles <= current].max(initial=0))


class StepSplits(CheckerSplits):
    """Spikes at steps, counted from 0 by both."""

    def value(self, place: int) -> float:
        """Return the step."""
        return float(place)

    def anyhow(self, tree: Tree, node: int) -> tuple[int, float, int] | None:
        """Choose the first step that is open."""
        steps = np.argwhere(tree.allowed[node].all(2))
        return None if len(steps) == 0 else (int(steps[0, 0]), float(steps[0, 1]), int(steps[0, 1]))


def _name(train: np.ndarray) -> bytes:
    return np.asarray(train, dtype=np.int8).tobytes()
