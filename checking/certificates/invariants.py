"""Invariants of one neuron: nodes by the step of the last spike (F2), windows where they cut (F5).

Invariants of one neuron that subtracts, cells of what its spikes took (F9); of two, squares of it (F9b).
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..kernel.invariants import NODE, Driven, InvariantNode, SpikeBalance
from ..kernel.numbers import ONE, Box, scaled, times
from ..kernel.tables import PairMove, PairNode, moves
from ..work import spend
from .words import lower, upper


def levels_of(driven: Driven, windows: bool) -> list[list[InvariantNode]]:
    """Return the levels of a neuron's invariant.

    Args:
        driven: what is known of its current.
        windows: whether windows are asked.
    """
    builder = LevelBuilder(driven, windows)
    for t in range(len(driven.boxes)):
        builder.step(t)
    return builder.levels()


class LevelBuilder:
    """Nodes by label: the level that the last spike led to, 0 before any; one label alone where none matters.

    Where spikes raise the threshold, also by how many there were: a label is the level and T + 1 times the count.
    """

    def __init__(self, driven: Driven, windows: bool) -> None:
        self.driven, self.windows = driven, windows
        neuron = driven.neuron
        steps, drop = len(driven.boxes), neuron.drop if neuron.reset == "subtract" else 0
        size = 4 * steps * (driven.reach + neuron.high + drop) + ONE
        self.extra = driven.extra(size)
        self.found: list[dict[int, Box]] = [{0: (0, 0)}]
        self.raised: list[dict[int, Box]] = [{0: (0, 0)}]
        self.cuts: list[dict[int, tuple[int, ...]]] = []
        self.ways: list[dict[int, tuple[int, int]]] = []

    def step(self, t: int) -> None:
        """Add the level behind step t + 1."""
        neuron, ahead, climbed = self.driven.neuron, dict[int, Box](), dict[int, Box]()
        cuts, ways = dict[int, tuple[int, ...]](), dict[int, tuple[int, int]]()
        certain, possible = self.driven.bits[t]
        for label in self.found[t]:
            rests = self._rests(t, label)
            low, high, cuts[label] = (0, 0, ()) if rests else self._reached(t, label)
            there = [-1, -1]
            for spike, part in [(0, (0, 0))] if rests else self._parts(t, label, low, high):
                if (spike and not possible) or (not spike and certain):
                    continue
                to = 0 if not self.labelled else self._spiked(t, label) if spike else label
                image, there[spike] = neuron.after(spike, part), to
                old = ahead.get(to, image)
                ahead[to] = min(old[0], image[0]), max(old[1], image[1])
                image = neuron.raised(self.raised[t][label], spike)
                old = climbed.get(to, image)
                climbed[to] = min(old[0], image[0]), max(old[1], image[1])
            ways[label] = there[0], there[1]
            spend(NODE)
        self.found.append({label: (lower(low), upper(high)) for label, (low, high) in ahead.items()})
        self.raised.append(climbed)
        self.cuts.append(cuts)
        self.ways.append(ways)

    def _rests(self, t: int, label: int) -> bool:
        """Return whether a neuron rests at step t + 1 whose last spike led to level `label`."""
        return label > 0 and t < self._last(label) + self.driven.neuron.rest

    def _last(self, label: int) -> int:
        return label % (len(self.driven.boxes) + 1)

    def _spiked(self, t: int, label: int) -> int:
        """Return the label behind a spike at step t + 1."""
        each = len(self.driven.boxes) + 1
        return t + 1 + (label // each * each + each if self.driven.neuron.raises else 0)

    def _parts(self, t: int, label: int, low: int, high: int) -> Iterator[tuple[int, Box]]:
        yield from self.driven.neuron.parts(low, high, self.raised[t][label]) if low <= high else ()

    @property
    def labelled(self) -> bool:
        """Return whether it matters when the last spike was."""
        return self.driven.neuron.decay != 0 or self.driven.neuron.rest > 0 or self.driven.neuron.raises > 0

    def _reached(self, t: int, label: int) -> tuple[int, int, tuple[int, ...]]:
        """Return V, and the windows that cut it."""
        neuron, driven = self.driven.neuron, self.driven
        (low, high), (least, most) = (
            scaled(self.found[t][label], neuron.decay),
            scaled(driven.boxes[t], neuron.scale[t]),
        )
        low, high = low + least - self.extra, high + most + self.extra
        cuts, power, loose = [], (neuron.decay, neuron.decay), self.extra
        since = self._last(label) + self.driven.neuron.rest * (label > 0)
        for back in range(1, t - since + 1) if self.windows and neuron.decay else ():
            spend(32)
            loose = times(neuron.decay, loose)[1] + self.extra
            power = times(neuron.decay, power[0])[0], times(neuron.decay, power[1])[1]
            came, began = driven.window(t - back, t + 1), self.found[t - back][label]
            ends = scaled(began, power[0]), scaled(began, power[1])
            one = max(low, min(end[0] for end in ends) + came[0] - loose)
            two = min(high, max(end[1] for end in ends) + came[1] + loose)
            if one > low or two < high:
                cuts.append(back)
                low, high = one, two
        return low, high, tuple(cuts)

    def levels(self) -> list[list[InvariantNode]]:
        """Return all levels; the first node of the first one is the start."""
        order = [{label: index for index, label in enumerate(level)} for level in self.found]
        out = []
        for t, level in enumerate(self.found):
            nodes = []
            for label, (low, high) in level.items():
                ways = self.ways[t][label] if t < len(self.ways) else (-1, -1)
                silent, spike = (order[t + 1][to] if to >= 0 else -1 for to in ways)
                alone = t > 0 and self._last(label) < t and self.labelled and not self._rests(t - 1, label)
                parent = order[t - 1][label] if alone else -1
                cuts = self.cuts[t][label] if t < len(self.cuts) else ()
                nodes.append(InvariantNode(low, high, parent, silent, spike, cuts))
            out.append(nodes)
        return out


class SpikeCell(NamedTuple):
    """Intervals of u and of Y."""

    left: Box
    taken: Box


class CellWay(NamedTuple):
    """A move: where it comes from, silence or a spike, and what is behind it."""

    origin: int
    spike: int
    cell: SpikeCell


def cells_of(driven: Driven, count: int) -> tuple[list[list[InvariantNode]], tuple[Box, ...]]:
    """Return the levels of a neuron's invariant, of at most `count` cells each, and its spikes.

    With λ = 1 there is a cell for each count of spikes.
    """
    steps, neuron = len(driven.boxes), driven.neuron
    count = max(count, steps + 1) if neuron.decay == ONE else count
    balance = balance_of(driven)
    levels, found, bits = [[SpikeCell((0, 0), (0, 0))]], list[list[list[int]]](), list[Box]()
    for t in range(steps):
        ways = [way for index, cell in enumerate(levels[-1]) for way in _ways(balance, t, index, cell)]
        groups, spikes = _merged(ways, count), [way.spike for way in ways]
        bits.append((min(spikes, default=1), max(spikes, default=0)))
        found.append([[-1, -1] for _ in levels[-1]])
        for place, group in enumerate(groups):
            for way in group:
                found[-1][way.origin][way.spike] = place
        levels.append([_hull(group) for group in groups])
    found.append([[-1, -1] for _ in levels[-1]])
    nodes = [
        [
            InvariantNode(*cell.left, -1, there[0], there[1], (), cell.taken)
            for cell, there in zip(level, ways, strict=True)
        ]
        for level, ways in zip(levels, found, strict=True)
    ]
    return nodes, tuple(bits)


def balance_of(driven: Driven) -> SpikeBalance:
    """Return what came in and what spikes took of a neuron, for potentials as large as any run has."""
    size = 4 * len(driven.boxes) * (driven.reach + driven.neuron.high + driven.neuron.drop) + ONE
    return SpikeBalance.of(driven, [[InvariantNode(-size, size, -1, -1, -1, ())]])


def _ways(balance: SpikeBalance, t: int, index: int, cell: SpikeCell) -> list[CellWay]:
    spend(NODE)
    driven, node = balance.driven, InvariantNode(*cell.left, -1, -1, -1, (), cell.taken)
    neuron, (certain, possible) = driven.neuron, driven.bits[t]
    (low, high), (least, most) = scaled(cell.left, neuron.decay), scaled(driven.boxes[t], neuron.scale[t])
    span = balance.cut(t, node, (low + least - balance.extra, high + most + balance.extra))
    found = []
    for spike, part in neuron.parts(*span, (0, 0)) if span[0] <= span[1] else ():
        left = neuron.after(spike, part)
        taken = balance.after(t, node, spike, left)
        if taken[0] <= taken[1] and (possible if spike else not certain):
            found.append(CellWay(index, spike, SpikeCell(left, taken)))
    return found


def _merged(ways: list[CellWay], count: int) -> list[list[CellWay]]:
    """Return groups: each move by itself, or those in the same of `count` equal parts of the range of Y."""
    if len(ways) <= count:
        return [[way] for way in ways]
    groups: dict[int, list[CellWay]] = {}
    for part, way in zip(parts_of([sum(way.cell.taken) for way in ways], count), ways, strict=True):
        groups.setdefault(part, []).append(way)
    return list(groups.values())


def parts_of(middles: list[int], count: int) -> list[int]:
    """Return which of `count` equal parts of their range numbers lie in."""
    first, width = min(middles), max(max(middles) - min(middles), 1)
    return [(2 * (middle - first) * (count - 1) + width) // (2 * width) for middle in middles]


def _hull(group: list[CellWay]) -> SpikeCell:
    left, taken = zip(*((way.cell.left, way.cell.taken) for way in group), strict=True)
    return SpikeCell(around(left), around(taken))


def around(boxes: tuple[Box, ...]) -> Box:
    """Return a box with few bits around all of these."""
    return lower(min(low for low, _ in boxes)), upper(max(high for _, high in boxes))


Group = list[tuple[int, PairMove]]


def pairs_of(pair: tuple[Driven, Driven], strips: list[Box], side: int) -> list[list[PairNode]]:
    """Return the levels of a pair's nodes, at most side² each; with λ = 1 a row for each count."""
    side = max(side, len(strips) + 1) if pair[0].neuron.decay == ONE else side
    balances = [balance_of(driven) for driven in pair]
    start = InvariantNode(0, 0, -1, -1, -1, (), (0, 0))
    levels, found = [[(start, start)]], list[list[PairNode]]()
    for t, strip in enumerate(strips):
        reached = [
            (index, move) for index, sides in enumerate(levels[-1]) for move in moves(balances, t, sides, strip)
        ]
        groups, targets = _squares(reached, side), [[-1] * 4 for _ in levels[-1]]
        for place, group in enumerate(groups):
            for index, move in group:
                targets[index][2 * move.spikes[0] + move.spikes[1]] = place
        found.append([PairNode(sides, (*to,)) for sides, to in zip(levels[-1], targets, strict=True)])  # pyright: ignore
        levels.append([(_side(group, 0), _side(group, 1)) for group in groups])
    return [*found, [PairNode(sides, (-1, -1, -1, -1)) for sides in levels[-1]]]


def _squares(reached: Group, side: int) -> list[Group]:
    """Return groups: each move by itself, or those in the same square by the middles of both Y."""
    if len(reached) <= side * side:
        return [[way] for way in reached]
    places = zip(*(parts_of([sum(move.ends[i][1]) for _, move in reached], side) for i in range(2)), strict=True)
    groups: dict[tuple[int, ...], Group] = {}
    for place, way in zip(places, reached, strict=True):
        groups.setdefault(place, []).append(way)
    return list(groups.values())


def _side(group: Group, i: int) -> InvariantNode:
    left, taken = zip(*(move.ends[i] for _, move in group), strict=True)
    return InvariantNode(*around(left), -1, -1, -1, (), around(taken))
