"""A spiking layer whose current is the same at every step: its trains are the rows of a table (tables.py)."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..network.neurons import Neuron
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, exactly, greater, lesser, stacked, whole
from ..work import CALL, hold, spend
from .tables import Table, train_table


@dataclass(frozen=True)
class Constant:
    """A layer of n neurons.

    Attributes:
        table: R rows.
        low, high: both ends of each row within each neuron's currents, (n, R).
        reachable: whether that leaves anything, (n, R) of bool.
        slack: how far the run's currents may be from the exact ones, (n, 1).
        neuron: what they are.
    """

    table: Table
    low: Dyadic
    high: Dyadic
    reachable: np.ndarray
    slack: Dyadic
    neuron: Neuron

    @staticmethod
    def of(low: Dyadic, high: Dyadic, slack: Dyadic, neuron: Neuron, arithmetic: Arithmetic) -> "Constant":
        """Return the layer for exact currents in [low, high], (n, 1), and a run that is up to `slack` away."""
        low, high = low - slack, high + slack
        table = train_table(neuron, low, high, arithmetic)
        hold("trains of neurons", len(low.ints) * len(table.trains))
        low, high = greater(low, table.low), lesser(high, table.high)
        return Constant(table, low, high, low <= high, slack, neuron)

    @property
    def scale(self) -> Dyadic:
        """Return the input scale a, (T,)."""
        return stacked([exactly(x) for x in self.neuron.scale])

    @property
    def priced(self) -> tuple[int, ...]:
        """Return the shape of its prices: one for each neuron's current."""
        return (len(self.reachable),)

    def unscaled(self, prices: Dyadic) -> Dyadic:
        """Return prices on its currents as prices on what its source gives."""
        return prices.column()

    @property
    def everything(self) -> np.ndarray:
        """Return what a tree's root allows: all rows in reach, (n, R) of bool."""
        return self.reachable

    def sides(self, allowed: np.ndarray, neuron: int, current: Dyadic) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of a node whose middle is at or below `current`, and the others, for one neuron."""
        spend(allowed.size // 4)
        left = self.table.low + self.table.high <= current * 2
        sides = allowed.copy(), allowed.copy()
        sides[0][neuron] &= left
        sides[1][neuron] &= ~left
        return sides

    def spikes(self, allowed: np.ndarray) -> tuple[Dyadic, Dyadic]:
        """Return whether a spike is certain, and whether it is possible, for the rows that are allowed, (n, T)."""
        spend(allowed.size * (2 + len(self.neuron.scale) // 16))
        count = allowed.astype(int) @ self.table.trains.astype(int)
        return whole(count == allowed.sum(1)[:, None]) * 1, whole(count > 0) * 1

    @cached_property
    def _known(self) -> dict[Hashable, tuple[Dyadic, Dyadic, dict[bytes, tuple[np.ndarray, np.ndarray]]]]:
        return {}

    def sums(self, allowed: np.ndarray, weights: Dyadic, reader: Hashable) -> tuple[Dyadic, Dyadic]:
        """Return what Σ_t s[t]·weights[t, k] lies between, (n, K).

        Args:
            allowed: the rows of each neuron.
            weights: (T, K).
            reader: a name of `weights`, by which the sums of rows are remembered.
        """
        if reader not in self._known:
            values = whole(self.table.trains) @ weights
            self._known[reader] = values.coarse(False), values.coarse(True), {}
        low, high, known = self._known[reader]
        for rows in allowed:
            spend(CALL + low.shape[1] // 8 + len(rows) // 8)
            if rows.tobytes() not in known:
                spend(2 * int(rows.sum()) * low.shape[1])
                known[rows.tobytes()] = low.ints[rows].min(0), high.ints[rows].max(0)
        ends = zip(*(known[rows.tobytes()] for rows in allowed), strict=True)
        one, two = (np.stack(end) for end in ends)
        return Dyadic(one, low.shift), Dyadic(two, high.shift)

    def left(self, allowed: np.ndarray, gains: Dyadic, weights: Dyadic, reader: Hashable) -> tuple[Dyadic, Dyadic]:
        """Return what I·gains[t] − d·Σ_k s[k]·weights[k, t] lies between, (n, T) each, I being the exact current.

        Args:
            allowed: the rows of each neuron.
            gains: (T,).
            weights: (T, T).
            reader: a name of `weights`, as of `sums`.
        """
        self.sums(allowed, weights, reader)
        neuron, row = np.nonzero(allowed)
        starts, drop = np.flatnonzero(np.diff(neuron, prepend=-1)), exactly(self.neuron.drop)
        one = (self.low[neuron, row] - self.slack[neuron, 0]).column() * gains
        two = (self.high[neuron, row] + self.slack[neuron, 0]).column() * gains
        low = (lesser(one, two) - self._known[reader][1][row] * drop).coarse(False)
        high = (greater(one, two) - self._known[reader][0][row] * drop).coarse(True)
        ends = np.minimum.reduceat(low.ints, starts), np.maximum.reduceat(high.ints, starts)
        return Dyadic(ends[0], low.shift), Dyadic(ends[1], high.shift)

    def least(self, allowed: np.ndarray, costs: Dyadic, prices: Dyadic) -> Dyadic:
        """Return the least Σ costs·s − Σ prices·I over the allowed rows, less what rounding adds to Σ prices·I.

        It lies at an end of a row.

        Args:
            allowed: (n, R), some for each neuron.
            costs: (n, T); prices: (n,).
        """
        price = prices.column()
        spend(allowed.size)
        values = costs @ whole(self.table.trains.T) - greater(price * self.low, price * self.high)
        least = sum(min(value[chosen]) for value, chosen in zip(values.ints, allowed, strict=True))
        return Dyadic(np.asarray(least, dtype=object), values.shift) - (abs(price) * self.slack).sum()
