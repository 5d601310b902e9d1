"""Take from a certificate all that it has to spare: each end and each constant goes to the last number that holds.

What a rule allows is asked of the kernel itself, record by record: what is left of a node is the hull of what
moves leave there, a row holds the currents that give its train, and a piece of a potential is as high as its moves
let it be. So the next number of the grid is refused, whichever end it is, and a kernel that allows more is told.
"""

from collections.abc import Callable, Iterable

import numpy as np

from spikecert.checking.certificates import words
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.invariants import Driven, InvariantNode, SpikeBalance, inductive
from spikecert.checking.kernel.numbers import GRID, ONE, Box, common
from spikecert.checking.kernel.potentials import Potential, rise
from spikecert.checking.kernel.records import Fields, levels, pairs, potentials, rows, states
from spikecert.checking.kernel.tables import PairNode, followed, moves
from spikecert.checking.kernel.whole import WholeNeuron, WholeNode, inductive_whole, onto_whole

PASSES = 60
"""A narrower node rounds less, so all are narrowed again, by 2^-20 of the last time: the grid ends it."""


def hull(boxes: Iterable[Box], idle: Box = (0, 0)) -> Box:
    """Return the least box around some; `idle`: where there are none."""
    lows, highs = zip(*boxes, strict=True) if (boxes := list(boxes)) else ((idle[0],), (idle[1],))
    return min(lows), max(highs)


class Tightener:
    """A kernel's state, and the records that it took; `generator` draws other slopes and multipliers."""

    def __init__(self, checker: Checker, generator: np.random.Generator | None = None) -> None:
        self.checker, self.generator, self.records = checker, generator, list[str]()

    def take(self, record: str) -> str:
        """Return a record made tight, which the state has taken."""
        word, *rest = record.split()
        makers: dict[str, Callable[[str, Fields], str]] = {
            "table": self._table, "graph": self._graph, "potential": self._potential, "pair": self._pair,
        }  # fmt: skip
        found = makers[word](record, Fields(rest)) if word in makers else record
        self.checker._take(word, Fields(found.split()[1:]))
        self.records.append(found)
        return found

    # ---- tables ----------------------------------------------------------------------------------
    def _table(self, record: str, fields: Fields) -> str:
        place = fields.whole()
        node, currents = self.checker.nodes.spiking(place), self.checker.context.nodes_currents(place)
        if node.whole is not None:
            found = list(rows(fields, counts=True))
            low, high = hull(map(onto_whole, currents))
            kept = [(train, (max(one, low * ONE), min(two, high * ONE))) for train, (one, two) in found]
            return words.table(place, kept, ",")
        found, held = list(rows(fields)), dict[int, list[Box]]()
        for train, box in followed(node.neuron, currents):
            r = next(r for r, (own, row) in enumerate(found) if own == train and common(row, box) == box)
            held.setdefault(r, []).append(box)
        return words.table(place, [(train, hull(held.get(r, ()), row)) for r, (train, row) in enumerate(found)])

    # ---- invariants ------------------------------------------------------------------------------
    def _graph(self, record: str, fields: Fields) -> str:
        place, j = fields.whole(), fields.whole()
        steps, whole = self.checker.network.steps, self.checker.nodes.spiking(place).whole
        if self.checker.context.empty[0]:
            return record
        driven = self.checker._driven(place, j)
        if whole is not None:
            return words.states(place, j, _settled(states(fields, steps), lambda x: _whole(whole, driven, x)))
        return words.graph(place, j, _settled(levels(fields, steps), lambda x: _narrowed(driven, x)))

    # ---- leaves ----------------------------------------------------------------------------------
    def _potential(self, record: str, fields: Fields) -> str:
        place, j = fields.whole(), fields.whole()
        leaf, invariant = self.checker.leaf, self.checker.context.invariants[place][j]
        assert leaf is not None
        assert invariant is not None
        leaf.descend(place)
        costs, prices = leaf.open[j], [fields.number() for _ in range(self.checker.network.steps)]
        found, neuron = (
            potentials(fields, list(map(len, invariant.levels[:-1]))),
            self.checker.nodes.spiking(place),
        )
        ahead = [Potential([(0, 0)], [], [])] * len(invariant.levels[-1])
        for t in reversed(range(len(found))):
            for n, own in enumerate(map(self._stirred, found[t])):
                node, most = invariant.levels[t][n], dict[int, int]()
                for move in invariant.moves[t][n] or ():
                    hints = own.spike if move.spike else own.silent
                    for piece, (i, m) in zip(ahead[move.target].pieces, hints, strict=True):
                        here, u = (0, own.pieces[i][1]), (node.low, node.high)
                        left = rise(neuron.neuron, invariant, t, u, move, piece, here, m, prices[t])
                        left = left + (costs[t] * move.spike << 2 * GRID) >> 2 * GRID
                        most[i] = min(most.get(i, left), left)
                found[t][n] = own._replace(pieces=[(most.get(i, a), b) for i, (a, b) in enumerate(own.pieces)])
            ahead = found[t]
        return words.potential(place, j, prices, found)

    def _stirred(self, own: Potential) -> Potential:
        """Return slopes and multipliers with something added to some: any are sound, and each term counts then."""
        if self.generator is None:
            return own
        pieces = [(a, b + self._some()) for a, b in own.pieces]
        return Potential(pieces, *([(i, m + self._some()) for i, m in each] for each in (own.silent, own.spike)))

    def _some(self) -> int:
        assert self.generator is not None
        return int(self.generator.choice([0, 0, -3, 1, 2])) << GRID - 3

    def _pair(self, record: str, fields: Fields) -> str:
        place, one, two = fields.whole(), fields.whole(), fields.whole()
        pair = self.checker._driven(place, one), self.checker._driven(place, two)
        strips, found = self.checker._strips(place, one, two), pairs(fields, self.checker.network.steps)
        return words.pair(place, one, two, _settled(found, lambda x: _paired(pair, strips, x)))


def _settled(found: list, narrowed: Callable[[list], list]) -> list:
    """Return levels once nothing of them is wider than it must be."""
    for _ in range(PASSES):
        old, found = found, narrowed(found)
        if found == old:
            return found
    raise AssertionError("levels that do not settle")


def _narrowed(driven: Driven, found: list[list[InvariantNode]]) -> list[list[InvariantNode]]:
    invariant, balance = inductive(driven, found), SpikeBalance.of(driven, found)
    narrow = [[found[0][0]._replace(low=0, high=0, taken=found[0][0].taken and (0, 0)), *found[0][1:]]]
    for t, level in enumerate(invariant.moves):
        left: list[list[Box]] = [[] for _ in found[t + 1]]
        took: list[list[Box]] = [[] for _ in found[t + 1]]
        for n, moved in enumerate(level):
            for move in moved or ():
                image = driven.neuron.after(move.spike, move.part)
                left[move.target].append(image)
                if found[t][n].taken is not None:
                    took[move.target].append(balance.after(t, found[t][n], move.spike, image))
        ends = [(hull(a), node.taken and hull(b)) for a, b, node in zip(left, took, found[t + 1], strict=True)]
        ahead = zip(found[t + 1], ends, strict=True)
        narrow.append([node._replace(low=u[0], high=u[1], taken=taken) for node, (u, taken) in ahead])
    return narrow


def _whole(neuron: WholeNeuron, driven: Driven, found: list[list[WholeNode]]) -> list[list[WholeNode]]:
    invariant = inductive_whole(neuron, driven, found)
    narrow = [[found[0][0]._replace(low=0, high=0, synapse=(0, 0)), *found[0][1:]]]
    for t, level in enumerate(invariant.moves):
        left: list[list[Box]] = [[] for _ in found[t + 1]]
        drives: list[list[Box]] = [[] for _ in found[t + 1]]
        for n, moved in enumerate(level):
            for move in moved or ():
                left[move.target].append(neuron.after(move.spike, move.part))
                drives[move.target].append(neuron.driven(found[t][n].synapse, onto_whole(driven.boxes[t])))
        ends = zip(found[t + 1], map(hull, left), map(hull, drives), strict=True)
        narrow.append([node._replace(low=w[0], high=w[1], synapse=u) for node, w, u in ends])
    return narrow


def _paired(pair: tuple[Driven, Driven], strips: list[Box], found: list[list[PairNode]]) -> list[list[PairNode]]:
    own = [[[node.sides[i] for node in level] for level in found] for i in range(2)]
    balances = [SpikeBalance.of(driven, each) for driven, each in zip(pair, own, strict=True)]
    narrow, here = [found[0]], {0}
    for t, strip in enumerate(strips):
        ends: dict[int, list[tuple[tuple[Box, Box], tuple[Box, Box]]]] = {}
        for index in here:
            for move in moves(balances, t, found[t][index].sides, strip):
                target = found[t][index].targets[2 * move.spikes[0] + move.spikes[1]]
                ends.setdefault(target, []).append(move.ends)
        narrow.append([_sides(node, ends.get(n, [])) for n, node in enumerate(found[t + 1])])
        here = set(ends)
    return narrow


def _sides(node: PairNode, ends: list[tuple[tuple[Box, Box], tuple[Box, Box]]]) -> PairNode:
    sides = []
    for i, side in enumerate(node.sides):
        u, taken = hull(end[i][0] for end in ends), hull(end[i][1] for end in ends)
        sides.append(side._replace(low=u[0], high=u[1], taken=taken))
    return node._replace(sides=(sides[0], sides[1]))
