"""A spiking layer whose current changes over time: its trains are paths (paths.py).

It works with c[t] = v̂[t] − λ·û[t−1], the scaled current that the run really added to what it had: within
|a|·(the current's own error) plus one step's `slip` of a[t] times the exact current of the run's own spikes. A
spike leaves 0 after a hard reset, v̂ where there is none, and fl(v̂ − d), within 4u·(|v̂| + d) of v̂ − d, after a
subtracting one.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..network.neurons import Neuron
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, Refused, exactly, greater, lesser, stacked, whole
from ..work import hold, spend
from .paths import Boxes, Reach, cheapest

STEEPEST = Fraction(1, 2**20)
"""The least λ^(T−1): prices are given over that."""
PART = 8
"""Operations that a priced part of a segment takes at a step."""
BEYOND = 1 << 4096
"""More than any Λ·v: those are below 2^1000 in size, over at most 2^GRID."""


@dataclass(frozen=True)
class Varying:
    """A layer of n neurons.

    Attributes:
        scale: a[t], (T,); powers: Λ[t] = λ^(T−t), (T,).
        slack: how far c[t] may be from a[t] times the exact current, (n, T).
        surely, perhaps: Λ·(θ + tie) and Λ·(θ − tie), (T,).
        taken: the most and the least that a spike takes from Λ·v, (T,) each; None: all of it.
    """

    scale: Dyadic
    powers: Dyadic
    slack: Dyadic
    surely: Dyadic
    perhaps: Dyadic
    taken: tuple[Dyadic, Dyadic] | None

    @staticmethod
    def of(size: Dyadic, error: Dyadic, neuron: Neuron, arithmetic: Arithmetic) -> "Varying":
        """Return the layer for currents up to `size`, of which `error` is the run's, (n, 1) each.

        Raises:
            Refused: for a decay that is too small, or a run that may overflow.
        """
        if neuron.powers[0] < STEEPEST:
            raise Refused(f"unknown: no proof form for a decay of {float(neuron.decay):g} where currents vary")
        reach = size.max().fraction()
        scale, powers = (stacked([exactly(x) for x in numbers]) for numbers in (neuron.scale, neuron.powers))
        slip = Dyadic.outward([neuron.slip(reach, arithmetic)], up=True)
        loose = neuron.tie(arithmetic)
        return Varying(
            scale,
            powers,
            error * abs(scale) + slip,
            powers * Dyadic.outward([neuron.threshold + loose], up=True),
            powers * Dyadic.outward([neuron.threshold - loose], up=False),
            _taken(powers, neuron, reach, arithmetic),
        )

    @property
    def priced(self) -> tuple[int, ...]:
        """Return the shape of its prices: one for each neuron's current at each step, over Λ."""
        return self.slack.shape

    def unscaled(self, prices: Dyadic) -> Dyadic:
        """Return prices on its currents as prices on what its source gives."""
        return prices * (self.powers * self.scale)

    @property
    def everything(self) -> np.ndarray:
        """Return what a tree's root allows: silence and a spike at each step, (n, T, 2) of bool."""
        return every_step(self.slack.shape)

    def sides(self, allowed: np.ndarray, neuron: int, step: Dyadic) -> tuple[np.ndarray, np.ndarray]:
        """Return a node with silence of one neuron at a step, counted from 0, and with a spike there."""
        return split_step(allowed, neuron, step)

    @cached_property
    def inside(self) -> Dyadic:
        """Return 1 where a step lies in a window, (T, windows): windows a..t by t, then by a < t."""
        steps = len(self.powers.ints)
        spend(steps**3)
        first, last = np.array([(a, t) for t in range(steps) for a in range(t)]).reshape(-1, 2).T
        step = np.arange(steps)[:, None]
        return whole(((first <= step) & (step <= last)).astype(np.int8))

    @cached_property
    def weights(self) -> Dyadic:
        """Return Λ[t]·a[t] for the steps of each window, 0 elsewhere, (T, windows)."""
        return (self.powers * self.scale).column() * self.inside

    def found(
        self, steps: tuple[Dyadic, Dyadic], sums: tuple[Dyadic, Dyadic] | None, allowed: np.ndarray | None
    ) -> tuple[list[Reach], int]:
        """Return where each neuron's Λ·v can be, and the power of two of its integers.

        Args:
            steps: the exact currents at each step, (n, T) or (n, 1) each.
            sums: what Σ_t weights[t]·current[t] lies between, (n, windows), if that is known.
            allowed: silence and spikes that a leaf allows, (n, T, 2) of bool; None: all.
        """
        one, two = (end * self.scale for end in steps)
        low, high = (lesser(one, two) - self.slack) * self.powers, (greater(one, two) + self.slack) * self.powers
        ends = [low.coarse(False), high.coarse(True), self.perhaps.coarse(False), self.surely.coarse(True)]
        taken = () if self.taken is None else (self.taken[0].coarse(True), self.taken[1].coarse(False))
        windows = [] if sums is None else self._windows(*sums)
        shift = max(end.shift for end in (*ends, *taken, *windows))
        lows, highs, perhaps, surely = (end.at(shift).tolist() for end in ends)
        parts = [tuple(part) for part in zip(*(end.at(shift).tolist() for end in taken), strict=True)] or None
        spans = [_by_end(*pair) for pair in zip(*(end.at(shift) for end in windows), strict=True)]
        marks = [(surely, perhaps)] * len(lows)
        if allowed is not None:
            marks = [_decided(surely, perhaps, rows) for rows in allowed.tolist()]
        rows = zip(lows, highs, marks, spans or [()] * len(lows), strict=True)
        found, count = [], 0
        for low, high, mark, span in rows:
            found.append(Reach.of(Boxes(low, high, *mark, span, parts)))
            count += sum(map(len, found[-1].spans))
            hold("spans of potentials", count)
        return found, shift

    def spikes(self, reach: tuple[list[Reach], int]) -> tuple[Dyadic, Dyadic]:
        """Return whether a spike is certain, and whether it is possible, (n, T)."""
        certain, possible = zip(*(neuron.spikes for neuron in reach[0]), strict=True)
        return whole(certain), whole(possible)

    def least(self, reach: tuple[list[Reach], int], costs: Dyadic, prices: Dyadic) -> Dyadic | None:
        """Return the least Σ costs·s − Σ prices·Λ·c, less what rounding adds; None where a neuron has no train.

        Args:
            reach: of each neuron.
            costs, prices: (n, T).
        """
        neurons, width = reach
        shift = max(costs.shift, prices.shift + width)
        factor = 1 << shift - prices.shift - width
        spend(PART * sum(neuron.parts for neuron in neurons), shift - prices.shift)
        rows = zip(neurons, costs.at(shift).tolist(), prices.ints.tolist(), strict=True)
        found = [cheapest(neuron, cost, [price * factor for price in row]) for neuron, cost, row in rows]
        if None in found:
            return None
        least = Dyadic(np.asarray(sum(found), dtype=object), shift)  # pyright: ignore
        return least - (abs(prices * self.powers) * self.slack).sum()

    def _windows(self, low: Dyadic, high: Dyadic) -> list[Dyadic]:
        """Return floor and ceiling of the sum of Λ·c over each window, (n, windows)."""
        hold("sums over windows of steps", low.ints.size)
        slack = (self.slack * self.powers) @ self.inside
        return [(low - slack).coarse(False), (high + slack).coarse(True)]


def every_step(shape: tuple[int, ...]) -> np.ndarray:
    """Return silence and a spike at each step of (n, T), (n, T, 2) of bool."""
    return np.ones((*shape, 2), dtype=bool)


def split_step(allowed: np.ndarray, neuron: int, step: Dyadic) -> tuple[np.ndarray, np.ndarray]:
    """Return what a node allows, (n, T, 2), with silence of one neuron at one step, and with a spike there."""
    spend(allowed.size // 4)
    sides, place = (allowed.copy(), allowed.copy()), step.fraction()
    if place.denominator != 1 or not 0 <= place < allowed.shape[1]:
        raise Refused(f"splits step {float(place):g}, expected one of {allowed.shape[1]}")
    sides[0][neuron, int(place), 1] = False
    sides[1][neuron, int(place), 0] = False
    return sides


def _decided(surely: list[int], perhaps: list[int], allowed: list[list[bool]]) -> tuple[list[int], list[int]]:
    """Return a neuron's marks: silence that is not allowed ends below all potentials, spikes begin above all."""
    ends = (mark if silent else -BEYOND for mark, (silent, _) in zip(surely, allowed, strict=True))
    begins = (mark if fires else BEYOND for mark, (_, fires) in zip(perhaps, allowed, strict=True))
    return list(ends), list(begins)


def _taken(
    powers: Dyadic, neuron: Neuron, reach: Fraction, arithmetic: Arithmetic
) -> tuple[Dyadic, Dyadic] | None:
    if neuron.reset == "zero":
        return None
    if neuron.reset == "none":
        return powers * 0, powers * 0
    loose = neuron.lost(reach, arithmetic)
    most, least = neuron.drop + loose, neuron.drop - loose
    return powers * Dyadic.outward([most], up=True), powers * Dyadic.outward([least], up=False)


def _by_end(floors: np.ndarray, ceilings: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return a neuron's windows by their last step t, each list by the first step a < t."""
    pairs, found = list(zip(floors.tolist(), ceilings.tolist(), strict=True)), []
    while len(pairs) >= len(found):
        found.append(pairs[: len(found)])
        pairs = pairs[len(found) - 1 :]
    return found
