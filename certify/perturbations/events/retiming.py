"""What it costs to retime one feature's events, and all ways to retime those of a sample."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..base import combined

Train = tuple[int, ...]
Cost = tuple[int, int]
"""How many events moved, and by how many steps in all."""

MOST_STATES = 2**14
"""Partial matchings of one feature that are looked at."""

UNREACHED = 2**40
"""A distance that nothing pays: where an event has fewer ways than another one."""


@lru_cache(maxsize=2**16)
def priced(fixed: Train, movable: Train, after: Train, reach: int, adds: bool, leaves: bool) -> tuple[Cost, ...]:
    """Return the least costs, none of them below another, of turning a feature's events into `after`.

    Events are matched one after the other; a state is what of `after` still waits for an event. Where events
    merge, more of them may come to a step that has one. None: it can't be done, or there are too many ways.

    Args:
        fixed, movable: events at each step.
        after: events at each step afterwards.
        reach: how far an event may move.
        adds: whether two events at one step are two, and not one.
        leaves: whether events may move out of the steps.
    """
    left = tuple(a - f if adds else int(bool(a) and not f) for a, f in zip(after, fixed, strict=True))
    if min(left, default=0) < 0 or any(f and not a for f, a in zip(fixed, after, strict=True)):
        return ()
    states: dict[Train, tuple[Cost, ...]] = {left: ((0, 0),)}
    for step in itertools.chain.from_iterable([step] * many for step, many in enumerate(movable)):
        found: dict[Train, set[Cost]] = {}
        for state, costs in states.items():
            for place, distance in places(step, len(after), reach, leaves):
                if (reached := _matched(state, after, place, adds)) is not None:
                    found.setdefault(reached, set()).update(dearer(costs, distance))
        if len(found) > MOST_STATES:
            return ()
        states = {state: front(costs) for state, costs in found.items()}
    return states.get((0,) * len(after), ())


def within(fronts: Sequence[tuple[Cost, ...]], count: int | None, total: int | None) -> bool:
    """Return whether one cost of each feature can be chosen such that their sums are within both budgets."""
    return bool(_affordable(_summed(fronts, count is not None, total is not None), count, total))


def least(fronts: Sequence[tuple[Cost, ...]], count: int | None, total: int | None) -> tuple[float, float]:
    """Return how few events move, and by how few steps in all, within both budgets; inf where nothing is."""
    found = _affordable(_summed(fronts, True, True), count, total)
    moved, steps = (min((cost[place] for cost in found), default=math.inf) for place in (0, 1))
    return moved, steps


def _summed(fronts: Sequence[tuple[Cost, ...]], counted: bool, measured: bool) -> tuple[Cost, ...]:
    """Return the least sums of one cost of each feature; what is not looked at is 0."""
    known: tuple[Cost, ...] = ((0, 0),)
    for costs in fronts:
        sums = {(one + other, steps + more) for one, steps in known for other, more in costs}
        known = front({(one * counted, steps * measured) for one, steps in sums})
    return known


def _affordable(costs: Sequence[Cost], count: int | None, total: int | None) -> list[Cost]:
    return [
        (moved, steps)
        for moved, steps in costs
        if (count is None or moved <= count) and (total is None or steps <= total)
    ]


@dataclass(frozen=True)
class Choices:
    """All choices of moves of a sample's events within budgets.

    Attributes:
        events: feature and step of each event that may move.
        options: what each step's events may move to, and how far that is: (step after, distance); −1: outside.
        most: how many events may move.
        total: the sum of distances; None: any.
        features: how many there are.
    """

    events: tuple[tuple[int, int], ...]
    options: tuple[tuple[tuple[int, int], ...], ...]
    most: int
    total: int | None
    features: int

    @property
    def count(self) -> int:
        """Return how many choices there are."""
        steps = tuple(step for _, step in self.events)
        return _count(steps, self.options, min(self.most, len(steps)), self.total)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield the moves of at most `size` members at a time, fewest first: (n, moves, 2), int64.

        A move is the entry that an event leaves and the one that it comes to, flat; −1 outside.
        """
        before, after, far = self._table()
        width = after.shape[1]
        for moved in range(self.most + 1 if width else 1):
            ways = width**moved
            digits = width ** torch.arange(moved)
            for chosen in combined(range(len(self.events)), moved, max(1, size // max(1, ways))):
                for start in range(0, ways, size):
                    way = torch.arange(start, min(start + size, ways))[:, None].div(digits, rounding_mode="floor")
                    place = (
                        chosen[:, None].expand(-1, len(way), -1),
                        (way % max(1, width)).expand(len(chosen), -1, -1),
                    )
                    paid = far[place].sum(2) < (UNREACHED if self.total is None else self.total + 1)
                    yield torch.stack((before[place[0]], after[place]), 3)[paid]

    def _table(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return each event's entry, (N,), and where it may go and how far that is, (N, options) each."""
        feature, step = torch.tensor(self.events).long().view(-1, 2).unbind(1)
        width = max(map(len, self.options), default=0)
        padded = [[*ways, *[(-1, UNREACHED)] * (width - len(ways))] for ways in self.options]
        after, far = torch.tensor(padded).long().view(len(padded), width, 2)[step].unbind(2)
        places = torch.where(after < 0, -1, after * self.features + feature[:, None])
        return step * self.features + feature, places, far


@lru_cache(maxsize=2**8)
def _count(
    steps: tuple[int, ...], options: tuple[tuple[tuple[int, int], ...], ...], most: int, total: int | None
) -> int:
    """Return how many choices of moves there are, from how many there are of each cost."""
    capped = most < len(steps)
    ways: Counter[Cost] = Counter({(0, 0): 1})
    for step in steps:
        sizes = Counter(distance for _, distance in options[step])
        more = Counter(ways)
        for (moved, far), number in ways.items():
            for distance, choices in sizes.items():
                cost = (moved + capped, far + distance * (total is not None))
                if cost[0] <= most and (total is None or cost[1] <= total):
                    more[cost] += number * choices
        ways = more
    return sum(ways.values())


def listed(movable: Tensor, reach: int, count: int | None, total: int | None, leaves: bool) -> Choices:
    """Return all choices of moves.

    Args:
        movable: how many events may move, (steps, features), int64.
        reach, leaves: as in `priced`.
        count, total: the budgets; None: none.
    """
    steps, features = movable.shape
    entries = movable.nonzero().repeat_interleave(movable[movable > 0], 0)
    events = tuple((feature, step) for step, feature in entries.tolist())
    options = tuple(places(step, steps, reach, leaves)[1:] for step in range(steps))
    budgets = [len(events), *(budget for budget in (count, total) if budget is not None)]
    return Choices(events, options, min(budgets), total, features)


def places(step: int, steps: int, reach: int, leaves: bool) -> tuple[tuple[int, int], ...]:
    """Return where an event may be, and how far that is: its own step first, −1 for outside last."""
    ahead = [(place, abs(place - step)) for place in range(max(0, step - reach), min(steps, step + reach + 1))]
    outside = min(step + 1, steps - step)
    own = [(step, 0)]
    return tuple(own + [place for place in ahead if place[1]] + [(-1, outside)] * (leaves and outside <= reach))


def _matched(state: Train, after: Train, place: int, adds: bool) -> Train | None:
    """Return what still waits once an event is at `place`; None where none may be."""
    if place < 0:
        return state
    if (adds and not state[place]) or not after[place]:
        return None
    return (*state[:place], max(0, state[place] - 1), *state[place + 1 :])


def dearer(costs: tuple[Cost, ...], distance: int) -> set[Cost]:
    return {(moved + (distance > 0), steps + distance) for moved, steps in costs}


def front(costs: set[Cost]) -> tuple[Cost, ...]:
    """Return the costs that none other undercuts in both."""
    found: list[Cost] = []
    for moved, steps in sorted(costs):
        if not found or steps < found[-1][1]:
            found.append((moved, steps))
    return tuple(found)
