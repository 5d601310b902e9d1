"""Which spikes the few last neurons that a margin is about have, in steps in a row.

Let J be the last layer's neurons with costs in a row, few: of spike counts, those of two classes. A run is a
sequence p[1], …, p[T] of their spikes, p[t] in {0, 1}^J, and its margin is c + Σ_t A[t]·p[t]. Let a stretch
(p[s], …, p[t]) be *refuted* where a search over the bits of its own steps proves that no run has these spikes
there. No sequence of a run holds a refuted stretch, so

    min over the set  ≥  c + min of Σ_t A[t]·p[t] over all sequences that hold none,

whichever stretches were searched. A window of partition.py, with these spikes as what is known of its last layer,
is searched for a node that is not empty: spikes that are chosen say what a reset leaves, and contradict bits.

The least sequence is found, a search by best first: what is to come costs no less than by refuted stretches of one
and two steps alone. One of its stretches of n steps is searched next, n from 1 on; a stretch that is refuted
changes the least sequence, and where none is, n grows, then the nodes. At n = T a stretch is all of the run: where
no splits refute it, what they have fixed is asked for.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...kernels.bits import MOST_BITS, BitHeap, BitWindow, CompiledBits
from ..search import Limits, OneByOne
from .known import KnownNetwork
from .partition import AT_ONCE, window

MOST_WATCHED = 3
"""Neurons: a step has up to 2³ patterns."""

ROUNDS = tuple(2**power for power in (8, 11, 14, 17))
"""Splits of a stretch; each is begun anew, since few are."""

Asked = Callable[[Tensor, Tensor], None]
"""Takes which bits are fixed, and which of these are 1, (T, inputs) each: an input that may fail."""

Pattern = tuple[int, ...]
Stretch = tuple[int, tuple[Pattern, ...]]
"""The step behind its last one, and its patterns."""
Trial = tuple[Stretch, int]
"""A stretch, and how many nodes its search may split."""


@dataclass
class Patterns(OneByOne[Trial]):
    """The sequences of a row that are not refuted; a part is a stretch that is searched.

    Args:
        network, row: what is asked.
        watched: J.
        values: Σ A[t]·p of each pattern that may be, step by step.
        kernel: what splits.
        longest: steps of a refuted stretch.
        refuted, kept: stretches that no run has; that no splits refute.
        tried: the splits of all that were searched.
        begun: windows of steps before patterns are chosen, and where J is in each.
        rounds: how many splits and how many steps, in turn.
    """

    network: KnownNetwork
    row: int
    watched: list[int]
    values: list[dict[Pattern, float]]
    kernel: CompiledBits
    longest: int = 1
    refuted: set[Stretch] = field(default_factory=set)
    kept: set[Stretch] = field(default_factory=set)
    tried: dict[Stretch, int] = field(default_factory=dict)
    begun: dict[tuple[int, int], tuple[BitWindow, list[int]] | None] = field(default_factory=dict)
    rounds: list[tuple[int, int]] = field(default_factory=list)

    @staticmethod
    def of(network: KnownNetwork, row: int, kernel: CompiledBits) -> "Patterns | None":
        """Return all sequences of a row; None where it is about too many neurons."""
        costs, last = network.costs[row], network.stages[-1]
        watched = (costs != 0).any(0).nonzero().flatten()
        if len(watched) > MOST_WATCHED:
            return None
        values = []
        for cost, may, must in zip(costs[:, watched], last.may[:, watched], last.must[:, watched], strict=True):
            every = itertools.product(
                *(range(int(low), int(high) + 1) for low, high in zip(must, may, strict=True))
            )
            values.append({spikes: float(cost @ torch.tensor(spikes).to(cost)) for spikes in every})
        return Patterns(network, row, watched.tolist(), values, kernel)

    def run(self, most: int, limits: Limits, asked: Asked) -> float:
        """Return a lower bound of the row's margin; one above 0 is not improved.

        Args:
            most: splits of a stretch.
            limits: when to end.
            asked: what is told of a least sequence that no splits refute.
        """
        self.rounds = list(
            itertools.product((min(nodes, most) for nodes in ROUNDS), range(1, len(self.values) + 1))
        )
        self.expired, self.asked = limits.expired, asked
        self.search(limits)
        return self._least[0]

    def next(self) -> Trial | None:
        """Return the next stretch of the least sequence, and the splits it may take; None: nothing else helps."""
        steps = len(self.values)
        while self.rounds:
            nodes, length = self.rounds[0]
            low, least = self._least = self.least(max(length, self.longest))
            if low > 0.0 or (steps, least) in self.kept:
                return None
            for t in range(1, steps + 1):
                stretch = t, least[max(0, t - length) : t]
                if stretch not in self.kept and self.tried.get(stretch, 0) < nodes:
                    return stretch, nodes
            del self.rounds[0]
        return None

    @property
    def bytes(self) -> int:
        """Return 0: of each stretch a word is kept."""
        return 0

    def standing(self) -> dict[str, float]:
        """Return how many stretches were searched, and how many are refuted."""
        return {"nodes": float(len(self.tried)), "closed": float(len(self.refuted))}

    def least(self, length: int) -> tuple[float, tuple[Pattern, ...]]:
        """Return the least margin of a sequence without refuted stretches, none of them longer, and such a one.

        What a sum of a few numbers rounds is in what `KnownNetwork.constant` pays.
        """
        ahead = self._ahead(min(length, 2))
        queue, seen = [(float(self.network.constant[self.row]), 0, tuple[Pattern, ...]())], set[Stretch]()
        while queue:
            bound, left, before = heapq.heappop(queue)
            if left == -len(self.values):
                return bound, before
            state = -left, before[max(0, len(before) - length + 1) :]
            if state in seen:
                continue
            seen.add(state)
            spent = bound - (ahead[len(before) - 1][before[-1]] if before else 0.0)
            for pattern, value in self.values[-left].items():
                made, rest = (*before, pattern), ahead[-left][pattern]
                if rest < float("inf") and not self._holds(1 - left, made[-length:]):
                    heapq.heappush(queue, (spent + value + rest, left - 1, made))
        return float("inf"), ()

    def _ahead(self, length: int) -> list[dict[Pattern, float]]:
        """Return the least that is to come behind each step's patterns, by stretches of `length` ≤ 2 steps."""
        found = [dict.fromkeys(self.values[-1], 0.0)]
        for t in range(len(self.values) - 1, 0, -1):
            after = {pattern: self.values[t][pattern] + rest for pattern, rest in found[0].items()}
            least = {
                before: min(
                    (
                        rest
                        for pattern, rest in after.items()
                        if not self._holds(t + 1, (before, pattern)[-length:])
                    ),
                    default=float("inf"),
                )
                for before in self.values[t - 1]
            }
            found.insert(0, least)
        return found

    def _holds(self, stop: int, patterns: tuple[Pattern, ...]) -> bool:
        """Return whether patterns up to a step end in a refuted stretch."""
        return any((stop, patterns[-length:]) in self.refuted for length in range(1, len(patterns) + 1))

    def bound(self, part: Trial) -> None:
        """Search a stretch: splits refute it, or leave it."""
        stretch, nodes = part
        self.tried[stretch] = nodes
        found = self._window(stretch)
        if found is None:
            return
        heap = BitHeap.of(found, nodes + 1)
        for done in range(0, nodes, AT_ONCE):
            if heap.done or self.expired():
                break
            self.kernel.split(found, heap, min(AT_ONCE, nodes - done), 1.0)
        if heap.low > 0.0:
            self.refuted.add(stretch)
            self.longest = max(self.longest, len(stretch[1]))
        elif float(heap.closed) == 0.0:
            self.kept.add(stretch)
            if len(stretch[1]) == len(self.values):
                self.asked(*self._inputs(heap))

    def _inputs(self, heap: BitHeap) -> tuple[Tensor, Tensor]:
        """Return which bits a node of all steps fixes, and which of these are 1, (T, inputs) each."""
        where = self.network.open
        found = torch.zeros_like(where), torch.zeros_like(where)
        for bits, own in zip(found, heap.leaf(int(where.sum())), strict=True):
            bits[where] = own
        return found

    def _window(self, stretch: Stretch) -> BitWindow | None:
        """Return the window of runs that have a stretch: its margins are 0; None for too many open bits."""
        stop, patterns = stretch
        steps = slice(stop - len(patterns), stop)
        if (steps.start, stop) not in self.begun:
            made, opened = window(self.network, self.row, steps), self.network.opened(steps)[-1]
            fits = made is not None and len(made.step) + len(made.known) <= MOST_BITS
            self.begun[steps.start, stop] = (made, opened.tolist()) if made is not None and fits else None
        begun = self.begun[steps.start, stop]
        if begun is None:
            return None
        part, opened = begun
        places = [(place, opened.index(neuron)) for place, neuron in enumerate(self.watched) if neuron in opened]
        known, costs = part.known.clone(), torch.zeros_like(part.costs)
        last = known[len(known) - costs.numel() :].view_as(costs)
        chosen = torch.tensor(patterns)
        for place, column in places:
            last[:, column] = 3 * chosen[:, place]
            costs[:, column] = 1.0 - 2.0 * chosen[:, place]
        constant = float(sum(chosen[:, place].sum() for place, _ in places))
        return replace(part, known=known, costs=costs, constant=constant, spikes=True)
