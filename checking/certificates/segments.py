"""Dual prices of one segment between two spikes (F6): how much a unit more of v is worth at each of its steps.

The cheapest run of a segment minimises −Σ μ·c over v[k] = λ·v[k−1] + c[k], c in its boxes and v in the parts that
silence and the last spike leave: a linear program along a line, solved by its value as a function of v, piece by
piece from the last step back. Floats: whatever comes out is only as good as the potential that it makes.
"""

from itertools import pairwise
from typing import NamedTuple

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
