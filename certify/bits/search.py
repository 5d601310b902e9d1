"""The least margin of a rate-coded network, window by window of its steps.

Let a row's margin be c + Σ_t A[t]·s[t] for the last layer's spikes s. For any cut of the steps into windows,

    min over the set of c + Σ_t A[t]·s[t]  ≥  c + Σ_windows min over the set of Σ_{t in window} A[t]·s[t],

and a window's minimum is at least that over the bits of its own steps, each open one 0 or 1 by itself, from
potentials anywhere in the boxes that all runs keep before it (known.py). A node fixes some of these bits. The
interval recursion from the boxes through the window holds every run that has them, layer by layer and step by
step: an open bit moves a current by half its column around the middle, an open spike the next layer's by half of
its. Each open spike of the last layer costs A where that is below 0. Both children of a node have all its runs
between them, so the least bound of the nodes that are open or closed bounds the window, whichever are split; a
child's is at least its parent's.

Where no layer forgets (λ = 1) and all subtract d, what came in is known better than what is left of it. With L[t]
the sum of a neuron's currents up to step t and S[t] its count, v[t] = L[t] − d·S[t−1], and

    S[t] = S[t−1] + (1 if L[t] − d·S[t−1] ≥ θ, else 0)  does not fall with L[t], nor with S[t−1]:

from S[t−1] + 1 or more it ends at S[t−1] + 1 at least. So by induction the runs of both ends of L have the fewest
and the most spikes up to each step, a spike at the lower end being one above `surely`, at the upper end one from
`perhaps` on. The next layer's L is Σ W·S[t] + b·t of these counts, and costs that are the same at all steps are
about S[T]. Windows there are all steps at once.

A window of few steps has few bits, and is searched to its end in milliseconds; a longer one knows of more
potentials where they come from. So windows grow, until the row is proven or the time is up. Whatever is known of
windows of all lengths, the best cut is one path from step to step, found by dynamic programming (partition.py).
Rounding: known.py; a sum of t widened currents is t widenings off.
"""

from dataclasses import dataclass

from ...kernels.bits import CompiledBits
from ...models.constants import at_least, settle, wholes
from ...models.deadline import Expired
from .cutting import counted, window
from .known import KnownNetwork
from .partition import Partition
from .patterns import Asked, Patterns

AT_ONCE = 1000
"""Nodes that are split in one call: milliseconds."""


@dataclass(frozen=True)
class BitSearch:
    """How to search.

    Args:
        most: splits of a row, over all windows of one length.
        capacity: nodes that may be open in a window.
        lengths: of windows, in turn; those before stay.
    """

    most: int = 2**18
    capacity: int = 2**20
    lengths: tuple[int, ...] = (1, 2, 3, 5)

    def __post_init__(self) -> None:
        settle(self, at_least(1), "most", "capacity")
        settle(self, _lengths, "lengths")

    def run(
        self,
        network: KnownNetwork,
        row: int,
        kernel: CompiledBits,
        expired: Expired,
        asked: Asked = lambda fixed, ones: None,
    ) -> float:
        """Return a lower bound of a row's margin, above its floor; one above 0 is not improved.

        What `asked` takes is an input that may fail.
        """
        steps, whole = len(network.certain), counted(network, row)
        known = Partition(steps, float(network.constant[row]), self.capacity, kernel)
        best = -float("inf")
        if whole is not None and not expired():
            known.add(slice(0, steps), whole)
            best = self._bound(known, expired)
        patterns = None if network.counts else Patterns.of(network, row, kernel)
        if patterns is not None:
            return max(best, patterns.run(self.most, expired, asked))
        for length in dict.fromkeys(min(length, steps) for length in self.lengths):
            if best > 0.0 or expired():
                break
            for start in range(steps):
                part = slice(start, min(start + length, steps))
                made = None if part in known else window(network, row, part)
                if made is not None:
                    known.add(part, made)
            best = self._bound(known, expired)
        return best

    def _bound(self, known: Partition, expired: Expired) -> float:
        """Return the bound that windows have together, splitting where that may prove the row."""
        for _ in range(self.most // AT_ONCE):
            chosen = None if known.low > 0.0 or expired() else known.next()
            if chosen is None:
                break
            known.split(chosen, AT_ONCE)
        return known.low


def _lengths(name: str, values: object) -> tuple[int, ...]:
    """Return lengths of windows: of less than one step none would be made, and nothing would cost anything."""
    return tuple(at_least(1)(f"{name}[{index}]", value) for index, value in enumerate(wholes(name, values)))
