"""A max pool in a program: y_i = max of the entries x_j of window i.

    spikes:     y_i ≥ x_j,   y_i ≤ Σ_j x_j           an OR: y is 0 or 1 where the spikes are
    currents:   y_i ≥ x_j,   y_i ≤ x_j + (h_i − l_j)(1 − z_j),   Σ_j z_j = 1,   z_j ∈ {0, 1}

with [l_j, h_j] the ends of x_j and h_i the greatest of its window's. Entries that lie below another's lower end in
every run are left out. The run's maximum strays from y no farther than the farthest entry from its expression: see
models/elements/max_pooling.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from torch import Tensor

from .program import Closing, Expressions, Program, array


@dataclass(frozen=True)
class WindowPairs:
    """Which entries each window holds, pair by pair.

    Attributes:
        outputs, entries: of each pair, (P,).
        count: of windows.
    """

    outputs: np.ndarray
    entries: np.ndarray
    count: int

    @staticmethod
    def of(places: Tensor, features: int) -> "WindowPairs":
        """Return the windows of `MaxWindows.places` for signals with so many entries."""
        table = array(places.flatten(0, -2)).astype(int)
        outputs, columns = np.nonzero(table < features)
        return WindowPairs(outputs, table[outputs, columns], len(table))

    def greatest(self, values: np.ndarray) -> np.ndarray:
        """Return the greatest value of each window, (count,)."""
        found = np.full(self.count, -np.inf)
        np.maximum.at(found, self.outputs, values[self.entries])
        return found

    def kept(self, lower: np.ndarray, upper: np.ndarray) -> "WindowPairs":
        """Return the windows without the entries that are below another one for certain."""
        open_ = upper[self.entries] >= self.greatest(lower)[self.outputs]
        return WindowPairs(self.outputs[open_], self.entries[open_], self.count)

    def sums(self, terms: Expressions) -> Expressions:
        """Return the sum over each window of what stands for its pairs, (count,)."""
        pairs = np.arange(len(self.outputs))
        shape = (self.count, len(pairs))
        return terms.image(sparse.csr_array((np.ones(len(pairs)), (self.outputs, pairs)), shape=shape), 0.0)


@dataclass(frozen=True)
class PooledEntries:
    """What a max pool of one step reads.

    Attributes:
        values: x, (n,).
        lower, upper: ends of x in every run, and of its expressions, (n,).
        windows: of x.
    """

    values: Expressions
    lower: np.ndarray
    upper: np.ndarray
    windows: WindowPairs

    def largest(self, program: Program, closing: Closing, spikes: bool) -> Expressions:
        """Add the maximum of each window: an OR where the values are spikes."""
        windows = self.windows.kept(self.lower, self.upper)
        low, high = windows.greatest(self.lower), windows.greatest(self.upper)
        slack = closing.slack(np.zeros(len(windows.outputs)))
        found, taken = program.variables(low, high), self.values.taken(windows.entries)
        above = found.taken(windows.outputs) - taken
        program.constrain(above, lower=-slack)
        if spikes:
            program.constrain(found - windows.sums(taken), upper=closing.slack(np.zeros(windows.count)))
            return found
        reach = high[windows.outputs] - self.lower[windows.entries]
        chosen = program.binaries(len(windows.outputs))
        program.constrain(above + chosen.scaled(reach), upper=reach + slack)
        program.constrain(windows.sums(chosen), 1.0, 1.0)
        return found
