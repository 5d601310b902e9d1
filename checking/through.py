"""F9a: sums over spikes of neurons that subtract, by way of their currents: these share the inputs.

Let S_j[t] = Σ_k w[k, t]·s_j[k] be a neuron's filtered train, I_j(x) its constant current, exactly affine in the
inputs x, g[t] a number next to Σ_{k≤t} λ^(t−k)·a[k], and u_j[t] := g[t]·I_j(x) − d·S_j[t], about what is left of
its potential. Then for any numbers A and M, and at each step for any choice χ of neurons,

    Σ_j A_j·S_j = Σ_j (A_j − χ_j·d·M_j)·S_j − Σ_j χ_j·M_j·u_j + g·Σ_j χ_j·M_j·I_j(x).

S_j and u_j are known one by one, from the rows of the table that are left; the last sum is one affine map of x, so
its range over the box of inputs is exact however many neurons it joins. M is about A/d. It and the weights of I(x)
are cut to so few bits that sums of their products fit into 62; what the weights lose is paid. Chosen are the
neurons whose S is wider than their u/d.
"""

from dataclasses import dataclass

import numpy as np

from .exact import Dyadic, greater, lesser, whole
from .fixed import unfixed
from .sparse import Matrix
from .work import CALL, spend

MOST_WORK = 2**28
"""The most products of whole numbers that one use takes."""
BITS = 62
"""Of a sum of such products."""
PRODUCTS = 64
"""How many of them count as one operation."""

Ends = tuple[Dyadic, Dyadic]


@dataclass(frozen=True)
class ExactBalance:
    """n neurons that subtract d, under constant currents W·x + b.

    Attributes:
        drop: d.
        train: what S lies between, (n, T) each; left: the same of u.
        gains: g, (T,).
        matrix, bias: W, and b (n, 1).
        inputs: the box of x, (m, 1) each.
    """

    drop: Dyadic
    train: Ends
    left: Ends
    gains: Dyadic
    matrix: Matrix
    bias: Dyadic
    inputs: Ends

    def sums(self, weights: Dyadic) -> Ends | None:
        """Return what Σ_j A_j·S_j lies between, (r, T) each, for A (r, n); None where that takes too much work."""
        (neurons, features), steps = self.matrix.shape, len(self.gains.ints)
        if len(weights.ints) * neurons * features * steps > MOST_WORK:
            return None
        chosen = self._chosen()
        shares, power = self._shares(weights)
        exact, kept, taken = unfixed(shares, power), whole(~chosen), whole(chosen)
        low, high = self._of_inputs(shares, power, chosen)
        for matrix, ends in (
            (weights, [end * kept for end in self.train]),
            (weights - exact * self.drop, [end * taken for end in self.train]),
            (-exact, [end * taken for end in self.left]),
        ):
            one, two = _image(matrix, *ends)
            low, high = low + one, high + two
        return low, high

    def _chosen(self) -> np.ndarray:
        """Return χ, (n, T) of bool."""
        (least, most), (low, high) = self.train, self.left
        return ~((most - least) * self.drop <= high - low)

    @property
    def _bits(self) -> int:
        """Return how many bits either factor of a sum over all neurons may have."""
        return (BITS - self.matrix.shape[0].bit_length()) // 2

    def _shares(self, weights: Dyadic) -> tuple[np.ndarray, int]:
        """Return M, (r, n), in whole numbers, and the power of two that they are to be divided by."""
        ints, down = _cut(weights.ints * (1 << BITS) // int(self.drop.ints), self._bits)
        return ints, BITS + weights.shift - self.drop.shift - down

    def _of_inputs(self, shares: np.ndarray, power: int, chosen: np.ndarray) -> Ends:
        """Return what g·Σ_j χ_j·M_j·I_j lies between, (r, T) each."""
        ints, down = _cut(self.matrix.ints, self._bits)
        weights, (low, high) = np.zeros(self.matrix.shape, dtype=np.int64), self.inputs
        weights[self.matrix.row, self.matrix.column] = ints
        lost = greater(abs(low), abs(high)).sum() * unfixed(np.asarray(int(down > 0)), self.matrix.shift - down)
        lows, highs = [], []
        for t in range(chosen.shape[1]):
            spend(CALL + shares.size * (1 + weights.shape[1] // PRODUCTS))
            picked = shares * chosen[:, t]
            composed = unfixed(picked.astype(np.int64) @ weights, power + self.matrix.shift - down)
            one, two = _image(composed, low, high)
            exact = unfixed(picked, power)
            middle, error = exact @ self.bias, (abs(exact).sum(1) * lost).column()
            one, two = (one + middle - error) * self.gains[t], (two + middle + error) * self.gains[t]
            lows.append(lesser(one, two))
            highs.append(greater(one, two))
        return _joined(lows), _joined(highs)


def _cut(ints: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """Return whole numbers without their last places, so many that `bits` are left, rounded down; and how many."""
    down = max(0, int(abs(ints).max(initial=0)).bit_length() - bits)
    return ints >> down, down


def _image(matrix: Dyadic, low: Dyadic, high: Dyadic) -> Ends:
    """Return what matrix·x lies between for x in [low, high], (n, k) each."""
    above, below = greater(matrix, matrix * 0), lesser(matrix, matrix * 0)
    return above @ low + below @ high, above @ high + below @ low


def _joined(columns: list[Dyadic]) -> Dyadic:
    shift = max(column.shift for column in columns)
    return Dyadic(np.concatenate([column.at(shift) for column in columns], axis=1), shift)
