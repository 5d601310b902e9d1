"""The rate code of a network: step t spikes iff u[t] < x, for draws u that the network has, exactly.

A seed's draws are those of the generator MT19937: of each two words of 32 bits, the first one above, the lowest
53 bits over 2^53, step by step and feature by feature.

A box of inputs leaves each feature a chain of trains: as x grows, spikes come in the order of their draws.
Those with u below the least x are certain, those with u at or above the greatest x do not come, and what a sum
Σ costs·s over the others may be is a sum over the first ones in that order. Proof: s[t] = 1 iff u[t] < x, so
the spikes of any x are all those below it. ∎ For sums whose costs have one sign for each feature, single steps'
ends tell the same.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..events.inputs import Inputs
from ..numbers.exact import Dyadic, Refused
from ..work import CALL, hold, spend

LONGEST = 2**63


@dataclass(frozen=True)
class Draws:
    """The draws u of a network, by a seed or one by one, (T, ...)."""

    seed: int | None
    given: np.ndarray | None = None

    @staticmethod
    def read(text: dict[str, Any]) -> "Draws":
        """Return the draws that a model file describes.

        Raises:
            Refused: for a seed that is no integer from 0 to 2⁶³ − 1, or draws that are no finite numbers in lists
                of one length.
        """
        seed, given = text.get("seed"), text.get("draws")
        if (seed is None) == (given is None):
            raise Refused("seed: expected one, or draws")
        if seed is not None:
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < LONGEST:
                raise Refused(f"seed: got {str(seed)[:20]}, expected 0 to 2⁶³ − 1")
            return Draws(seed)
        array = np.array(given, dtype=np.float64)
        if array.ndim < 2 or not np.isfinite(array).all():
            raise Refused("draws: expected finite numbers, first of all those of each step")
        return Draws(None, array)

    def over(self, steps: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return u, (T, *shape), as float64.

        Raises:
            Refused: for draws of another shape.
        """
        wanted = (steps, *shape)
        count = int(np.prod(wanted, dtype=object))
        hold("draws", count)
        spend(CALL + count)
        if self.given is not None:
            if self.given.shape != wanted:
                raise Refused(f"sample: has a shape that draws of {self.given.shape} do not fit")
            return self.given
        assert self.seed is not None
        words = np.frombuffer(np.random.RandomState(self.seed % 2**32).bytes(8 * count), dtype="<u4").astype(
            np.uint64
        )
        return ((words[::2] << np.uint64(32) | words[1::2]) % np.uint64(2**53) / 2.0**53).reshape(wanted)


def coded(rates: Inputs, draws: np.ndarray) -> Inputs:
    """Return the spikes of all rates in a box, (m, T), for draws (T, ...)."""
    if rates.ball is not None:
        raise Refused("unknown: no proof form for norm 'l2' of a rate code")
    thresholds = draws.reshape(len(draws), -1).T
    exact = Dyadic.of(thresholds, "draws")
    low, high = (Dyadic((~(end <= exact)).astype(int).astype(object), 0) for end in (rates.low, rates.high))
    order = np.argsort(thresholds, axis=1, kind="stable")
    return replace(rates, shape=draws.shape, low=low, high=high, order=order)
