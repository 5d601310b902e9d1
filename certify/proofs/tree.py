"""One class's tree of splits as it grows, closed leaf by leaf by the checker's own exact arithmetic."""

from dataclasses import dataclass, field

import numpy as np

from ...checking.bound import Question
from ...checking.constant import Constant
from ...checking.exact import Dyadic
from ...checking.proof import LEAF


@dataclass
class Tree:
    """A tree under construction; node 0 is its root.

    Args:
        question: the checker's.
        label, other: the classes y and k of its margin.
    """

    question: Question
    label: int
    other: int
    allowed: list[np.ndarray] = field(default_factory=list)
    splits: dict[int, tuple[int, float, int, int]] = field(default_factory=dict)
    leaves: dict[int, list[np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.allowed.append(self.question.first.everything)

    @property
    def middles(self) -> np.ndarray:
        """Return about the middle of each of the checker's rows, (R,)."""
        assert isinstance(self.question.first, Constant)
        table = self.question.first.table
        return np.array(
            [float((table.low[row] + table.high[row]).fraction()) / 2 for row in range(len(table.trains))]
        )

    def closes(self, node: int, prices: list[np.ndarray]) -> bool:
        """Make `node` a leaf if its bound at `prices`, first layer first, is above 0; say whether it is."""
        exact = [Dyadic.of(price) for price in prices]
        bound = self.question.margin(self.label, self.other, self.allowed[node], exact)
        if bound is not None and bound.fraction() <= 0:
            return False
        self.leaves[node] = prices
        self.allowed[node] = np.empty(0)  # not needed any more
        return True

    def divide(self, node: int, neuron: int, current: float) -> tuple[int, int]:
        """Split `node` and return its left and its right side."""
        left, right = self.question.first.sides(self.allowed[node], neuron, Dyadic.of(current))
        self.allowed[node] = np.empty(0)
        self.allowed += [left, right]
        self.splits[node] = (neuron, current, len(self.allowed) - 2, len(self.allowed) - 1)
        return self.splits[node][2:]

    def listed(self) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Return neurons and currents of all nodes in pre-order, and the prices of the leaves per layer."""
        neurons, currents, prices, stack = [], [], [], [0]
        while stack:
            node = stack.pop()
            if node in self.leaves:
                neurons.append(LEAF)
                currents.append(0.0)
                prices.append(self.leaves[node])
            else:
                neuron, current, left, right = self.splits[node]
                neurons.append(neuron)
                currents.append(current)
                stack += [right, left]
        layers = [np.stack(layer) for layer in zip(*prices, strict=True)]
        return np.array(neurons, dtype=np.int32), np.array(currents), layers
