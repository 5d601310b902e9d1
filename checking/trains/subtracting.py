"""A spiking layer that subtracts, whose current changes over time: its trains are paths of cells (cells.py).

It works with ũ[t] = v̂[t] − d·s[t] and c[t] = v̂[t] − λ·ũ[t−1], v̂ being the run's potentials: so v = λ·u + c and
u = v − d·s hold exactly. c[t] is within |a|·(the current's own error), plus one step's `slip`, plus λ times what
the subtraction before lost, of a[t] times the exact current of the run's own spikes.

Prices μ on c are prices κ[t] = μ[t] − λ·μ[t+1] on the filtered current L[t] = ũ[t] + d·Σ_{k≤t} λ^(t−k)·s[k]:

    Σ μ·c = Σ κ·L = Σ κ[t]·ũ[t] + d·Σ μ[t]·s[t].
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..network.neurons import Neuron
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import GRID, Dyadic, exactly, greater, lesser, stacked, whole
from ..numbers.fixed import Decay, fixed, fixed_number, shift_for, unfixed
from .cells import ExactDrive, Paths, paths
from .varying import every_step, split_step

Ends = tuple[Dyadic, Dyadic]


@dataclass(frozen=True)
class Subtracting:
    """A layer of n neurons.

    Attributes:
        neuron: what they are.
        count: how many cells each may have.
        size: a bound of the moduli of all currents.
        slack: how far c[t] may be from a[t] times the exact current, (n, T).
        loose: how far the run's θ may be from θ.
    """

    neuron: Neuron
    count: int
    size: Fraction
    slack: Dyadic
    loose: Fraction

    @staticmethod
    def of(size: Dyadic, error: Dyadic, neuron: Neuron, count: int, arithmetic: Arithmetic) -> "Subtracting":
        """Return the layer for currents up to `size`, of which `error` is the run's, (n, 1) each.

        Raises:
            Refused: for a run that may overflow.
        """
        reach = size.max().fraction()
        scale = stacked([exactly(x) for x in neuron.scale])
        slip = neuron.slip(reach, arithmetic) + neuron.decay * neuron.lost(reach, arithmetic)
        slack = error * abs(scale) + Dyadic.outward([slip], up=True)
        return Subtracting(neuron, count, reach, slack, neuron.tie(arithmetic))

    @property
    def priced(self) -> tuple[int, ...]:
        """Return the shape of its prices: one for each neuron's scaled current at each step."""
        return self.slack.shape

    def unscaled(self, prices: Dyadic) -> Dyadic:
        """Return prices on its currents as prices on what its source gives."""
        return prices * self.scale

    @property
    def everything(self) -> np.ndarray:
        """Return what a tree's root allows: silence and a spike at each step, (n, T, 2) of bool."""
        return every_step(self.slack.shape)

    def sides(self, allowed: np.ndarray, neuron: int, step: Dyadic) -> tuple[np.ndarray, np.ndarray]:
        """Return a node with silence of one neuron at a step, counted from 0, and with a spike there."""
        return split_step(allowed, neuron, step)

    @cached_property
    def scale(self) -> Dyadic:
        """Return a, (T,)."""
        return stacked([exactly(x) for x in self.neuron.scale])

    @cached_property
    def ages(self) -> Dyadic:
        """Return λ^(t−k) at [k, t] for k ≤ t, 0 elsewhere, rounded down to a multiple of 2^−GRID, (T, T)."""
        steps = len(self.neuron.scale)
        powers = Dyadic.outward([self.neuron.decay**age for age in range(steps)], up=False)
        first, last = np.indices((steps, steps))
        return Dyadic(np.where(first <= last, powers.ints[last - first], 0), powers.shift)

    @cached_property
    def weights(self) -> Dyadic:
        """Return about λ^(t−k)·a[k], in column t, (T, T): what the filtered current L[t] sums up."""
        return self.ages * self.scale.column()

    @cached_property
    def inexact(self) -> Dyadic:
        """Return what `weights` may lack, or have too much, of a sum of numbers up to 1."""
        steps, largest = len(self.neuron.scale), max(map(abs, self.neuron.scale))
        return Dyadic.outward([steps * largest / (1 << GRID)], up=True)[0]

    @cached_property
    def filtered_slack(self) -> Dyadic:
        """Return how far L[t] may be from Σ weights·current, (n, T)."""
        up = Dyadic(self.ages.ints + np.triu(np.ones(self.ages.shape, dtype=object)), self.ages.shift)
        return self.slack @ up + self.inexact * Dyadic.outward([self.size], up=True)[0]

    def drive(self, steps: Ends, sums: Ends, allowed: np.ndarray | None) -> ExactDrive:
        """Return what drives the neurons.

        Args:
            steps: the exact currents at each step, (n, T) or (n, 1) each.
            sums: what Σ_k weights[k, t]·current[k] lies between, (n, T) each.
            allowed: silence and spikes that a leaf allows, (n, T, 2) of bool; None: all.
        """
        one, two = (end * self.scale for end in steps)
        low, high = lesser(one, two) - self.slack, greater(one, two) + self.slack
        lower, upper = sums[0] - self.filtered_slack, sums[1] + self.filtered_slack
        sizes = [max(abs(end).max().fraction() for end in pair) for pair in ((low, high), (lower, upper))]
        n = self.neuron
        most = n.drop * (1 + sum(n.decay**age for age in range(len(n.scale))))
        shift = shift_for(sum(sizes) + n.threshold + self.loose + most)
        return ExactDrive(
            fixed(lower, shift, False),
            fixed(upper, shift, True),
            fixed(low, shift, False),
            fixed(high, shift, True),
            fixed_number(n.threshold + self.loose, shift)[1],
            fixed_number(n.threshold - self.loose, shift)[0],
            fixed_number(n.drop, shift),
            Decay.of(n.decay),
            shift,
            allowed,
        )

    def found(self, steps: Ends, sums: Ends | None, allowed: np.ndarray | None) -> Paths:
        """Return the neurons' paths of cells; arguments as of `drive`."""
        assert sums is not None
        return paths(self.drive(steps, sums, allowed), self.apart(self.count))

    def apart(self, count: int) -> int:
        """Return how many cells a neuron may have: with λ = 1 at least one for each count of spikes."""
        return max(count, len(self.neuron.scale) + 1) if self.neuron.decay == 1 else count

    def filtered(self, found: Paths, reader: "Subtracting") -> Ends:
        """Return what Σ_k weights[k, t]·s[k] lies between for the weights of `reader`, (n, T) each."""
        if reader.filters_as(self.neuron):
            low, high = _divided(found.taken(), self.neuron.drop)
        else:
            n = reader.neuron
            shift = shift_for(sum(map(abs, n.scale), Fraction(1)))
            factors = [fixed_number(factor, shift) for factor in n.scale]
            low, high = (unfixed(end, shift) for end in found.filtered(Decay.of(n.decay), factors))
        return low - reader.inexact, high + reader.inexact

    def filters_as(self, neuron: Neuron) -> bool:
        """Return whether the layer sums spikes up as a neuron sums up what they took from it."""
        return neuron.decay == self.neuron.decay and set(self.neuron.scale) == {Fraction(1)}

    def spikes(self, found: Paths) -> Ends:
        """Return whether a spike is certain, and whether it is possible, (n, T) each."""
        certain, possible = found.spikes()
        return whole(certain), whole(possible)

    def least(self, found: Paths, costs: Dyadic, prices: Dyadic) -> Dyadic | None:
        """Return the least Σ costs·s − Σ prices·c, less what rounding adds; None where a neuron has no path.

        Args:
            found: the paths.
            costs, prices: (n, T).
        """
        if found.empty:
            return None
        drop, decay = exactly(self.neuron.drop), exactly(self.neuron.decay)
        later = np.zeros_like(prices.ints)
        later[:, :-1] = prices.ints[:, 1:]
        left = prices - Dyadic(later, prices.shift) * decay
        return found.least(costs - prices * drop, left) - (abs(prices) * self.slack).sum()


def _divided(taken: Ends, drop: Fraction) -> Ends:
    """Return Y/d, rounded outward to multiples of 2^−GRID."""
    up, down = drop.denominator << GRID, drop.numerator
    low, high = ((end.ints * up, down << end.shift) for end in taken)
    return Dyadic(low[0] // low[1], GRID), Dyadic(-(-high[0] // high[1]), GRID)
