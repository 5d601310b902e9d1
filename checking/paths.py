"""F2 and F6, exactly, for one neuron with a hard reset whose scaled currents c[t] lie in boxes.

Since its last spike at τ, w[t] = λ^(T−t)·v[t] is the sum of λ^(T−k)·c[k] over τ < k ≤ t: no λ is left in the
recursion. Let Λ[k] = λ^(T−k), and let the price of c[k] be p[k]·Λ[k]. The least −Σ p[k]·Λ[k]·c[k] of all currents
that reach w is convex and piecewise linear in w, with one part per current, of slope −p[k] and length
Λ[k]·(high − low). So parts sorted by slope describe it, silence (v ≤ θ + tie) cuts them at the far end, and the
least cost of a spike is read off where Λ·v ≥ Λ·(θ − tie). Every train that the run may have is a path of segments,
and segments use disjoint currents: the shortest path is a lower bound (F2).

Where the sum of Λ·c over a window of steps is known to lie in [floor, ceiling] (F5), w at its end is within that
of w at its start, as long as no spike lies between: parts outside are cut off, too.

All numbers are integers over common powers of two: w at one, costs at that times the prices' own.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Part = tuple[int, int]


@dataclass(frozen=True)
class Boxes:
    """A neuron's Λ·low, Λ·high, Λ·(θ + tie) and Λ·(θ − tie), T integers each.

    `windows[t]` holds floor and ceiling of the sum of Λ·c over steps a..t, for a = 0, …, t − 1; none is needed.
    """

    low: Sequence[int]
    high: Sequence[int]
    surely: Sequence[int]
    perhaps: Sequence[int]
    windows: Sequence[Sequence[Part]] = ()


@dataclass(frozen=True)
class Step:
    """What may happen at one step: the least cost of a first spike there (None: impossible), or of silence."""

    fires: int | None
    silent: int | None


def segment(start: int, boxes: Boxes, prices: Sequence[int]) -> Iterator[Step]:
    """Yield a `Step` for each step behind the last spike at `start`, until silence is impossible."""
    value, bottom = 0, 0
    parts: list[Part] = []
    spans = [(0, 0)]
    for t in range(start, len(prices)):
        value -= prices[t] * boxes.low[t]
        bottom += boxes.low[t]
        insort(parts, (-prices[t], boxes.high[t] - boxes.low[t]))
        if boxes.windows and len(spans) > 1:
            pairs = list(zip(spans, boxes.windows[t][start:], strict=False))
            value, bottom, parts = _raised(
                value, bottom, parts, max(low + floor for (low, _), (floor, _) in pairs)
            )
            room = min(high + ceiling for (_, high), (_, ceiling) in pairs) - bottom
            if value is None or room < 0:
                yield Step(None, None)
                return
            parts = _cut(parts, room)
        fires = _least(value, parts, boxes.perhaps[t] - bottom)
        room = boxes.surely[t] - bottom
        parts = _cut(parts, room)
        yield Step(fires, _least(value, parts, 0) if room >= 0 else None)
        if room < 0:
            return
        spans.append((bottom, bottom + sum(length for _, length in parts)))


def cheapest(boxes: Boxes, costs: Sequence[int], prices: Sequence[int]) -> int | None:
    """Return the least Σ costs·s − Σ prices·Λ·c over all trains and currents; None where windows leave none."""
    steps = len(costs)
    found: list[int | None] = [0] + [None] * steps
    best: int | None = None
    for start in range(steps + 1):
        so_far = found[start]
        if so_far is None:
            continue
        t, step = start, Step(None, 0)
        for step in segment(start, boxes, prices):
            t += 1
            if step.fires is not None:
                found[t] = _lesser(found[t], so_far + step.fires + costs[t - 1])
        if step.silent is not None:
            best = _lesser(best, so_far + step.silent)
    return best


def spikes(boxes: Boxes) -> tuple[list[int], list[int]]:
    """Return, for each step, whether a spike is certain, and whether it is possible."""
    steps = len(boxes.low)
    reached, certain = [True] + [False] * steps, [1] * steps
    for start in range(steps + 1):
        if reached[start]:
            for t, step in enumerate(segment(start, boxes, [0] * steps), start=start):
                reached[t + 1] |= step.fires is not None
                certain[t] &= step.silent is None
    return certain, [int(x) for x in reached[1:]]


def _least(value: int, parts: Sequence[Part], needed: int) -> int | None:
    """Return the least cost with a length of at least `needed`, or None where there is not so much."""
    for slope, length in parts:
        taken = length if slope < 0 else min(length, max(needed, 0))
        value += slope * taken
        needed -= taken
    return value if needed <= 0 else None


def _raised(value: int, bottom: int, parts: Sequence[Part], floor: int) -> tuple[int | None, int, list[Part]]:
    """Return value, bottom and parts without what lies below `floor`; no value where nothing is left."""
    kept = []
    for slope, length in parts:
        taken = min(length, max(floor - bottom, 0))
        value, bottom = value + slope * taken, bottom + taken
        kept.append((slope, length - taken))
    return (value if bottom >= floor else None), bottom, kept


def _cut(parts: Sequence[Part], room: int) -> list[Part]:
    """Return the first parts, up to a total length of `room`."""
    kept = []
    for slope, length in parts:
        kept.append((slope, min(length, max(room, 0))))
        room -= length
    return kept


def _lesser(one: int | None, two: int) -> int:
    return two if one is None else min(one, two)
