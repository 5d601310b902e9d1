"""One class's tree of splits as it grows, closed leaf by leaf by the checker's own exact arithmetic."""

from dataclasses import dataclass, field

import numpy as np

from ...checking.bound import Question
from ...checking.narrowing import Narrowing
from ...checking.numbers.exact import Dyadic
from ...checking.proof import LEAF
from ...checking.ties import suffices


@dataclass
class Tree:
    """A tree under construction; node 0 is its root.

    Args:
        question: the checker's.
        label, other: the classes y and k of its margin.
        ties: what a tie between logits is, "argmax" or "strict".
    """

    question: Question
    label: int
    other: int
    ties: str
    allowed: list[np.ndarray] = field(default_factory=list)
    splits: dict[int, tuple[int, float, int, int]] = field(default_factory=dict)
    leaves: dict[int, list[np.ndarray]] = field(default_factory=dict)
    narrowings: dict[int, Narrowing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.allowed.append(self.question.first.everything)

    def closes(self, node: int, prices: list[np.ndarray], narrowing: Narrowing | None = None) -> bool:
        """Make `node` a leaf if its bound at `prices`, first layer first, suffices; say whether it does."""
        if not self._proven(self.allowed[node], prices, narrowing):
            return False
        self.leaves[node] = prices
        if narrowing is not None:
            self.narrowings[node] = narrowing
        self.allowed[node] = np.empty(0)  # not needed any more
        return True

    def trim(
        self,
        node: int,
        neuron: int,
        current: float,
        left: bool,
        prices: list[np.ndarray],
        narrowing: Narrowing | None,
    ) -> int | None:
        """Split `node` if `prices` close one side, the left or the right one; return the other one, or None."""
        sides = self.question.first.sides(self.allowed[node], neuron, Dyadic.of(current))
        dropped = sides[0] if left else sides[1]
        if not dropped.any(-1).all() or not self._proven(dropped, prices, narrowing):
            return None
        one, two = self.divide(node, neuron, current)
        leaf, rest = (one, two) if left else (two, one)
        self.leaves[leaf], self.allowed[leaf] = prices, np.empty(0)
        if narrowing is not None:
            self.narrowings[leaf] = narrowing
        return rest

    def _proven(self, allowed: np.ndarray, prices: list[np.ndarray], narrowing: Narrowing | None) -> bool:
        exact = [Dyadic.of(price) for price in prices]
        bound = self.question.margin(self.label, self.other, allowed, exact, narrowing)
        return bound is None or suffices(self.question.graph, self.label, self.other, bound.fraction(), self.ties)

    def divide(self, node: int, neuron: int, current: float) -> tuple[int, int]:
        """Split `node` and return its left and its right side."""
        left, right = self.question.first.sides(self.allowed[node], neuron, Dyadic.of(current))
        self.allowed[node] = np.empty(0)
        self.allowed += [left, right]
        self.splits[node] = (neuron, current, len(self.allowed) - 2, len(self.allowed) - 1)
        return self.splits[node][2:]

    def listed(self) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[Narrowing | None]]:
        """Return neurons and currents of all nodes in pre-order; of each leaf its prices and what narrows it."""
        neurons, currents, prices, narrowings, stack = [], [], [], [], [0]
        while stack:
            node = stack.pop()
            if node in self.leaves:
                neurons.append(LEAF)
                currents.append(0.0)
                prices.append(self.leaves[node])
                narrowings.append(self.narrowings.get(node))
            else:
                neuron, current, left, right = self.splits[node]
                neurons.append(neuron)
                currents.append(current)
                stack += [right, left]
        layers = [np.stack(layer) for layer in zip(*prices, strict=True)]
        return np.array(neurons, dtype=np.int32), np.array(currents), layers, narrowings
