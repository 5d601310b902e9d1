"""An affine layer: the exact map that a bound works with, and how far the run of the layer may be from it.

A layer's own constants may be no dyadic numbers (1/9 of a pool, 1/√(var + ε) of a batch norm). The exact map then
has dyadic ones next to them, within a relative 2^−90, and `share` pays for that, too: the real layer, its run and
the map are all within `error` of each other.

Zeros round nothing: a + 0 and w·0 are exact in floating point, w being finite. Where the run plainly adds up
products and a bias, let k products of an output have an input that may be other than 0. However they are added,
among any zeros, a sum rounds only where terms that may be other than 0 come in from both sides. Each of the k + 1
terms meets at most k such sums, and a product is rounded once before: γ_{k+1}. For all products that is `share`.

A synapse, or a delay: an affine map over time, i[t] = κ·i[t−1] + x[t−d], i[0] = 0, x[k] = 0 for k ≤ 0.

So i = H·x with H[t,k] = κ^(t−d−k) for k ≤ t − d. The map that bounds work with has these numbers rounded down to
multiples of 2^−GRID, which is off by at most T·2^−GRID times the size of x; `measured` pays for that, too.

Rounding. κ, κ·î and the sum are each rounded once, so a step errs by at most 4u·(κ·|î| + |x̂|) + 8·tiny, as in
neurons.py, and |î| ≤ 2·G·(|x̂| + 8·tiny) with G = Σ κ^n ≥ the sum of any row or column of H; steps add up to G
times one step's error, and G times the error of x. With κ = 0 numbers are moved and nothing is rounded.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..numbers.exact import GRID, Arithmetic, Dyadic, Refused, exactly, marks, stacked, whole
from ..numbers.sparse import Matrix
from ..work import spend

NEAR = Fraction(1, 2**90)
"""How near, relatively, a dyadic constant is to the one that it stands for."""


@dataclass(frozen=True)
class Affine:
    """x ↦ W·x + b on flat signals (m, k), W (n, m), b (n, 1).

    |fl(W·x + b) − (W·x + b)| ≤ share·(moduli·|x| + offset) + floor·(1 + max|x| + peak), in any order of summation;
    with `products`, γ_{k+1} stands for `share`.

    Attributes:
        matrix, bias: W and b.
        moduli: sums of the moduli that each output adds up, (n, m): above |W| where padding repeats an input.
        offset: the same of b, (n, 1).
        share, floor: of the rounding; the second is for underflow, of products, weights or inputs.
        peak: no number of the run is above peak·(1 + max|x|).
        products: how many products of each output have each input, (n, m), where the run adds up these and b.
    """

    matrix: Matrix
    bias: Dyadic
    moduli: Matrix
    offset: Dyadic
    share: Fraction
    floor: Fraction
    peak: Fraction
    products: Matrix | None = None

    @staticmethod
    def summing(
        matrix: Matrix,
        moduli: Matrix,
        bias: Dyadic,
        terms: int,
        near: Fraction,
        arithmetic: Arithmetic,
        products: Matrix | None = None,
    ) -> "Affine":
        """Return a layer that sums up `terms` products: γ_terms of their moduli, and tiny for each."""
        share = arithmetic.gamma(terms) * (1 + near) + near
        peak = (moduli @ _ones(moduli.shape[1])).max().fraction() + abs(bias).max().fraction()
        return Affine(matrix, bias, moduli, abs(bias), share, 4 * (terms + 1) * arithmetic.tiny, peak, products)

    def measured(self, size: Dyadic, arithmetic: Arithmetic) -> tuple[Dyadic, Dyadic]:
        """Return a bound of the run's |W·x + b|, and of how far it may be from the exact one of the run's own x.

        Args:
            size: a bound of |x| that is 0 only where x is, (m, k); so are the bounds that are returned.
            arithmetic: of the run.

        Raises:
            Refused: where the run may overflow.
        """
        most = 1 + size.max().fraction()
        if self.peak * most > arithmetic.largest:
            raise Refused("unknown: a current may overflow")
        sums = self.moduli @ size + self.offset
        lost = Dyadic.outward([self.floor * (most + self.peak)], up=True)[0]
        own = (sums * self._shares(size, arithmetic) + lost).coarse(up=True) * marks(sums)
        return sums + own, own

    def _shares(self, size: Dyadic, arithmetic: Arithmetic) -> Dyadic:
        """Return γ_{k+1} of each output, (n, k), or `share`."""
        if self.products is None:
            return exactly(self.share)
        counts = (self.products @ marks(size)).ints.astype(np.int64)
        different, which = np.unique(counts, return_inverse=True)
        shares = stacked([exactly(arithmetic.gamma(int(count) + 1)) for count in different])
        return shares[which.reshape(counts.shape)]

    @property
    def exact(self) -> bool:
        """Return whether the run's outputs are the exact ones."""
        return self.share == 0 and self.floor == 0

    @cached_property
    def sizes(self) -> Matrix:
        """Return |W|."""
        return self.matrix.moduli


HALF = exactly(Fraction(1, 2))


def _ones(count: int) -> Dyadic:
    return Dyadic(np.ones((count, 1), dtype=int).astype(object), 0)


LONGEST = 2**16
"""The longest delay that a description may ask for."""


@dataclass(frozen=True)
class LeakySynapse:
    """A filter as the model file describes it: κ and d."""

    decay: Fraction
    delay: int

    @staticmethod
    def read(name: str, layer: dict[str, Any], arithmetic: Arithmetic) -> "LeakySynapse":
        """Return the layer of a description.

        Raises:
            Refused: for constants outside their range or subnormal, or fields that are not known.
        """
        if layer.keys() != {"type", "decay", "delay"}:
            raise Refused("unknown: no proof form for a Synapse that is described otherwise")
        decay, delay = float(layer["decay"]), layer["delay"]
        if (
            not isinstance(delay, int)
            or isinstance(delay, bool)
            or not (0 <= decay <= 1 and 0 <= delay <= LONGEST)
        ):
            raise Refused(f"{name}: has constants outside their range")
        arithmetic.check_normal(f"{name}.decay", [Fraction(decay)])
        return LeakySynapse(Fraction(decay), delay)


@dataclass(frozen=True)
class Filter:
    """What a synapse makes of node `source` over T = `steps`."""

    source: int
    synapse: LeakySynapse
    steps: int

    @cached_property
    def _powers(self) -> list[Fraction]:
        spend(8 * self.steps, 53 * self.steps)
        return [self.synapse.decay**age for age in range(self.steps)]

    @cached_property
    def over_time(self) -> Dyadic:
        """Return H transposed, (T, T): x is (n, T), i is x @ that."""
        powers = Dyadic.outward(self._powers, up=False)
        entered, now = np.indices((self.steps, self.steps))
        ages = now - entered - self.synapse.delay
        spend(ages.size)
        ints = np.where(ages >= 0, powers.ints[ages.clip(0)], 0)
        return whole(ints >> GRID) if self.synapse.decay == 0 else Dyadic(ints, powers.shift)

    def measured(self, size: Dyadic, error: Dyadic, arithmetic: Arithmetic) -> tuple[Dyadic, Dyadic]:
        """Return a bound of the run's |î|, and of how far it may be from H·x, (n, 1) each.

        Args:
            size, error: the same of x.
            arithmetic: of the run.

        Raises:
            Refused: where the run may overflow.
        """
        decay = self.synapse.decay
        if decay == 0:
            return size, error
        arithmetic.gamma(8 * self.steps)  # T·u is small, so that (1 + u)^{3T} ≤ 2
        gain, tiny = sum(self._powers, Fraction(0)), 8 * arithmetic.tiny
        if 2 * gain * (size.max().fraction() + tiny) > arithmetic.largest:
            raise Refused("unknown: a synaptic current may overflow")
        share = 4 * arithmetic.unit * (2 * gain * decay + 1) * gain
        least = (4 * arithmetic.unit * 2 * gain * decay * tiny + tiny) * gain
        up = [Dyadic.outward([x], up=True)[0] for x in (gain, share, least, Fraction(self.steps, 1 << GRID))]
        own = size * up[1] + up[2] + (size + error) * up[3]
        return size * up[0] + own, error * up[0] + own
