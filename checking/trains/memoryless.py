"""A spiking layer that forgets at once (λ = 0) and whose current changes over time: each step is by itself.

v̂[t] is what the run made of a·I[t], within |a|·(the current's own error) plus one step's `slip` of a[t] times the
exact current of the run's own spikes: λ·û is 0 whatever û is, as nothing overflows. No reset matters. Silence
means v̂ ≤ θ + tie, a spike v̂ ≥ θ − tie, so at each step of each neuron

    A·s − μ·v̂ ≥ min(−max μ·[low, min(high, θ + tie)],  A − max μ·[max(low, θ − tie), high]).
"""

from dataclasses import dataclass

import numpy as np

from ..network.neurons import Neuron
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, aligned, exactly, greater, lesser, stacked, whole
from ..work import spend
from .varying import every_step, split_step

Ends = tuple[Dyadic, Dyadic]


@dataclass(frozen=True)
class StepRanges:
    """Where scaled currents may lie, (n, T) each, and whether silence and a spike are possible, (n, T, 2)."""

    low: Dyadic
    high: Dyadic
    possible: np.ndarray


@dataclass(frozen=True)
class Memoryless:
    """A layer of n neurons.

    Attributes:
        scale: a[t], (T,).
        slack: how far v̂[t] may be from a[t] times the exact current, (n, T).
        surely, perhaps: θ + tie and θ − tie.
    """

    scale: Dyadic
    slack: Dyadic
    surely: Dyadic
    perhaps: Dyadic

    @staticmethod
    def of(size: Dyadic, error: Dyadic, neuron: Neuron, arithmetic: Arithmetic) -> "Memoryless":
        """Return the layer for currents up to `size`, of which `error` is the run's, (n, 1) each.

        Raises:
            Refused: for a run that may overflow.
        """
        assert neuron.decay == 0
        scale, loose = stacked([exactly(x) for x in neuron.scale]), neuron.tie(arithmetic)
        slip = Dyadic.outward([neuron.slip(size.max().fraction(), arithmetic)], up=True)
        surely = Dyadic.outward([neuron.threshold + loose], up=True)[0]
        perhaps = Dyadic.outward([neuron.threshold - loose], up=False)[0]
        return Memoryless(scale, error * abs(scale) + slip, surely, perhaps)

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

    def found(self, steps: Ends, sums: Ends | None, allowed: np.ndarray | None) -> StepRanges:
        """Return where v̂ may be.

        Args:
            steps: the exact currents at each step, (n, T) or (n, 1) each.
            sums: of no use here.
            allowed: silence and spikes that a leaf allows, (n, T, 2) of bool; None: all.
        """
        one, two = (end * self.scale for end in steps)
        low, high = lesser(one, two) - self.slack, greater(one, two) + self.slack
        possible = np.stack((low <= self.surely, self.perhaps <= high), -1)
        return StepRanges(low, high, possible if allowed is None else possible & allowed)

    def spikes(self, reach: StepRanges) -> tuple[Dyadic, Dyadic]:
        """Return whether a spike is certain, and whether it is possible, (n, T)."""
        silent, fires = reach.possible[..., 0], reach.possible[..., 1]
        return whole((~silent).astype(int)), whole(fires.astype(int))

    def least(self, reach: StepRanges, costs: Dyadic, prices: Dyadic) -> Dyadic | None:
        """Return the least Σ costs·s − Σ prices·v̂, less what rounding adds; None where a neuron has no train.

        Args:
            reach: of v̂.
            costs, prices: (n, T).
        """
        if not reach.possible.any(-1).all():
            return None
        silent = -_most(prices, reach.low, lesser(reach.high, self.surely))
        fires = costs - _most(prices, greater(reach.low, self.perhaps), reach.high)
        one, two, shift = aligned(silent, fires)
        spend(4 * one.size, shift)
        both = np.minimum(one, two)
        found = np.where(reach.possible.all(-1), both, np.where(reach.possible[..., 0], one, two))
        return Dyadic(found, shift).sum() - (abs(prices) * self.slack).sum()


def _most(prices: Dyadic, low: Dyadic, high: Dyadic) -> Dyadic:
    """Return the greatest prices·v for v in [low, high]."""
    return greater(prices * low, prices * high)
