"""Potentials of one neuron: at each node a line for each step at which the next spike may be.

Dual prices of one segment between two spikes (F6): how much a unit more of v is worth at each of its steps.

The cheapest run of a segment minimises −Σ μ·c over v[k] = λ·v[k−1] + c[k], c in its boxes and v in the parts that
silence and the last spike leave: a linear program along a line, solved by its value as a function of v, piece by
piece from the last step back. Floats: whatever comes out is only as good as the potential that it makes.
"""

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

from ..kernel.invariants import Invariant, InvariantMove
from ..kernel.neurons import KernelNeuron
from ..kernel.numbers import GRID, ONE, times
from ..kernel.potentials import END, RISE, Piece, Potential, rise
from ..work import spend
from .words import lower, near

Points = list[tuple[float, float]]
Ends = tuple[float, float]
STEEP = 1e6
"""A price that nothing pays: of a number at the end of its box."""


class SegmentStep(NamedTuple):
    """A step of a segment: where v lies, the box of c, and the price of c."""

    part: Ends
    box: Ends
    price: float


def worth(decay: float, steps: list[SegmentStep], start: Ends) -> list[float]:
    """Return what one more v is worth at each step, for u in `start` before the first."""
    if not any(step.price for step in steps):
        return [0.0] * len(steps)
    values, best, ahead = _backward(decay, steps)
    u = min([*start, *(x for x, _ in ahead if start[0] < x < start[1])], key=lambda x: _at(ahead, x))
    path = _forward(decay, steps, values, best, u)
    near = 1e-9 * (1 + abs(u))
    first = -STEEP if u > start[1] - near else 0.0, STEEP if u < start[0] + near else 0.0
    return _multipliers(decay, steps, path, first)


def _backward(decay: float, steps: list[SegmentStep]) -> tuple[list[Points], list[float], Points]:
    """Return the cost to go as a function of v at each step, where each is least, and that of the first u."""
    values: list[Points] = [[]] * len(steps)
    best = [0.0] * len(steps)
    values[-1] = [(end, 0.0) for end in steps[-1].part]
    first: Points = []
    for k in reversed(range(len(steps))):
        step = steps[k]
        own = [(x, y - step.price * x) for x, y in values[k]]
        least = min(range(len(own)), key=lambda n: own[n][1])
        best[k] = own[least][0]
        before = [(x - step.box[1], y) for x, y in own[: least + 1]] + [
            (x - step.box[0], y) for x, y in own[least:]
        ]
        first = [(x / decay, step.price * x + y) for x, y in before]
        if k:
            values[k - 1] = _within(first, *steps[k - 1].part)
    return values, best, first


def _forward(
    decay: float, steps: list[SegmentStep], values: list[Points], best: list[float], u: float
) -> list[tuple[Ends, Ends]]:
    """Return, for each step of the cheapest run, what its price may be by c's box and by v's part (KKT)."""
    path = []
    for k, step in enumerate(steps):
        v = min(max(best[k], decay * u + step.box[0]), decay * u + step.box[1])
        v = min(max(v, values[k][0][0]), values[k][-1][0])
        c, near = v - decay * u, 1e-9 * (1 + abs(v))
        own = (-STEEP if c > step.box[1] - near else step.price, STEEP if c < step.box[0] + near else step.price)
        part = (-STEEP if v < step.part[0] + near else 0.0, STEEP if v > step.part[1] - near else 0.0)
        path.append((own, part))
        u = v
    return path


def _multipliers(
    decay: float, steps: list[SegmentStep], path: list[tuple[Ends, Ends]], first: Ends
) -> list[float]:
    sets: list[Ends] = [(0.0, 0.0)] * len(path)
    after = 0.0, 0.0
    for k in reversed(range(len(path))):
        own, part = path[k]
        low, high = max(own[0], after[0] + part[0]), min(own[1], after[1] + part[1])
        middle = (low + high) / 2
        sets[k] = (low, high) if low <= high else (middle, middle)
        after = decay * sets[k][0], decay * sets[k][1]
    found, before, cone = list[float](), None, (0.0, 0.0)
    sets[0] = max(sets[0][0], first[0]), min(sets[0][1], first[1])
    for step, (low, high), (_, part) in zip(steps, sets, path, strict=True):
        if before is not None:
            low, high = max(low, (before - cone[1]) / decay), min(high, (before - cone[0]) / decay)
            if low > high:
                low = high = (low + high) / 2
        before, cone = min(max(step.price, low), high), part
        found.append(before)
    return found


def _at(points: Points, x: float) -> float:
    for (a, p), (b, q) in pairwise(points):
        if x <= b:
            return p if b <= a else p + (q - p) * (x - a) / (b - a)
    return points[-1][1]


def _within(points: Points, low: float, high: float) -> Points:
    """Return the function on an interval; where none of it lies there, the segment can't go on."""
    low, high = max(low, points[0][0]), min(high, points[-1][0])
    if low > high:
        low = high = (low + high) / 2
    inner = [(x, y) for x, y in points if low < x < high]
    ends = [(x, _at(points, min(max(x, points[0][0]), points[-1][0]))) for x in (low, high)]
    return [ends[0], *inner, ends[1]]


DEAD = 0
"""The name of a piece from which no run goes on."""
PLENTY = 1 << 3 * GRID + 1024
"""A cost, over 2^(3·GRID), that no run has."""


def prices_of(neuron: KernelNeuron, worths: list[int]) -> list[int]:
    """Return prices on I for those on a·I."""
    return [times(worth, a)[0] for worth, a in zip(worths, neuron.scale, strict=True)]


class PotentialMaker:
    """The potentials of a neuron at costs, and prices μ on what comes in, a·I.

    A node's pieces are named by the step at which the next spike is, T + 1: none. A piece's line has the slope
    that one more u is worth there; its constant is what is left by the moves that lead on, in exact numbers.
    """

    def __init__(self, neuron: KernelNeuron, invariant: Invariant, costs: list[int], worths: list[int]) -> None:
        self.neuron, self.invariant, self.costs, self.worths = neuron, invariant, costs, worths
        self.prices = prices_of(neuron, worths)
        self.steps = len(costs)
        self.decay = neuron.decay / ONE
        self.names: list[list[list[int]]] = []
        self.slopes: list[list[dict[int, int]]] = []
        self.gains: list[list[dict[int, int]]] = []

    def levels(self) -> list[list[Potential]]:
        """Return the potentials of all levels but the last."""
        if not any(self.worths):
            return self._unpriced()
        self._worths()
        out: list[list[Potential]] = []
        later = [END] * len(self.invariant.levels[-1])
        names = [[self.steps + 1]] * len(later)
        for t in reversed(range(self.steps)):
            here = [self._potential(t, index, later, names) for index in range(len(self.invariant.levels[t]))]
            later, names = here, self.names[t]
            out.append(here)
        return out[::-1]

    def _unpriced(self) -> list[list[Potential]]:
        """Return what is cheapest from each node on, where nothing has a price: a number a node."""
        out, later = list[list[Potential]](), [0] * len(self.invariant.levels[-1])
        for cost, level in zip(reversed(self.costs), reversed(self.invariant.moves), strict=True):
            here, found = list[int](), list[Potential]()
            for moves in level:
                values = [later[move.target] + cost * move.spike for move in moves or ()]
                here.append(lower(min(values, default=PLENTY >> 2 * GRID)))
                ways = [[(0, 0)] * any((move.spike > 0) == spike for move in moves or ()) for spike in (0, 1)]
                found.append(Potential([], [], []) if moves is None else Potential([(here[-1], 0)], *ways))
            spend(RISE * len(level))
            out.append(found)
            later = here
        return out[::-1]

    def _alike(self) -> None:
        """Give every node one piece: prices on currents are prices on what potentials are (F9)."""
        step = self.steps + 1
        for t, level in enumerate(self.invariant.levels[:-1]):
            gain = self.worths[t]
            for index in range(len(level)):
                self.names[t][index] = [step]
                self.gains[t][index] = {step: gain}
                self.slopes[t][index] = {step: near(self.decay * (gain / ONE))}

    # ---- slopes ----------------------------------------------------------------------------------
    def _worths(self) -> None:
        """Find at each node, for each next spike, what one more u and one more v are worth."""
        invariant = self.invariant
        self.names = [[[] for _ in level] for level in invariant.levels[:-1]]
        self.slopes = [[{} for _ in level] for level in invariant.levels[:-1]]
        self.gains = [[{} for _ in level] for level in invariant.levels[:-1]]
        if invariant.levels[0][0].taken is not None:
            self._alike()
            return
        for t, level in enumerate(invariant.levels[:-1]):
            for index, node in enumerate(level):
                if node.parent == -1 and invariant.moves[t][index] is not None:
                    self._from(t, index)

    def _from(self, t: int, index: int) -> None:
        """Follow silence from a node that is entered in other ways, and end a segment at each spike."""
        invariant, way = self.invariant, list[tuple[int, int, InvariantMove]]()
        node = invariant.levels[t][index]
        start = node.low / ONE, node.high / ONE
        while t < self.steps:
            moves = invariant.moves[t][index]
            assert moves is not None
            silent = next((move for move in moves if not move.spike), None)
            for move in moves:
                if move.spike:
                    self._segment([*way, (t, index, move)], t + 1, start)
                elif t + 1 == self.steps or invariant.levels[t + 1][move.target].parent != index:
                    self._segment([*way, (t, index, move)], self.steps + 1, start)
            if silent is None or t + 1 == self.steps or invariant.levels[t + 1][silent.target].parent != index:
                break
            way.append((t, index, silent))
            t, index = t + 1, silent.target

    def _segment(self, way: list[tuple[int, int, InvariantMove]], end: int, start: tuple[float, float]) -> None:
        steps = [self._step(t, move) for t, _, move in way]
        found = worth(self.decay, steps, start) if self.decay else [step.price for step in steps]
        for place, ((t, index, _), gain) in enumerate(zip(way, found, strict=True)):
            slope = 0.0 if place == 0 else self.decay * gain
            if end not in self.slopes[t][index]:
                self.names[t][index].append(end)
            self.slopes[t][index][end], self.gains[t][index][end] = near(slope), near(gain)

    def _step(self, t: int, move: InvariantMove) -> SegmentStep:
        (low, high), a, extra = self.invariant.boxes[t], self.neuron.scale[t] / ONE, self.invariant.extra / ONE
        ends = sorted((low / ONE * a, high / ONE * a))
        price = self.worths[t] / ONE if a else 0.0
        part = move.part[0] / ONE, move.part[1] / ONE
        return SegmentStep(part, (ends[0] - extra, ends[1] + extra), price)

    # ---- constants -------------------------------------------------------------------------------
    def _potential(self, t: int, index: int, later: list[Potential], names: list[list[int]]) -> Potential:
        moves = self.invariant.moves[t][index]
        if moves is None:
            return Potential([], [], [])
        own = self.names[t][index]
        if not own:  # no run goes on from here to a spike or to the end
            own.append(DEAD)
            self.slopes[t][index][DEAD] = self.gains[t][index][DEAD] = 0
        place = {end: i for i, end in enumerate(own)}
        least: dict[int, int] = defaultdict(lambda: PLENTY)
        hints: list[list[tuple[int, int]]] = [[], []]
        for move in moves:
            spend(2 * RISE * len(names[move.target]))
            for piece, name in zip(later[move.target].pieces, names[move.target], strict=True):
                end = self._end(place, t + 1 if move.spike else name)
                slope = piece[1] if self.neuron.keeps(move.spike) else 0
                multiplier = self.gains[t][index][end] - slope
                least[end] = min(least[end], self._left(t, index, move, piece, end, multiplier))
                hints[move.spike].append((place[end], multiplier))
        pieces = [(lower(least[end] >> 2 * GRID), self.slopes[t][index][end]) for end in own]
        return Potential(pieces, *hints)

    def _end(self, place: dict[int, int], name: int) -> int:
        """Return which of a node's own pieces goes with one of a target's."""
        return next(end for end in (name, self.steps + 1, *place) if end in place)

    def _left(self, t: int, index: int, move: InvariantMove, piece: Piece, end: int, multiplier: int) -> int:
        node = self.invariant.levels[t][index]
        here = 0, self.slopes[t][index][end]
        found = rise(
            self.neuron, self.invariant, t, (node.low, node.high), move, piece, here, multiplier, self.prices[t]
        )
        return found + (self.costs[t] * move.spike << 2 * GRID)
