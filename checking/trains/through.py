"""F9a: sums over spikes of neurons that subtract, by way of their currents: these share the inputs.

Let S_j[t] = Σ_k w[k, t]·s_j[k] be a neuron's filtered train, I_j(x) its constant current, exactly affine in the
inputs x, g[t] a number next to Σ_{k≤t} λ^(t−k)·a[k], and u_j[t] := g[t]·I_j(x) − d·S_j[t], about what is left of
its potential. Then for any numbers A and M, and at each step for any choice χ of neurons,

    Σ_j A_j·S_j = Σ_j (A_j − χ_j·d·M_j)·S_j − Σ_j χ_j·M_j·u_j + g·Σ_j χ_j·M_j·I_j(x).

S_j and u_j are known one by one, from the rows of the table that are left; the last sum is one affine map of x, so
its range over the box of inputs is exact however many neurons it joins. Chosen are the neurons whose S is wider
than their u/d, and M is next to A/d.

All factors are cut to so few bits that sums of their products fit into 62. They are rounded down: what a number
loses is between 0 and its unit, and is paid.
"""

from dataclasses import dataclass

import numpy as np

from ..numbers.exact import Dyadic, greater, lesser
from ..numbers.fixed import BITS as WIDTH
from ..numbers.fixed import fixed, shift_for, unfixed
from ..numbers.sparse import Matrix
from ..work import CALL, spend

MOST_WORK = 2**28
"""The most products of whole numbers that one use takes."""
MATRIX = 2**3
"""How many of them a number of the matrix counts for at least, as it is held whole."""
BITS = 61
"""Of a sum of such products."""
PRODUCTS = 64
"""How many of them count as one operation."""

Ends = tuple[Dyadic, Dyadic]


@dataclass(frozen=True)
class Cut:
    """Numbers between ints·2^−shift and that plus `unit`, 2^−shift or 0."""

    ints: np.ndarray
    shift: int
    unit: Dyadic

    @staticmethod
    def of(ints: np.ndarray, shift: int, bits: int, exact: bool = True) -> "Cut":
        """Return ints·2^−shift, or up to 2^−shift more, without the last places, so many that `bits` are left."""
        down = max(0, int(abs(ints).max(initial=0)).bit_length() - bits)
        unit = unfixed(np.asarray(0 if exact and down == 0 else 1), shift - down)
        return Cut((ints >> down).astype(np.int64), shift - down, unit)


@dataclass(frozen=True)
class Span:
    """What numbers lie between, in multiples of 2^−shift, (n, k) each."""

    low: np.ndarray
    high: np.ndarray
    shift: int

    @staticmethod
    def of(low: Dyadic, high: Dyadic, bits: int) -> "Span":
        """Return a box in `bits` bits, rounded outward."""
        largest = greater(abs(low), abs(high)).max().fraction()
        shift = (shift_for(largest) if largest else 0) - (WIDTH - 2) + bits
        return Span(fixed(low, shift, False), fixed(high, shift, True), shift)

    def masked(self, mask: np.ndarray) -> "Span":
        """Return the box with 0 for numbers that are not in `mask`."""
        return Span(self.low * mask, self.high * mask, self.shift)

    def image(self, matrix: Cut) -> Ends:
        """Return what matrix.ints·2^−shift times the numbers lies between, exactly, (r, k) each."""
        rows, count = matrix.ints.shape
        spend(CALL + rows * (1 + count * self.low.shape[1] // PRODUCTS))
        middle = matrix.ints @ (self.low + self.high)
        radius = abs(matrix.ints) @ (self.high - self.low)
        shift = matrix.shift + self.shift
        return unfixed((middle - radius) // 2, shift), unfixed((middle + radius) // 2, shift)


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
        if max(len(weights.ints) * steps, MATRIX) * neurons * features > MOST_WORK:
            return None
        bits, chosen = _bits(neurons), self._chosen()
        exact, shares = Cut.of(weights.ints, weights.shift, bits), self._shares(weights, bits)
        kept = Span.of(*self.train, bits).masked(~chosen).image(exact)
        taken = Span.of(*self.left, bits).masked(chosen).image(shares)
        joint = self._of_inputs(shares, chosen)
        lost = self._lost(exact, shares, chosen)
        return kept[0] - taken[1] + joint[0] - lost, kept[1] - taken[0] + joint[1] + lost

    def _chosen(self) -> np.ndarray:
        """Return χ, (n, T) of bool."""
        (least, most), (low, high) = self.train, self.left
        return ~((most - least) * self.drop <= high - low)

    def _shares(self, weights: Dyadic, bits: int) -> Cut:
        """Return M: A/d, rounded down, (r, n)."""
        ints = weights.ints * (1 << WIDTH + bits) // int(self.drop.ints)
        return Cut.of(ints, WIDTH + bits + weights.shift - self.drop.shift, bits, exact=False)

    def _lost(self, weights: Cut, shares: Cut, chosen: np.ndarray) -> Dyadic:
        """Return what A loses of kept neurons' trains at most, and A − d·M has of the chosen ones', (T,)."""
        size = greater(abs(self.train[0]), abs(self.train[1]))
        kept, taken = (Dyadic(size.ints * mask, size.shift).sum(0) for mask in (~chosen, chosen))
        return kept * weights.unit + taken * (shares.unit * self.drop)

    def _of_inputs(self, shares: Cut, chosen: np.ndarray) -> Ends:
        """Return what g·Σ_j χ_j·M_j·I_j lies between, (r, T) each."""
        neurons, features = self.matrix.shape
        values = Cut.of(self.matrix.ints, self.matrix.shift, _bits(neurons))
        inputs = Span.of(*self.inputs, _bits(features))
        dense = np.zeros((neurons, features), dtype=np.int64)
        dense[self.matrix.row, self.matrix.column] = values.ints
        size = greater(abs(self.inputs[0]), abs(self.inputs[1])).sum()
        moduli = unfixed(abs(shares.ints) @ chosen, shares.shift)  # Σ χ_j·|M_j|, (r, T)
        lows, highs = self._constant(shares, chosen)
        lost = moduli * (size * values.unit)
        low, high = lows - lost, highs + lost
        columns = []
        for mask in chosen.T:
            spend(CALL + shares.ints.size * (1 + features // PRODUCTS))
            composed = (shares.ints * mask) @ dense
            cut = Cut.of(composed, shares.shift + values.shift, _bits(features))
            (one, two), error = inputs.image(cut), size * cut.unit
            columns.append((one - error, two + error))
        ones, twos = (_joined(part) for part in zip(*columns, strict=True))
        ends = (low + ones) * self.gains, (high + twos) * self.gains
        return lesser(*ends), greater(*ends)

    def _constant(self, shares: Cut, chosen: np.ndarray) -> Ends:
        """Return what Σ_j χ_j·M_j·b_j lies between, (r, T) each."""
        bias = Span.of(self.bias, self.bias, _bits(len(self.bias.ints)))
        return Span(bias.low * chosen, bias.high * chosen, bias.shift).image(shares)


def _bits(count: int) -> int:
    """Return how many bits both factors of a sum of `count` products may have, one of them twice as large."""
    return (BITS - count.bit_length()) // 2


def _joined(columns: tuple[Dyadic, ...]) -> Dyadic:
    shift = max(column.shift for column in columns)
    return Dyadic(np.concatenate([column.at(shift) for column in columns], axis=1), shift)
