"""Units that change: entries that flip, and events that move, as changing.py counts them."""

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from ..numbers.exact import Dyadic
from ..work import CALL, spend
from .changing import Units

FINE = 32
"""Bits behind those of the gains that increments are rounded up to."""


@dataclass(frozen=True, eq=False)
class Toggles(Units):
    """Entries that may change by `sign`, 1 (an event comes) or −1 (one goes), of size 1: sign·A, if above 0."""

    sign: int

    def gains(self, values: Dyadic, sized: bool) -> Dyadic:
        """Return the one increment of each step, (..., T, 1)."""
        signed = values * self.sign
        spend(CALL + signed.ints.size, signed.shift)
        return Dyadic(np.maximum(signed.ints, 0)[..., None], signed.shift)


@dataclass(frozen=True, eq=False)
class Travels(Units):
    """Events that may move from step t to t', by a size of |t' − t| up to `reach`: A[t'] − A[t].

    Attributes:
        leaves: whether they may move out of the steps, where A is 0.
        vanishes: whether one that moves may also be gone.
    """

    reach: int
    leaves: bool
    vanishes: bool

    def gains(self, values: Dyadic, sized: bool) -> Dyadic:
        """Return the increments of each step: of the greatest gain up to each size, or that of all sizes.

        The first d increments are those of a chain of straight lines that is nowhere below the greatest gains
        of sizes 0, …, reach; lines are rounded up.
        """
        own, steps, found = values.ints, values.shape[-1], []
        spend(CALL + 4 * own.size * self.reach, values.shift)
        best = own.copy()
        for size in range(1, self.reach + 1):
            here, there = best[..., : max(0, steps - size)], best[..., size:]
            np.maximum(here, own[..., size:], out=here)
            np.maximum(there, own[..., : max(0, steps - size)], out=there)
            if self.leaves:
                for outside in (best[..., max(0, steps - size) :], best[..., :size]):
                    np.maximum(outside, 0, out=outside)
            best = np.maximum(best, 0) if self.vanishes else best
            if sized or size == self.reach:
                found.append(best - own)
        if not sized or self.reach == 1:
            return Dyadic(found[-1][..., None], values.shift)
        return _increments(found, values.shift)


def _increments(gains: list[np.ndarray], shift: int) -> Dyadic:
    """Return increments ≥ 0, (..., D), of which the first d add up to at least gains[d − 1] ≥ 0."""
    values = [gains[0] * 0, *(gain * (1 << FINE) for gain in gains)]
    spend(CALL + 4 * values[0].size * len(values) ** 3, shift + FINE)
    over = list(values)
    for first, last in combinations(range(len(values)), 2):
        for place in range(first + 1, last):
            sums = values[first] * (last - place) + values[last] * (place - first)
            over[place] = np.maximum(over[place], -(-sums // (last - first)))
    steps = [np.maximum(more - less, 0) for less, more in pairwise(over)]
    return Dyadic(np.stack(steps, axis=-1), shift + FINE)
