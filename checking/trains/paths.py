"""F2 and F6, exactly, for one neuron whose scaled currents c[t] lie in boxes.

Let w[t] = λ^(T−t)·v[t] and Λ[k] = λ^(T−k). Since its last spike at τ, w[t] is what that spike left, plus the sum
of Λ[k]·c[k] over τ < k ≤ t: no λ is left in the recursion. A hard reset leaves 0; any other leaves an interval,
which joins what all spikes at τ leave (sound, no longer exact). Silence means v ≤ θ + tie, a spike v ≥ θ − tie.
Every train that the run may have is a path of segments from spike to spike, and segments use disjoint currents:
the shortest path is a lower bound (F2).

Where the sum of Λ·c over a window of steps is known to lie in [floor, ceiling] (F5), w at its end is within that
of w at its start, as long as no spike lies between.

Let the price of c[k] be p[k]·Λ[k]. The least −Σ p[k]·Λ[k]·c[k] of all currents that reach w is convex and
piecewise linear in w, with one part per current, of slope −p[k] and length Λ[k]·(high − low), and one of slope 0
for what the spike left. So parts sorted by slope describe it; what w can't be is cut off at either end.

All numbers are integers over common powers of two: w at one, costs at that times the prices' own.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..work import CALL, spend

Part = tuple[int, int]


@dataclass(frozen=True)
class Boxes:
    """A neuron's Λ·low, Λ·high, Λ·(θ + tie) and Λ·(θ − tie), T integers each.

    Attributes:
        windows: windows[t] holds floor and ceiling of the sum of Λ·c over steps a..t, for a = 0, …, t − 1; may be
            empty.
        taken: the most and the least that a spike takes from w at each step; None: all of it.
    """

    low: Sequence[int]
    high: Sequence[int]
    surely: Sequence[int]
    perhaps: Sequence[int]
    windows: Sequence[Sequence[Part]] = ()
    taken: Sequence[Part] | None = None


@dataclass(frozen=True)
class Reach:
    """Where w can be.

    Attributes:
        boxes: what it follows from.
        starts: what a spike at node τ = 0, …, T leaves (0: none yet); None where there is no such spike.
        spans: for each node, w at each step behind it as long as silence is possible: before that cuts it.
    """

    boxes: Boxes
    starts: list[Part | None]
    spans: list[list[Part]]

    @staticmethod
    def of(boxes: Boxes) -> "Reach":
        """Return where w can be, node by node."""
        starts: list[Part | None] = [(0, 0)] + [None] * len(boxes.low)
        spans = []
        for node in range(len(starts)):
            start = starts[node]
            spans.append([] if start is None else list(_spans(node, start, boxes)))
            spend(CALL + _work(len(spans[node]), bool(boxes.windows)))
            for t, (low, high) in enumerate(spans[node], start=node):
                if high >= boxes.perhaps[t]:
                    starts[t + 1] = _joined(starts[t + 1], _left(boxes, t, max(low, boxes.perhaps[t]), high))
        return Reach(boxes, starts, spans)

    @property
    def parts(self) -> int:
        """Return how many parts all segments have, over all steps."""
        return sum(2 + _work(len(spans), each=True) for spans in self.spans)

    @property
    def spikes(self) -> tuple[list[int], list[int]]:
        """Return, for each step, whether a spike is certain, and whether it is possible."""
        certain = [1] * len(self.boxes.low)
        for node, spans in enumerate(self.spans):
            for t, (low, _) in enumerate(spans, start=node):
                certain[t] &= low > self.boxes.surely[t]
        return certain, [int(start is not None) for start in self.starts[1:]]


def _work(steps: int, each: bool) -> int:
    """Return how many windows, or parts, there are over some steps, with `each` one before each other."""
    return steps * (steps + 9) // 2 if each else 8 * steps


def _spans(node: int, start: Part, boxes: Boxes) -> Iterator[Part]:
    """Yield w at each step behind the last spike at `node`, until there is none, or silence is impossible."""
    (low, high), before = start, [start]
    for t in range(node, len(boxes.low)):
        low, high = low + boxes.low[t], high + boxes.high[t]
        if boxes.windows:
            for (bottom, top), (floor, ceiling) in zip(before, boxes.windows[t][node:], strict=False):
                low, high = max(low, bottom + floor), min(high, top + ceiling)
        if low > high:
            return
        yield low, high
        if low > boxes.surely[t]:
            return
        high = min(high, boxes.surely[t])
        before.append((low, high))


def _left(boxes: Boxes, t: int, low: int, high: int) -> Part:
    if boxes.taken is None:
        return 0, 0
    most, least = boxes.taken[t]
    return low - most, high - least


def _joined(one: Part | None, other: Part) -> Part:
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))


@dataclass(frozen=True)
class Step:
    """What may happen at one step: the least cost of a first spike there (None: impossible), or of silence."""

    fires: int | None
    silent: int | None


def segment(node: int, reach: Reach, prices: Sequence[int]) -> Iterator[Step]:
    """Yield a `Step` for each step behind the last spike at `node`, as long as there are spans."""
    boxes, start = reach.boxes, reach.starts[node]
    if start is None:
        return
    value, bottom, parts = 0, start[0], [(0, start[1] - start[0])] if start[0] < start[1] else []
    for t, (low, high) in enumerate(reach.spans[node], start=node):
        value -= prices[t] * boxes.low[t]
        bottom += boxes.low[t]
        insort(parts, (-prices[t], boxes.high[t] - boxes.low[t]))
        if boxes.windows:
            value, bottom, parts = _raised(value, bottom, parts, low)
            parts = _cut(parts, high - bottom)
        fires = _least(value, parts, boxes.perhaps[t] - bottom)
        room = boxes.surely[t] - bottom
        parts = _cut(parts, room)
        yield Step(fires, _least(value, parts, 0) if room >= 0 else None)


def cheapest(reach: Reach, costs: Sequence[int], prices: Sequence[int]) -> int | None:
    """Return the least Σ costs·s − Σ prices·Λ·c over all trains and currents; None where windows leave none."""
    steps = len(costs)
    found: list[int | None] = [0] + [None] * steps
    best: int | None = None
    for node, so_far in enumerate(found):
        if so_far is None:
            continue
        t, step = node, Step(None, 0)
        for step in segment(node, reach, prices):
            t += 1
            if step.fires is not None:
                found[t] = _lesser(found[t], so_far + step.fires + costs[t - 1])
        if t == steps and step.silent is not None:
            best = _lesser(best, so_far + step.silent)
    return best


def _least(value: int, parts: Sequence[Part], needed: int) -> int | None:
    """Return the least cost with a length of at least `needed`, or None where there is not so much."""
    for slope, length in parts:
        taken = length if slope < 0 else min(length, max(needed, 0))
        value += slope * taken
        needed -= taken
    return value if needed <= 0 else None


def _raised(value: int, bottom: int, parts: Sequence[Part], floor: int) -> tuple[int, int, list[Part]]:
    """Return value, bottom and parts without what lies below `floor`, which they reach."""
    kept = []
    for slope, length in parts:
        taken = min(length, max(floor - bottom, 0))
        value, bottom = value + slope * taken, bottom + taken
        kept.append((slope, length - taken))
    return value, bottom, kept


def _cut(parts: Sequence[Part], room: int) -> list[Part]:
    """Return the first parts, up to a total length of `room`."""
    kept = []
    for slope, length in parts:
        kept.append((slope, min(length, max(room, 0))))
        room -= length
    return kept


def _lesser(one: int | None, two: int) -> int:
    return two if one is None else min(one, two)
