"""One clause's tree of splits as it grows, closed leaf by leaf where the kernel will close it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ...checking.certificates.elaborating import ShortLeaf
from ...checking.certificates.trials import LeafTrials
from ...checking.short import LEAF


@dataclass
class Tree:
    """A tree under construction; node 0 is its root.

    Args:
        trials: of its question.
        other: the clause: of a class, the other one of its margin.
    """

    trials: LeafTrials
    other: int
    allowed: list[np.ndarray] = field(default_factory=list)
    splits: dict[int, tuple[int, float, int, int]] = field(default_factory=dict)
    leaves: dict[int, ShortLeaf] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.allowed.append(self.trials.everything)

    def closes(self, node: int, leaf: ShortLeaf) -> bool:
        """Make `node` a leaf if it closes; say whether it does."""
        if not self._proven(self.allowed[node], leaf):
            return False
        self.leaves[node] = leaf
        self.allowed[node] = np.empty(0)  # not needed any more
        return True

    def trim(self, node: int, neuron: int, current: float, left: bool, leaf: ShortLeaf) -> int | None:
        """Split `node` if one side closes, the left or the right one; return the other one, or None."""
        sides = self.trials.sides(self.allowed[node], neuron, current)
        dropped = sides[0] if left else sides[1]
        if not dropped.any(-1).all() or not self._proven(dropped, leaf):
            return None
        one, two = self.divide(node, neuron, current)
        closed, rest = (one, two) if left else (two, one)
        self.leaves[closed], self.allowed[closed] = leaf, np.empty(0)
        return rest

    def _proven(self, allowed: np.ndarray, leaf: ShortLeaf) -> bool:
        return self.trials.closes(self.other, allowed, leaf)

    def divide(self, node: int, neuron: int, current: float) -> tuple[int, int]:
        """Split `node` and return its left and its right side."""
        left, right = self.trials.sides(self.allowed[node], neuron, current)
        self.allowed[node] = np.empty(0)
        self.allowed += [left, right]
        self.splits[node] = (neuron, current, len(self.allowed) - 2, len(self.allowed) - 1)
        return self.splits[node][2:]

    @property
    def rows(self) -> range:
        """Return the rows of its clause, by their numbers."""
        return range(len(self.trials.goal.rows(self.other)))

    def closes_freely(self, node: int = 0, rows: Iterable[int] | None = None) -> bool:
        """Return whether a node closes without prices, by any of these rows, or of all; it is a leaf then."""
        chosen = self.rows if rows is None else rows
        return any(self.closes(node, self.trials.free._replace(row=row)) for row in chosen)

    def listed(self) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[ShortLeaf]]:
        """Return neurons and currents of all nodes in pre-order, the prices of each layer, and all leaves."""
        neurons, currents, leaves, stack = [], [], [], [0]
        while stack:
            node = stack.pop()
            if node in self.leaves:
                neurons.append(LEAF)
                currents.append(0.0)
                leaves.append(self.leaves[node])
            else:
                neuron, current, left, right = self.splits[node]
                neurons.append(neuron)
                currents.append(current)
                stack += [right, left]
        layers = [np.stack(layer) for layer in zip(*(leaf.prices for leaf in leaves), strict=True)]
        return np.array(neurons, dtype=np.int32), np.array(currents), layers, leaves
