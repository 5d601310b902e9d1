"""A synapse, or a delay: an affine map over time, i[t] = κ·i[t−1] + x[t−d], i[0] = 0, x[k] = 0 for k ≤ 0.

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

from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import GRID, Dyadic, Refused, whole
from ..work import spend

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
