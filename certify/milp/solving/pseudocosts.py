"""Which integer to split: pseudo-costs, learned from the splits that were tried.

A split at value v of variable j moves it down by v − ⌊v⌋ in one half and up by ⌈v⌉ − v in the other. What each
half's bound rose by, a unit moved, is its pseudo-cost; a variable's promise is the product of what both halves
should gain, of which more than what lacks counts for nothing. Untried variables have the mean, and sooner ones,
which the later ones follow from, are preferred: one at the end of the list is worth e^−2 of one at its head.
Achterberg, Koch, Martin (2005), Branching rules revisited.
"""

from dataclasses import dataclass, field

import numpy as np

PREFERENCE = 2.0
"""How much more the first variable of a program is worth than its last, as an exponent."""
LEAST = 1e-6
"""A gain that stands for none."""


def product(gains: np.ndarray, lacking: float) -> np.ndarray:
    """Return the product of what the two halves gain, (2, …), up to what lacks."""
    return np.clip(gains, LEAST, max(lacking, LEAST)).prod(0)


@dataclass
class Pseudocosts:
    """What was gained, a unit moved, over the splits of each variable, down and up.

    Args:
        size: how many variables there are.
    """

    size: int
    _total: np.ndarray = field(init=False)
    _count: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._total, self._count = np.zeros((2, self.size)), np.zeros(self.size)

    def learn(self, variable: int, moved: np.ndarray, gains: np.ndarray) -> None:
        """Note what both halves of a split gained, (2,), and how far they moved the variable, (2,)."""
        self._total[:, variable] += gains / np.maximum(moved, LEAST)
        self._count[variable] += 1

    def tried(self, variable: int) -> bool:
        """Return whether a variable was ever split."""
        return bool(self._count[variable] > 0)

    def promise(self, variables: np.ndarray, moved: np.ndarray, lacking: float) -> np.ndarray:
        """Return what splits of some variables promise, (n,), if they move them by `moved`, (2, n)."""
        known = self._count[variables] > 0
        mean = self._total.sum(1, keepdims=True) / max(1.0, self._count.sum()) if self._count.any() else 1.0
        each = np.where(known, self._total[:, variables] / np.maximum(self._count[variables], 1.0), mean)
        return product(each * moved, lacking)

    def ranked(self, variables: np.ndarray, moved: np.ndarray, lacking: float) -> np.ndarray:
        """Return the places of some variables, the most promising first, (n,)."""
        preference = np.exp(-PREFERENCE * np.arange(len(variables)) / len(variables))
        return np.argsort(-self.promise(variables, moved, lacking) * preference, kind="stable")
