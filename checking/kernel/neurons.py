"""What one step of a neuron may do, with the rounding of its run as a box of disturbance.

v = λ·u + a·I + δ with |δ| ≤ `extra`: 4u of λ·|u| and of |a·Î|, which covers that λ, both products and the sum are
each rounded once ((1 + u)³ − 1 ≤ 4u; proofs/Float.v), and |a| times how far the run's Î is from the exact I. No
rule knows of floats.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..network.neurons import Described
from ..numbers.exact import Arithmetic
from .numbers import ONE, Box, above, exactly, scaled, times


@dataclass(frozen=True)
class KernelNeuron:
    """Constants on the grid.

    Attributes:
        decay, drop: λ, and what a subtracting reset takes.
        high, low: silence means v ≤ high = θ + tie, a spike v ≥ low = θ − tie, whichever side of θ fires.
        reset: "zero", "subtract" or "none".
        scale: a, (T,); periodic: whether a run that a spike sets back to its start repeats itself.
        unit, tiny: 4u and 8·tiny of the run's arithmetic, rounded up.
        rest: how many steps behind a spike v is 0 and nothing fires.
        raises, fading: β and ρ: θ is θ + β·A, A[t+1] = ρ·A[t] + s[t], from A = 0.
    """

    decay: int
    drop: int
    high: int
    low: int
    reset: str
    scale: tuple[int, ...]
    periodic: bool
    unit: int
    tiny: int
    rest: int = 0
    raises: int = 0
    fading: int = 0

    @staticmethod
    def of(neuron: Described, arithmetic: Arithmetic) -> "KernelNeuron":
        """Return the neuron of a model file."""
        threshold, tie = exactly(neuron.threshold, "a threshold"), above(neuron.tie(arithmetic))
        scale = tuple(exactly(a, "an input scale") for a in neuron.scale)
        decay, drop = exactly(neuron.decay, "a decay"), exactly(neuron.drop, "a reset_amount")
        raises, fading = exactly(neuron.raises, "an adaptation"), exactly(neuron.fading, "a threshold_decay")
        periodic = neuron.reset == "zero" and len(set(scale)) == 1 and not raises
        rounding = above(4 * arithmetic.unit), above(8 * arithmetic.tiny)
        return KernelNeuron(
            decay,
            drop,
            threshold + tie,
            threshold - tie,
            neuron.reset,
            scale,
            periodic,
            *rounding,
            neuron.rest,
            raises,
            fading,
        )

    def slip(self, potential: int, current: int) -> int:
        """Return what rounding may add at a step, for |u| and |a·Î| up to these."""
        return times(self.unit, times(self.decay, potential)[1] + current)[1] + self.tiny

    def limits(self, raised: Box) -> Box:
        """Return the greatest v of silence and the least of a spike, for A in a box; θ + β·A rounds thrice."""
        if not self.raises:
            return self.high, self.low
        least, most = scaled(raised, self.raises)
        loose = times(self.unit, abs(self.high) + max(abs(least), abs(most)))[1] + self.tiny
        return self.high + most + loose, self.low + least - loose

    def raised(self, raised: Box, spike: int) -> Box:
        """Return where A may be behind a step, for A in a box before it; ρ·A + s rounds three times."""
        low, high = scaled(raised, self.fading)
        loose = times(self.unit, spike * ONE + max(abs(low), abs(high)))[1] + self.tiny
        return (low + spike * ONE - loose, high + spike * ONE + loose) if self.raises else (0, 0)

    def parts(self, low: int, high: int, raised: Box) -> Iterator[tuple[int, Box]]:
        """Yield silence and a spike, where v in [low, high] may be so, each with the part of v that is."""
        most, least = self.limits(raised)
        if low <= most:
            yield 0, (low, min(high, most))
        if high >= least:
            yield 1, (max(low, least), high)

    def keeps(self, spike: int) -> bool:
        """Return whether what comes behind the step depends on v; else it is 0."""
        return not spike or self.reset != "zero"

    def shift(self, spike: int) -> int:
        """Return what the reset takes from v."""
        return self.drop if spike and self.reset == "subtract" else 0

    def lost(self, spike: int, part: Box) -> int:
        """Return how far what the run has behind the step may be from v − shift."""
        if not self.shift(spike):
            return 0
        return times(self.unit, max(map(abs, part)) + self.drop)[1] + self.tiny

    def after(self, spike: int, part: Box) -> Box:
        """Return where the potential may be behind the step, for v in `part`."""
        if not self.keeps(spike):
            return 0, 0
        less, loose = self.shift(spike), self.lost(spike, part)
        return part[0] - less - loose, part[1] - less + loose
