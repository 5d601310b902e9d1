"""What two neurons cost together (F9b): cells of both, on a square of what their spikes took."""

from ..kernel.invariants import Driven, InvariantNode
from ..kernel.numbers import ONE, Box
from ..kernel.pairs import PairMove, PairNode, moves
from .cells import around, balance_of, parts_of

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
        groups, targets = _merged(reached, side), [[-1] * 4 for _ in levels[-1]]
        for place, group in enumerate(groups):
            for index, move in group:
                targets[index][2 * move.spikes[0] + move.spikes[1]] = place
        found.append([PairNode(sides, (*to,)) for sides, to in zip(levels[-1], targets, strict=True)])  # pyright: ignore
        levels.append([(_hull(group, 0), _hull(group, 1)) for group in groups])
    return [*found, [PairNode(sides, (-1, -1, -1, -1)) for sides in levels[-1]]]


def _merged(reached: Group, side: int) -> list[Group]:
    """Return groups: each move by itself, or those in the same square by the middles of both Y."""
    if len(reached) <= side * side:
        return [[way] for way in reached]
    places = zip(*(parts_of([sum(move.ends[i][1]) for _, move in reached], side) for i in range(2)), strict=True)
    groups: dict[tuple[int, ...], Group] = {}
    for place, way in zip(places, reached, strict=True):
        groups.setdefault(place, []).append(way)
    return list(groups.values())


def _hull(group: Group, i: int) -> InvariantNode:
    left, taken = zip(*(move.ends[i] for _, move in group), strict=True)
    return InvariantNode(*around(left), -1, -1, -1, (), around(taken))
