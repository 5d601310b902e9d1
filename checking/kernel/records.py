"""The records of a certificate, one a line: a word, whole numbers, and numbers of the grid.

    table P  (train low high)…          all trains of the layer at place P, whose currents are constant; of whole
                                        neurons counts by commas, as in 0,3,1
    graph P j  n₀ … n_T  nodes          an invariant of neuron j: how many nodes each level has, and each of them:
                                        low high parent silent spike c cuts… and 0, or 1 and the ends of Y
                                        of whole neurons: the ends of w and of u, parent, k targets…, c cuts…
    through P  γ_1 … γ_T                multipliers of currents that bound what came in from the start, of all of P
    narrow P  (m sign K (k ν)…)…        multipliers ν of the slabs of neurons k
    class k                             the tree about class k, or about a property's clause k from 0, begins
    rows P j r                          a split: neuron j has a row before the r-th, then: one from it on
    spike P j t                         a split: silence of neuron j at step t (from 0), then: spikes
    input i t v                         a split: input i, at step t or 0, is v or less, then: v or more; of whole
                                        inputs: v + 1 or more
    leaf                                the potentials of a leaf begin, the last layer's first
    leaf r                              of a clause of several rows: it bounds row r, from 0
    heard P j  μ₁ … μ_T                 prices of a neuron that hears its layer, before all potentials of that
    potential P j  μ₁ … μ_T  levels     prices, and of each node its pieces: n (a b)…  s (i m)…  f (i m)…
    pair P j k  n₀ … n_T  nodes         what two neurons cost together, at prices 0: of each node the ends of u and
                                        Y of j and of k, and where no spike, one of k, one of j and both lead
    price P j μ                         a price on the constant current of neuron j
    close                               the leaf's bound suffices
    empty                               no run is left here

Numbers of the grid: numbers.py.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from ..refusal import Refused
from .invariants import InvariantNode
from .numbers import Box, number
from .potentials import Hints, Potential
from .tables import PairNode, Train
from .whole import WholeNode, onto_whole

WHOLE = re.compile("-?[0-9]{1,8}")
TRAIN, COUNTS = re.compile("[01]+"), re.compile("[0-9]{1,3}(?:,[0-9]{1,3})*")


@lru_cache(1 << 12)
def _whole(word: str) -> int | None:
    return int(word) if WHOLE.fullmatch(word) else None


class Fields:
    """What is left of a record's words, taken one after the other."""

    def __init__(self, words: list[str]) -> None:
        self._words, self._place = words, 0

    def word(self) -> str:
        """Return the next word.

        Raises:
            Refused: where there is none.
        """
        if self._place == len(self._words):
            raise Refused("a record is cut short")
        self._place += 1
        return self._words[self._place - 1]

    def __bool__(self) -> bool:
        return self._place < len(self._words)

    def whole(self, most: int = 1 << 24, least: int = 0) -> int:
        """Return a whole number in a range.

        Raises:
            Refused: for anything else.
        """
        word = self.word()
        value = _whole(word)
        if value is None or not least <= value <= most:
            raise Refused(f"got {word[:20]!r}, expected a whole number from {least} to {most}")
        return value

    def number(self) -> int:
        """Return a number of the grid."""
        return number(self.word())

    def box(self) -> Box:
        """Return two numbers."""
        return self.number(), self.number()

    def end(self) -> None:
        """Refuse words that are left."""
        if self:
            raise Refused("a record goes on behind its end")


def rows(fields: Fields, counts: bool = False) -> Iterator[tuple[Train, Box]]:
    """Yield the rows of a table; `counts`: its trains are numbers of spikes."""
    while fields:
        train = fields.word()
        if not (COUNTS if counts else TRAIN).fullmatch(train):
            raise Refused(f"got {train[:20]!r}, expected a train of {'counts' if counts else '0 and 1'}")
        yield tuple(map(int, train.split(",") if counts else train)), fields.box()


def levels(fields: Fields, steps: int) -> list[list[InvariantNode]]:
    """Return the nodes of an invariant."""
    counts = [fields.whole(1 << 16) for _ in range(steps + 1)]
    return [[_node(fields) for _ in range(count)] for count in counts]


def _node(fields: Fields) -> InvariantNode:
    low, high = fields.box()
    parent, silent, spike = (fields.whole(1 << 16, -1) for _ in range(3))
    cuts = tuple(fields.whole() for _ in range(fields.whole()))
    return InvariantNode(low, high, parent, silent, spike, cuts, fields.box() if fields.whole(1) else None)


def states(fields: Fields, steps: int) -> list[list[WholeNode]]:
    """Return the nodes of an invariant of whole neurons."""
    counts = [fields.whole(1 << 16) for _ in range(steps + 1)]
    return [[_state(fields) for _ in range(count)] for count in counts]


def _state(fields: Fields) -> WholeNode:
    w, u, parent = onto_whole(fields.box()), onto_whole(fields.box()), fields.whole(1 << 16, -1)
    targets, cuts = (tuple(fields.whole(1 << 16, -1) for _ in range(fields.whole(256))) for _ in range(2))
    return WholeNode(*w, u, parent, targets, cuts)


def pairs(fields: Fields, steps: int) -> list[list[PairNode]]:
    """Return the nodes of a pair."""
    counts = [fields.whole(1 << 16) for _ in range(steps + 1)]
    return [[_pair(fields) for _ in range(count)] for count in counts]


def _pair(fields: Fields) -> PairNode:
    one, two = (InvariantNode(*fields.box(), -1, -1, -1, (), fields.box()) for _ in range(2))
    silent, last, first, both = (fields.whole(1 << 16, -1) for _ in range(4))
    return PairNode((one, two), (silent, last, first, both))


def potentials(fields: Fields, sizes: list[int]) -> list[list[Potential]]:
    """Return the potentials of each node of all levels but the last, of these sizes."""
    return [[_potential(fields) for _ in range(size)] for size in sizes]


def _potential(fields: Fields) -> Potential:
    pieces = [fields.box() for _ in range(fields.whole())]
    return Potential(pieces, *(_hints(fields, len(pieces)) for _ in range(2)))


def _hints(fields: Fields, pieces: int) -> Hints:
    return [(fields.whole(pieces - 1), fields.number()) for _ in range(fields.whole())]


def bounds(fields: Fields) -> Iterator[tuple[int, int, dict[int, int]]]:
    """Yield what narrows currents: a neuron, a sign, multipliers."""
    while fields:
        neuron, sign = fields.whole(), fields.whole(1, -1)
        yield neuron, sign, {fields.whole(): fields.number() for _ in range(fields.whole())}
