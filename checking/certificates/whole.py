"""Invariants and tables of whole neurons (rule Z): nodes by the last spike's step, or by how many there were."""

from collections.abc import Iterator
from functools import lru_cache

from ..kernel.invariants import NODE, Driven
from ..kernel.numbers import ONE, Box
from ..kernel.tables import Train
from ..kernel.whole import WholeNeuron, WholeNode, cut_whole, onto_whole
from ..work import spend

MOST_LABELS = 32
"""How many nodes a level has where spikes are counted: neighbours share one beyond that."""
MOST_ROWS = 4096
Span = tuple[Box, Box]
"""An interval of w, and one of u."""


@lru_cache(64)
def table_of(neuron: WholeNeuron, low: int, high: int) -> tuple[tuple[Train, Box], ...] | None:
    """Return the rows of all whole currents between two, in order; None where they are too many.

    Raises:
        Refused: where one of them wraps.
    """
    done: list[tuple[int, int, Train]] = []
    ends = [(low, high, neuron.run(low), neuron.run(high))]
    while ends:
        first, last, one, two = ends.pop()
        spend(NODE * len(one))
        if one == two:
            if done and done[-1][2] == one:
                first = done.pop()[0]
            done.append((first, last, one))
        elif len(done) + len(ends) > MOST_ROWS:
            return None
        else:
            middle = (first + last) // 2
            ends += [(middle + 1, last, neuron.run(middle + 1), two), (first, middle, one, neuron.run(middle))]
    return tuple((train, (first * ONE, last * ONE)) for first, last, train in done)


def rows_of(neuron: WholeNeuron, currents: list[Box]) -> tuple[tuple[Train, Box], ...] | None:
    """Return the rows of a layer's currents. Raise as `table_of` does."""
    boxes = list(map(onto_whole, currents))
    return table_of(neuron, min(low for low, _ in boxes), max(high for _, high in boxes))


def states_of(neuron: WholeNeuron, driven: Driven, windows: bool) -> list[list[WholeNode]]:
    """Return the levels of a neuron's invariant.

    Args:
        neuron: its constants.
        driven: what is known of its current.
        windows: whether windows are asked.

    Raises:
        Refused: where a number may wrap.
    """
    builder = _StateBuilder(neuron, driven, windows)
    for t in range(len(driven.boxes)):
        builder.step(t)
    return builder.levels


class _StateBuilder:
    """Nodes by label: the level that the last spike led to, 0 before any, or how many spikes there were."""

    def __init__(self, neuron: WholeNeuron, driven: Driven, windows: bool) -> None:
        self.driven, self.neuron, own = driven, neuron, neuron.own
        self.windows = windows and own.synapse is None and own.leak.share > 0
        self.spans: dict[int, Span] = {0: ((0, 0), (0, 0))}
        self.chains: dict[int, list[Box]] = {0: []}
        self.parents: dict[int, int] = {}
        self.levels: list[list[WholeNode]] = [[]]

    def step(self, t: int) -> None:
        """Add the level behind step t + 1, and say where the one before leads."""
        ahead, chains, parents = dict[int, Span](), dict[int, list[Box]](), dict[int, int]()
        ways, cuts = dict[int, dict[int, int]](), dict[int, tuple[int, ...]]()
        for label, (w, u) in self.spans.items():
            spend(NODE)
            chain = [*self.chains[label], (w[0] * ONE, w[1] * ONE)]
            ways[label], cuts[label] = {}, ()
            for n, to, after, drive, alone, cut in self._ways(t, label, w, u, chain):
                ways[label][n], cuts[label] = to, cut
                old = ahead.get(to, (after, drive))
                ahead[to] = _hull(old[0], after), _hull(old[1], drive)
                if alone:
                    chains[to], parents[to] = chain, label
        if len(ahead) > MOST_LABELS and self.neuron.own.reset == "subtract":
            merged = {label: place * MOST_LABELS // len(ahead) for place, label in enumerate(sorted(ahead))}
            ways = {label: {n: merged[to] for n, to in own.items()} for label, own in ways.items()}
            joined = dict[int, Span]()
            for label, span in ahead.items():
                old = joined.get(merged[label], span)
                joined[merged[label]] = _hull(old[0], span[0]), _hull(old[1], span[1])
            ahead, chains, parents = joined, {}, {}
        self._close(ways, cuts, list(ahead))
        self.spans, self.parents = ahead, parents
        self.chains = {label: chains.get(label, []) for label in ahead}
        order = {label: index for index, label in enumerate(ways)}
        self.levels.append(
            [WholeNode(*w, u, order[parents[to]] if to in parents else -1, (), ()) for to, (w, u) in ahead.items()]
        )

    def _close(self, ways: dict[int, dict[int, int]], cuts: dict[int, tuple[int, ...]], ahead: list[int]) -> None:
        """Complete the latest level."""
        if not self.levels[0]:
            self.levels[0] = [WholeNode(0, 0, (0, 0), -1, (), ())]
        order = {label: index for index, label in enumerate(ahead)}
        self.levels[-1] = [
            node._replace(
                targets=tuple(
                    order.get(ways[label].get(n, -1), -1) for n in range(max(ways[label], default=-1) + 1)
                ),
                cuts=cuts[label],
            )
            for label, node in zip(ways, self.levels[-1], strict=True)
        ]

    def _ways(
        self, t: int, label: int, w: Box, u: Box, chain: list[Box]
    ) -> Iterator[tuple[int, int, Box, Box, bool, tuple[int, ...]]]:
        """Yield counts, labels, what is left, and whether that has this parent alone, and cuts."""
        neuron, currents = self.neuron, onto_whole(self.driven.boxes[t])
        if currents[0] > currents[1]:
            return
        rests = neuron.own.reset == "zero" and label > 0 and t < label + neuron.own.rest
        drive, cuts = neuron.driven(u, currents), list[int]()
        free = (0, 0) if rests else neuron.potential(w, drive)
        for back in range(1, len(chain)) if self.windows and not rests else ():
            cut = cut_whole(self.driven, neuron, t, (back,), chain, free)
            if cut != free:
                cuts.append(back)
                free = cut
        if free[0] > free[1]:
            return
        v, (certain, possible) = neuron.held(free), self.driven.bits[t]
        for n, part in neuron.counts(v):
            if certain <= n <= possible:
                alone = self.windows and n == 0 and not rests and v == free and neuron.own.reset == "zero"
                yield n, self._label(t, label, n), neuron.after(n, part), drive, alone, tuple(cuts)

    def _label(self, t: int, label: int, n: int) -> int:
        if self.neuron.own.reset == "zero":
            return t + 1 if n else label
        return label + n if self.neuron.own.reset == "subtract" else 0


def _hull(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), max(one[1], other[1])
